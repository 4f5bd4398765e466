"""Calls that go straight to a container: what holds for calls holds for them, whatever goes wrong on the way."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import direct_app as d
import pytest
from patience import wait_until

import swell
from swell.exception import FunctionTimeoutError, InternalFailure
from swell.sdk.calls.direct import DirectCall

TRIES = 50  #: to find a call on a lease: on a busy machine, a lease may end just before


class Direct(list[DirectCall]):
    """The calls that were sent on a lease and begun there, or lost."""

    async def run(self, call: DirectCall) -> Any:
        received = await RUN(call)
        if received is not None:
            self.append(call)
        return received


RUN = DirectCall.run
KEYS = itertools.count(1)  #: of pools


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> None:
    run_app(d.app, call_leases=True, retry_delay_min_s=0.05, start_backoff_s=0.05)


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> Direct:
    """The calls on leases since the test began."""
    found = Direct()
    monkeypatch.setattr(DirectCall, "run", lambda call: found.run(call))
    return found


def until_direct(direct: Direct, call: Callable[[], Any]) -> Any:
    """Make a call again and again until one was made on a lease; return its result."""
    for _ in range(TRIES * 100):
        before = len(direct)
        result = call()
        if len(direct) > before:
            return result
    raise AssertionError("no lease was granted")


class Fresh:
    """Makes handles of a method that have pools of their own, on which a lease is held."""

    def __init__(self, direct: Direct) -> None:
        self.direct = direct

    def act(self, cls: Any) -> Any:
        """Return the handle of a method that was called often enough."""
        act = cls(key=f"{next(KEYS)}").act
        until_direct(self.direct, lambda: act.remote("", "first"))
        return act

    def until_direct(self, cls: Any) -> Iterator[Any]:
        """Yield a handle again and again, until a call of it went by a lease, which may be lost on a busy machine."""
        for _ in range(TRIES):
            act = self.act(cls)
            before = len(self.direct)
            yield act
            if len(self.direct) > before:
                return
        raise AssertionError("the lease had always ended before")


@pytest.fixture
def fresh(direct: Direct, board: ModuleType) -> Fresh:
    return Fresh(direct)


def _is_running(act: Any) -> bool:
    return act.get_current_stats().num_running_inputs == 1


# ---------------------------------------------------------------- the usual


def test_calls_one_after_another_go_straight_to_the_container(fresh: Fresh) -> None:
    act = fresh.act(d.Alone)
    assert [act.remote("", x) for x in range(100)] == list(range(100))
    assert fresh.direct


async def test_calls_of_coroutines_go_straight_to_the_container(direct: Direct, board: ModuleType) -> None:
    act = d.Pair(key=f"{next(KEYS)}").act
    for _ in range(TRIES):
        results = await asyncio.gather(*[act.remote.aio("", x) for x in range(100)])
        assert results == list(range(100))
        if direct:
            break
    assert direct
    assert len({line.split()[-1] for line in board.notes("ran")}) <= 2


def test_calls_of_threads_share_leases(fresh: Fresh, board: ModuleType) -> None:
    act = fresh.act(d.Pair)

    def work(number: int) -> list[Any]:
        return [act.remote("", f"{number}.{x}") for x in range(50)]

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(work, range(8))) == [[f"{n}.{x}" for x in range(50)] for n in range(8)]
    assert fresh.direct
    assert len({line.split()[-1] for line in board.notes("ran")}) <= 2


def test_each_call_is_run_once(fresh: Fresh, board: ModuleType) -> None:
    act = fresh.act(d.Alone)
    board.wipe()
    for x in range(500):
        act.remote("", x)
    assert [int(line.split()[0]) for line in board.notes("ran")] == list(range(500))


def test_context_ids_are_those_of_the_call(direct: Direct) -> None:
    call_id, input_id = until_direct(direct, d.identity.remote)
    assert call_id == direct[-1].call_id and input_id == f"in-{call_id.removeprefix('fc-')}:0"


def test_methods_of_one_object_share_its_container(direct: Direct) -> None:
    counter = d.Counter(start=100)
    until_direct(direct, lambda: counter.add.remote(1))
    assert until_direct(direct, lambda: counter.twice.remote(1)) == 202
    assert until_direct(direct, lambda: counter.add.remote(5)) == 105
    assert until_direct(direct, lambda: d.Counter().add.remote(5)) == 5


def test_results_and_arguments_of_any_size(direct: Direct) -> None:
    for size in (10, 100_000, 1_000_000, 30_000_000):
        until_direct(direct, lambda: d.big.remote(10))
        assert len(d.big.remote(size)) == size
        assert d.measure.remote(os.urandom(size)) == size


def test_calls_within_calls(direct: Direct) -> None:
    assert [d.outer.remote(x) for x in range(5)] == [50 * x for x in range(5)]


def test_a_map_and_calls_beside_it_both_go_on(fresh: Fresh) -> None:
    act = fresh.act(d.Alone)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.extend(act.map([""] * 3_000, range(3_000))))
    thread.start()
    calls = 0
    while thread.is_alive():
        assert act.remote("", -1) == -1
        calls += 1
    assert found == list(range(3_000)) and calls > 0


# ---------------------------------------------------------------- what goes wrong in the function


def test_an_exception_comes_with_its_traceback(fresh: Fresh) -> None:
    for act in fresh.until_direct(d.Alone):
        with pytest.raises(ValueError, match="7") as caught:
            act.remote("fail", 7)
        assert "direct_app.py" in str(caught.traceback[-1].path)
        assert act.remote("", 8) == 8


def test_a_failure_is_retried_as_any_other(fresh: Fresh, board: ModuleType) -> None:
    for act in fresh.until_direct(d.Retried):
        board.wipe()
        assert act.remote("fail twice", 1) == 1
        assert len(board.notes("attempt")) == 3


def test_attempts_end_as_those_of_any_other(fresh: Fresh, board: ModuleType) -> None:
    for act in fresh.until_direct(d.Retried):
        board.wipe()
        with pytest.raises(ValueError, match="1"):
            act.remote("fail", 1)
        assert len(board.notes("ran")) == 3


def test_a_call_that_takes_too_long_is_timed_out(fresh: Fresh) -> None:
    for act in fresh.until_direct(d.Hasty):
        with pytest.raises(FunctionTimeoutError):
            act.remote("hang", 1)
        assert act.remote("", 2) == 2


def test_a_long_call_is_answered_and_seen_meanwhile(fresh: Fresh, board: ModuleType) -> None:
    for act in fresh.until_direct(d.Alone):
        board.wipe()
        with ThreadPoolExecutor(1) as thread:
            result = thread.submit(act.remote, "wait", 1)
            board.wait_for_count("ran")
            wait_until(partial(_is_running, act), "it is not seen")
            board.give("go-1")
            assert result.result() == 1


async def test_a_cancelled_coroutine_cancels_its_call(direct: Direct, board: ModuleType) -> None:
    for number in range(3):
        act = d.Alone(key=f"{next(KEYS)}").act
        before = len(direct)
        for _ in range(TRIES * 100):
            await act.remote.aio("", -1)
            if len(direct) > before:
                break
        task = asyncio.create_task(act.remote.aio("hang", number))
        await asyncio.to_thread(board.wait_for_note, f"hangs {number}")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await act.remote.aio("", "after") == "after"  # the one container is free again


def test_an_interrupted_thread_cancels_its_call(fresh: Fresh, board: ModuleType) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGUSR1, interrupt)
    try:
        for number in range(3):
            act = fresh.act(d.Alone)

            def strike(number: int = number) -> None:
                board.wait_for_note(f"hangs {number}")
                os.kill(os.getpid(), signal.SIGUSR1)

            thread = threading.Thread(target=strike)
            thread.start()
            with pytest.raises(KeyboardInterrupt):
                act.remote("hang", number)
            thread.join()
            assert act.remote("", number) == number  # it was cancelled: the one container is free
    finally:
        signal.signal(signal.SIGUSR1, former)


def test_a_signal_handler_may_make_calls_while_one_is_on_its_way(fresh: Fresh, board: ModuleType) -> None:
    found: list[object] = []
    for act in fresh.until_direct(d.Alone):
        found.clear()
        board.wipe()
        former = signal.signal(signal.SIGUSR1, lambda *_: found.append(d.Pair().act.remote("", "in handler")))

        def strike() -> None:
            board.wait_for_count("ran")
            os.kill(os.getpid(), signal.SIGUSR1)
            wait_until(lambda: bool(found), "the handler did not return")
            board.give("go-1")

        thread = threading.Thread(target=strike)
        try:
            thread.start()
            assert act.remote("wait", 1) == 1
            thread.join()
        finally:
            signal.signal(signal.SIGUSR1, former)
        assert found == ["in handler"]


# ---------------------------------------------------------------- what goes wrong around it


def test_a_container_that_dies_costs_no_attempt(fresh: Fresh) -> None:
    for act in fresh.until_direct(d.Alone):
        assert act.remote("die once", next(KEYS)) is not None


def test_a_call_that_kills_again_and_again_ends_with_a_clear_error(fresh: Fresh) -> None:
    for act in fresh.until_direct(d.Pair):
        with pytest.raises(InternalFailure, match="containers when they died"):
            act.remote("die", 1)
        assert act.remote("", 1) == 1


def test_an_idle_leased_container_that_is_killed_is_replaced(fresh: Fresh, board: ModuleType) -> None:
    for _ in range(3):
        act = fresh.act(d.Alone)
        os.kill(int(board.notes("ran")[-1].split()[-1]), signal.SIGKILL)
        assert act.remote("", 5) == 5


def test_a_forked_child_has_no_lease_of_its_parent(fresh: Fresh) -> None:
    act = fresh.act(d.Pair)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if [act.remote("", f"{x}") for x in range(20)] == [f"{x}" for x in range(20)] else 2
        finally:
            os._exit(code)
    assert [act.remote("", x) for x in range(100)] == list(range(100))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_pool_that_nobody_calls_goes_to_zero_though_a_handle_is_held(direct: Direct) -> None:
    pid = until_direct(direct, lambda: d.brief.remote(1))
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "its container stays")
    assert d.brief.remote(1) != pid


def test_settings_that_are_changed_while_leases_are_held(fresh: Fresh, board: ModuleType) -> None:
    pair = d.Pair(key=f"{next(KEYS)}")
    until_direct(fresh.direct, lambda: pair.act.remote("", 0))
    pair.update_autoscaler(max_containers=1)
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda x: pair.act.remote("", x), range(200))) == list(range(200))
    wait_until(lambda: pair.act.get_current_stats().num_total_runners <= 1, "the pool has not shrunk")
