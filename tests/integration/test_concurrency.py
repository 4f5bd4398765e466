"""Concurrency: how many inputs a container runs at once, on what, and what they see of each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from patience import wait_until
from slots_app import (
    Mixed,
    aims_at_two,
    app,
    async_counts,
    bursts,
    counts,
    leaves_after_this,
    one_at_a_time,
    one_task_at_a_time,
    sets_own_concurrency,
    tasked,
    tasked_fails,
    threaded,
    threaded_fails,
)

import swell


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> None:
    run_app(app)


# ---------------------------------------------------------------- how inputs run


@pytest.mark.parametrize("function", [one_at_a_time, one_task_at_a_time], ids=["sync", "async"])
def test_without_the_decorator_inputs_run_one_by_one_on_the_main_thread(function: swell.Function[..., Any]) -> None:
    assert set(function.map(range(20))) == {(1, True)}


@pytest.mark.nodes
@pytest.mark.parametrize("function", [threaded, tasked], ids=["sync", "async"])
def test_as_many_run_at_once_as_there_are_slots_and_no_more(function: swell.Function[..., Any]) -> None:
    results = list(function.map(range(30)))
    assert len({pid for pid, *_ in results}) == 1
    assert max(most for _, most, *_ in results) == 6


@pytest.mark.parametrize("function", [threaded, tasked], ids=["sync", "async"])
def test_each_input_knows_its_own_id(function: swell.Function[..., Any]) -> None:
    results = list(function.map(range(12)))
    assert all(before == after for _, _, before, after, *_ in results)
    assert [before.rpartition(":")[2] for _, _, before, *_ in results] == [str(x) for x in range(12)]


def test_sync_inputs_run_on_threads() -> None:
    assert not any(is_main for *_, is_main in threaded.map(range(6)))


@pytest.mark.parametrize("function", [threaded_fails, tasked_fails], ids=["sync", "async"])
def test_an_exception_concerns_one_input_only(function: swell.Function[..., Any]) -> None:
    results = list(function.map(range(6), return_exceptions=True))
    assert [results[x] for x in (0, 2, 4)] == [0, 2, 4]
    assert [type(results[x]) for x in (1, 3, 5)] == [ValueError] * 3


@pytest.mark.parametrize("function", [counts, async_counts], ids=["sync", "async"])
def test_generators_run_side_by_side(function: swell.Function[..., Any]) -> None:
    streams = [function.remote_gen(40) for _ in range(3)]
    rounds = list(zip(*streams, strict=True))
    assert [[i for i, _ in values] for values in rounds] == [[i] * 3 for i in range(40)]
    assert max(most for _, most in rounds[-1]) == 3


def test_methods_of_a_class_share_its_slots(board: ModuleType) -> None:
    model = Mixed()
    plain, tasked = model.plain.spawn(2), model.tasked.spawn(2)
    assert next(iter(model.generated.remote_gen(2))) == 3
    assert [plain.get(), tasked.get()] == [3, 3]


# ---------------------------------------------------------------- target and maximum


@pytest.mark.nodes
def test_dispatch_aims_at_the_target_while_the_pool_can_grow(board: ModuleType) -> None:
    calls = [aims_at_two.spawn("go") for _ in range(8)]
    board.wait_for_count("inside", 8)
    board.give("go")
    assert sorted(Counter(call.get() for call in calls).values()) == [2, 2, 2, 2]


def test_it_goes_up_to_the_maximum_when_the_pool_cannot_grow(board: ModuleType) -> None:
    calls = [bursts.spawn("go") for _ in range(10)]
    board.wait_for_count("inside", 8)
    assert bursts.get_current_stats().backlog == 2
    board.give("go")
    assert len({call.get() for call in calls}) == 1


def test_variants_have_their_own_concurrency(board: ModuleType) -> None:
    three = one_at_a_time.with_concurrency(max_inputs=3)
    assert max(most for most, _ in three.map(range(12))) == 3
    assert max(most for most, _ in one_at_a_time.map(range(12))) == 1


# ---------------------------------------------------------------- from inside


def test_a_container_can_set_how_many_it_takes(board: ModuleType) -> None:
    first = sets_own_concurrency.spawn("first", 3)
    board.wait_for_note("inside first")
    wait_until(lambda: sets_own_concurrency.get_current_stats().input_headroom == 2, "the server was never told")
    others = [sets_own_concurrency.spawn(f"other-{i}", 3) for i in range(4)]
    board.wait_for_count("inside", 3)
    assert sets_own_concurrency.get_current_stats().backlog == 2
    for signal in ("first", *(f"other-{i}" for i in range(4))):
        board.give(signal)
    assert first.get() == [2, 3]
    assert [call.get() for call in others] == [[3, 3]] * 4


def test_it_cannot_take_more_than_the_maximum(board: ModuleType) -> None:
    board.give("go")
    assert sets_own_concurrency.with_options(timeout=99).remote("go", 100) == [2, 8]


def test_these_work_inside_containers_only() -> None:
    with pytest.raises(RuntimeError, match="inside a container"):
        swell.experimental.set_local_input_concurrency(2)
    with pytest.raises(RuntimeError, match="inside a container"):
        swell.experimental.get_local_input_concurrency()
    with pytest.raises(RuntimeError, match="inside a container"):
        swell.experimental.stop_fetching_inputs()


def test_a_container_that_stops_fetching_finishes_what_it_has(board: ModuleType) -> None:
    stays, leaves = leaves_after_this.spawn("stay"), leaves_after_this.spawn("leave")
    board.wait_for_count("inside", 2)
    later = leaves_after_this.spawn("later")
    for signal in ("stay", "leave", "later"):
        board.give(signal)
    assert stays.get() == leaves.get() != later.get()
