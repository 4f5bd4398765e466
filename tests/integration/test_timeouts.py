"""Timeouts: what time counts, what happens to whom when it is up."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
from faults_app import (
    LIMIT_S,
    NeverReady,
    Sleeps,
    always_too_slow,
    app,
    async_sleeps,
    endless,
    in_line,
    side_by_side,
    sleeps,
    slow_batch,
    tasks_side_by_side,
    too_slow_at_first,
    will_not_stop,
)

import swell
from swell.exception import FunctionTimeoutError


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> None:
    run_app(app, retry_delay_min_s=0.05, start_failures_max=1, cancel_grace_s=0.3)


def test_an_input_that_takes_too_long_ends_with_its_own_error(board: ModuleType) -> None:
    call = sleeps.spawn(1_000)
    with pytest.raises(FunctionTimeoutError, match=f"timeout = {LIMIT_S} s"):
        call.get()
    assert not issubclass(FunctionTimeoutError, TimeoutError)  # that one means: not ready yet
    assert issubclass(FunctionTimeoutError, swell.exception.TimeoutError)
    with pytest.raises(FunctionTimeoutError):  # and stays so
        call.get()


@pytest.mark.nodes
def test_sync_code_loses_its_container(board: ModuleType) -> None:
    before = sleeps.remote(0)
    with pytest.raises(FunctionTimeoutError):
        sleeps.remote(1_000)
    assert sleeps.remote(0) != before


@pytest.mark.nodes
def test_async_code_is_unwound_and_keeps_its_container(board: ModuleType) -> None:
    before = async_sleeps.remote(0)
    with pytest.raises(FunctionTimeoutError):
        async_sleeps.remote(1_000)
    board.wait_for_note("unwound 1000")
    assert async_sleeps.remote(0) == before


def test_an_async_method_is_unwound_and_a_plain_one_loses_its_container(board: ModuleType) -> None:
    before = Sleeps().plain.remote(0)
    with pytest.raises(FunctionTimeoutError):
        Sleeps().tasked.remote(1_000)
    assert Sleeps().plain.remote(0) == before
    with pytest.raises(FunctionTimeoutError):
        Sleeps().plain.remote(1_000)
    assert Sleeps().plain.remote(0) != before


def test_tasks_beside_one_whose_time_is_up_go_on(board: ModuleType) -> None:
    slow = tasks_side_by_side.spawn("slow")
    board.wait_for_note("begin slow")
    with pytest.raises(TimeoutError):
        slow.get(timeout=LIMIT_S / 2)
    other = tasks_side_by_side.spawn("other")
    with pytest.raises(FunctionTimeoutError):
        slow.get()
    board.give("other")
    board.give("late")
    assert other.get() == tasks_side_by_side.remote("late")
    assert board.notes("begin") == ["slow", "other", "late"]


def test_async_code_that_will_not_stop_loses_its_container(board: ModuleType) -> None:
    before = will_not_stop.remote(0)
    with pytest.raises(FunctionTimeoutError):
        will_not_stop.remote(-1)
    assert will_not_stop.remote(0) != before
    assert board.notes("swallowed")


def test_waiting_in_line_does_not_count() -> None:
    assert list(in_line.map(range(4), kwargs={"seconds": LIMIT_S / 2})) == [0, 1, 2, 3]


def test_time_begins_anew_with_every_attempt(board: ModuleType) -> None:
    assert too_slow_at_first.remote(1) == 1
    assert len(board.notes("attempt-1")) == 2


def test_when_retries_are_used_up_it_is_a_timeout(board: ModuleType) -> None:
    with pytest.raises(FunctionTimeoutError):
        always_too_slow.remote(1)
    assert len(board.notes("attempt-1")) == 2


def test_what_shares_the_container_runs_again_elsewhere_at_no_cost(board: ModuleType) -> None:
    slow = side_by_side.spawn(0, 1_000)
    board.wait_for_count("attempt-0")
    with pytest.raises(TimeoutError):
        slow.get(timeout=1.2 * LIMIT_S)
    others = [side_by_side.spawn(x, 1.2 * LIMIT_S) for x in (1, 2)]  # running when the slow one's time is up
    with pytest.raises(FunctionTimeoutError):
        slow.get()
    assert [call.get() for call in others] == [(1, 1), (2, 1)]  # each began twice, though it has no retries


def test_a_generator_has_the_same_time_for_all_it_yields() -> None:
    values = endless.remote_gen()
    assert next(values) == 1
    with pytest.raises(FunctionTimeoutError):
        next(values)


def test_a_batch_that_takes_too_long_fails_every_input_of_it() -> None:
    results = list(slow_batch.map(range(2), return_exceptions=True))
    assert [type(result) for result in results] == [FunctionTimeoutError] * 2


def test_a_container_that_is_not_ready_in_time_is_a_failed_start() -> None:
    with pytest.raises(swell.exception.RemoteError, match="startup_timeout = 1 s"):
        NeverReady().run.remote()
