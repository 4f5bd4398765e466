"""Threads that are made when they are needed."""

from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest
from patience import patience

from swell.runner.web.pool import DaemonPool

PATIENCE_S = patience(60.0)


def test_values_and_exceptions_come_back() -> None:
    pool = DaemonPool(2, "test")
    assert [pool.submit(divmod, 7, i).result(PATIENCE_S) for i in (1, 2, 3)] == [(7, 0), (3, 1), (2, 1)]
    with pytest.raises(ZeroDivisionError):
        pool.submit(divmod, 7, 0).result(PATIENCE_S)
    with pytest.raises(SystemExit):
        pool.submit(exit, 3).result(PATIENCE_S)


def test_a_thread_that_is_free_is_used_again() -> None:
    pool = DaemonPool(8, "test")
    assert len({pool.submit(threading.get_ident).result(PATIENCE_S) for _ in range(20)}) == 1


def test_as_many_run_at_once_as_there_may_be_threads_and_the_rest_waits() -> None:
    pool, together, third = DaemonPool(2, "test"), threading.Barrier(3), threading.Event()
    waiting = [pool.submit(together.wait, PATIENCE_S) for _ in range(2)]
    last = pool.submit(third.set)
    assert not third.is_set()
    together.wait(PATIENCE_S)
    for future in waiting:
        future.result(PATIENCE_S)
    last.result(PATIENCE_S)


def test_what_is_cancelled_before_it_begins_does_not_run() -> None:
    pool, begun, go = DaemonPool(1, "test"), threading.Event(), threading.Event()

    def install_filter() -> None:
        begun.set()
        go.wait(PATIENCE_S)

    first: Future[None] = pool.submit(install_filter)
    begun.wait(PATIENCE_S)
    ran = threading.Event()
    second = pool.submit(ran.set)
    assert second.cancel()
    go.set()
    first.result(PATIENCE_S)
    assert pool.submit(lambda: 5).result(PATIENCE_S) == 5
    assert not ran.is_set()


def test_its_threads_do_not_hold_up_the_exit() -> None:
    pool = DaemonPool(1, "test-exit")
    pool.submit(lambda: None).result(PATIENCE_S)
    assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("test-exit"))
