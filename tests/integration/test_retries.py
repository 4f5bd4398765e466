"""Retries: who is tried again, how often, after how long, and what the caller sees in the end."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from types import ModuleType

import pytest
from faults_app import (
    Odd,
    Retried,
    app,
    async_succeeds_at,
    backs_off,
    numbered_failure,
    once,
    steady,
    succeeds_at,
    with_an_int,
)

import swell


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> None:
    run_app(app, retry_delay_min_s=0.05)


def attempts(board: ModuleType, x: int) -> list[list[str]]:
    """(time, input id) of every attempt."""
    return [note.split() for note in board.notes(f"attempt-{x}")]


def pauses(board: ModuleType, x: int) -> list[float]:
    return [float(b) - float(a) for (a, _), (b, _) in pairwise(attempts(board, x))]


def test_without_retries_there_is_one_attempt(board: ModuleType) -> None:
    with pytest.raises(ValueError, match="5"):
        once.remote(5)
    assert len(attempts(board, 5)) == 1


@pytest.mark.nodes
@pytest.mark.parametrize("number", [0, 1, 2])
def test_an_input_may_succeed_at_any_attempt(board: ModuleType, number: int) -> None:
    assert succeeds_at.remote(1, number) == 1
    assert len(attempts(board, 1)) == number + 1


def test_every_attempt_has_the_same_input_id(board: ModuleType) -> None:
    succeeds_at.remote(1, 2)
    assert len({input_id for _, input_id in attempts(board, 1)}) == 1


def test_the_last_attempts_exception_is_raised(board: ModuleType) -> None:
    with pytest.raises(Odd) as caught:
        numbered_failure.remote(1)
    assert caught.value.number == 2  # counted from 0: max_retries + 1 attempts were made
    assert len(attempts(board, 1)) == 3


def test_async_functions_are_retried_too(board: ModuleType) -> None:
    assert async_succeeds_at.remote(1, 2) == 1
    assert len(attempts(board, 1)) == 3


def test_methods_are_retried_too(board: ModuleType) -> None:
    assert Retried().run.remote(4) == 4
    assert len(attempts(board, 4)) == 2


def test_spawned_calls_are_retried_by_the_server(board: ModuleType) -> None:
    call = succeeds_at.spawn(2, 1)
    board.wait_for_count("attempt-2", 2)  # nobody has asked for the result yet
    assert call.get() == 2


def test_delays_grow_up_to_the_maximum(board: ModuleType) -> None:
    with pytest.raises(ValueError, match="3"):
        backs_off.remote(3)
    first, second, third = pauses(board, 3)
    assert first >= 0.1
    assert second >= 1.0
    assert 1.0 <= third < 10.0  # ten seconds, were it not for the maximum


def test_with_a_coefficient_of_one_each_retry_waits_for_the_initial_delay(board: ModuleType) -> None:
    with pytest.raises(ValueError, match="3"):
        steady.remote(3)
    assert len(pauses(board, 3)) == 3
    assert min(pauses(board, 3)) >= 0.2


def test_a_plain_number_of_retries_waits_a_second_each(board: ModuleType) -> None:
    with pytest.raises(ValueError, match="3"):
        with_an_int.remote(3)
    (pause,) = pauses(board, 3)
    assert pause >= 1


@pytest.mark.nodes
def test_in_a_map_only_what_failed_is_retried(board: ModuleType) -> None:
    assert list(succeeds_at.starmap([(x, x % 3) for x in range(9)])) == list(range(9))
    assert [len(attempts(board, x)) for x in range(9)] == [1, 2, 3] * 3


def test_in_a_map_each_input_has_its_own_retries(board: ModuleType) -> None:
    results = list(succeeds_at.starmap([(x, 2 * x) for x in range(4)], return_exceptions=True))
    assert results[:2] == [0, 1]
    assert all(isinstance(result, Odd) for result in results[2:])
    assert [len(attempts(board, x)) for x in range(4)] == [1, 3, 3, 3]
