"""Fairness: calls to one function take turns, whatever their sizes and whoever came first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest
from fair_app import app, quick, work, work_in_batches, work_on_threads

import swell


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> None:
    run_app(app)


EVERY_WAY = pytest.mark.parametrize(
    "function", [work, work_on_threads, work_in_batches, quick], ids=["serial", "concurrent", "batched", "quick"]
)


@contextmanager
def held(board: ModuleType) -> Iterator[None]:
    """Nothing is served within: what is called there waits together, and turns do not hang on who was quick to call."""
    try:
        yield
    finally:
        board.give("go")


def fill(function: swell.Function[..., Any], caller: str, count: int, seconds: float = 0.01) -> swell.FunctionCall[Any]:
    return function.spawn_map([caller] * count, [seconds] * count)


@EVERY_WAY
def test_a_single_call_does_not_wait_behind_a_large_one(board: ModuleType, function: swell.Function[..., Any]) -> None:
    count = 20_000 if function is quick else 200
    with held(board):
        large = fill(function, "large", count)
        single = function.spawn("single", 0.0)  # it is accepted when this returns, however long that took
    try:
        assert single.get() == "single"
        assert board.notes("served").index("single") < count / 2
    finally:
        large.cancel()


@EVERY_WAY
def test_two_calls_share_what_there_is(board: ModuleType, function: swell.Function[..., Any]) -> None:
    count = 2_000 if function is quick else 60
    with held(board):
        calls = [fill(function, caller, count, 0.005) for caller in ("one", "two")]
    for call in calls:
        assert len(list(call.iter())) == count
    served = board.notes("served")
    last_of_first = min(len(served) - 1 - served[::-1].index(caller) for caller in ("one", "two"))
    assert last_of_first > len(served) * 0.6  # one after the other, it would be the middle


def test_a_call_is_served_in_the_order_of_its_inputs(board: ModuleType) -> None:
    with held(board):
        call = work.spawn_map([str(x) for x in range(40)], [0.001] * 40)
    assert len(list(call.iter())) == 40
    assert board.notes("served") == [str(x) for x in range(40)]
