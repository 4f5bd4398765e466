"""Batches: when one leaves, who is in it, and what becomes of each call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import pytest
from slots_app import (
    BatchedModel,
    app,
    async_batch,
    batch_of_four,
    batch_once,
    ids,
    patient_batch,
    plain_list,
    retried_batch,
    short_wait,
    strange_results,
    two_arguments,
    two_batches_at_once,
    what_is_there,
)

import swell
from swell.exception import InvalidError, SerializationError


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> None:
    run_app(app, retry_delay_min_s=0.05)


# ---------------------------------------------------------------- forming


@pytest.mark.nodes
def test_full_batches_leave_at_once_and_the_rest_when_its_time_is_up() -> None:
    results = list(batch_of_four.map(range(10)))
    assert [x for x, _ in results] == list(range(10))
    assert sorted(Counter(batch for _, batch in results).values()) == [2, 4, 4]


def test_a_batch_that_fills_up_does_not_wait() -> None:
    # Its time would be up after half a minute.
    assert {size for _, (_, size, _) in patient_batch.map(range(12))} == {4}


def test_one_input_is_a_batch_of_one() -> None:
    assert batch_of_four.remote(7)[1][1] == 1


@pytest.mark.nodes
def test_inputs_of_different_callers_share_a_batch() -> None:
    with ThreadPoolExecutor(4) as callers:
        results = list(callers.map(patient_batch.remote, range(4)))
    assert [x for x, _ in results] == [0, 1, 2, 3]
    assert {size for _, (_, size, _) in results} == {4}


def test_inputs_of_maps_and_single_calls_share_a_batch() -> None:
    spawned = [patient_batch.spawn(x) for x in (0, 1)]
    assert {size for _, (_, size, _) in patient_batch.map([2, 3])} == {4}
    assert [call.get()[0] for call in spawned] == [0, 1]


def test_the_clock_starts_with_the_first_input() -> None:
    first = short_wait.spawn(0)
    others = []
    while not is_done(first, within_s=0.1):
        others.append(short_wait.spawn(1))
    assert first.get() < 8  # had each newcomer started the clock again, the batch would only have left when full
    assert [call.get() for call in others]


def is_done(call: swell.FunctionCall[object], within_s: float) -> bool:
    try:
        call.get(timeout=within_s)
    except TimeoutError:
        return False
    return True


def test_no_waiting_time_takes_what_is_there() -> None:
    results = list(what_is_there.map(range(30)))
    assert [x for x, _ in results] == list(range(30))
    assert len({batch for _, batch in results}) <= 5


def test_a_variant_has_its_own_batching() -> None:
    small = patient_batch.with_batching(max_batch_size=2, wait_ms=30_000)
    assert {size for _, (_, size, _) in small.map(range(6))} == {2}


def test_a_plain_function_can_be_batched_by_a_variant() -> None:
    assert plain_list.remote(3) == [3]
    assert list(plain_list.with_batching(max_batch_size=2, wait_ms=30_000).map([1, 2])) == [2, 4]


def test_a_slot_holds_a_batch(board: ModuleType) -> None:
    calls = [two_batches_at_once.spawn(x) for x in range(6)]
    board.wait_for_count("inside", 2)
    board.give("all batches")
    assert {call.get() for call in calls} == {(3, 2)}


def test_a_single_use_container_takes_one_batch() -> None:
    batches = list(batch_once.map(range(6)))
    assert sorted(Counter(batches).values()) == [2, 2, 2]
    assert len({pid for pid, _, _ in batches}) == 3


# ---------------------------------------------------------------- arguments


def test_callers_pass_scalars_in_any_style_and_the_body_gets_lists() -> None:
    calls = [two_arguments.spawn(9, 1), two_arguments.spawn(9, y=2), two_arguments.spawn(y=3, x=9)]
    assert [call.get() for call in calls] == [8, 7, 6]


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((1, 2, 3), {}, "takes 2 positional arguments, but one invocation in the batch has 3"),
        ((1, 2), {"z": 1}, "unexpected keyword argument 'z'"),
        ((1, 2), {"x": 1}, "multiple values for argument 'x'"),
        ((1,), {}, "misses the argument 'y'"),
    ],
)
def test_a_malformed_call_fails_alone(args: tuple[int, ...], kwargs: dict[str, int], message: str) -> None:
    bad = two_arguments.spawn(*args, **kwargs)
    good = [two_arguments.spawn(5, 1), two_arguments.spawn(5, 2)]
    with pytest.raises(InvalidError, match=message):
        bad.get()
    assert [call.get() for call in good] == [4, 3]


def test_inside_a_batch_the_id_is_that_of_its_first_input() -> None:
    seen = set(ids.map(range(3)))
    assert len(seen) == 1
    assert seen.pop().endswith(":0")


# ---------------------------------------------------------------- results


def results_of(how: str) -> list[object]:
    return list(strange_results.map(range(3), [how] * 3, return_exceptions=True))


@pytest.mark.parametrize("how", ["tuple", "str", "none"])
def test_what_is_not_a_list_is_an_error_to_every_caller(how: str) -> None:
    for result in results_of(how):
        assert isinstance(result, InvalidError)
        assert "must be a list" in str(result)


@pytest.mark.parametrize("how", ["short", "long"])
def test_a_list_of_another_length_is_an_error_to_every_caller(how: str) -> None:
    for result in results_of(how):
        assert isinstance(result, InvalidError)
        assert "equal length" in str(result)


def test_what_the_body_raises_reaches_every_caller_as_a_copy_of_its_own() -> None:
    results = results_of("raise")
    assert [(type(result), getattr(result, "args", None)) for result in results] == [(KeyError, ("whole batch", 1))] * 3
    assert len({id(result) for result in results}) == 3


def test_exceptions_in_the_list_are_values() -> None:
    values = list(strange_results.map(range(3), ["exceptions"] * 3))
    assert [(type(value), value.args) for value in values] == [(ValueError, (x,)) for x in range(3)]


def test_a_result_that_cannot_travel_fails_alone() -> None:
    results = results_of("unpicklable")
    assert (results[0], results[2]) == (0, 2)
    assert isinstance(results[1], SerializationError)


def test_system_exit_fails_the_batch_and_spares_the_container() -> None:
    for call in [strange_results.spawn(x, "exit") for x in range(3)]:
        with pytest.raises(SystemExit):
            call.get()
    assert results_of("fine") == [0, 1, 2]


# ---------------------------------------------------------------- with the rest


def test_async_functions_are_batched_too() -> None:
    assert list(async_batch.map(range(3), range(3))) == [(0, 3), (2, 3), (4, 3)]


def test_methods_are_batched_per_set_of_parameters() -> None:
    assert list(BatchedModel(factor=10).scale.map(range(3))) == [(0, 3), (10, 3), (20, 3)]
    assert BatchedModel().scale.remote(4) == (4, 1)


def test_a_class_can_have_its_batching_changed() -> None:
    pairs = BatchedModel.with_batching(max_batch_size=2, wait_ms=30_000)
    assert list(pairs(factor=2).scale.map(range(4))) == [(0, 2), (2, 2), (4, 2), (6, 2)]


def test_retried_inputs_join_new_batches(board: ModuleType) -> None:
    first = [retried_batch.spawn(x) for x in range(4)]
    board.wait_for_count("batch-of-3", 1)
    newcomer = retried_batch.spawn(9)
    assert sorted(call.get()[0] for call in [*first, newcomer]) == [0, 1, 2, 3, 9]
    (its_batch,) = board.notes("batch-of-9")
    assert set(its_batch.split()) - {"9"}, "it should have shared a batch with those that were tried again"
    assert [len(board.notes(f"batch-of-{x}")) for x in range(4)] == [2, 2, 2, 2]
