"""Generator functions: values stream as they are yielded, no further ahead than their consumer allows."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from types import ModuleType

import calls_app as c
import pytest

import swell

AHEAD_MAX = 1_024  #: values a generator may be ahead of its consumer
NOTE_EVERY = 100


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> swell.App:
    return run_app(c.app)


@pytest.mark.parametrize("function", [c.numbers, c.async_numbers, c.returned_numbers], ids=lambda f: f.name)
def test_values_come_in_order(function: swell.Function[..., object]) -> None:
    assert list(function.remote_gen(5_000)) == list(range(5_000))
    assert list(function.remote_gen(0)) == []


def test_the_result_is_an_iterator() -> None:
    values = c.numbers.remote_gen(2)
    assert isinstance(values, Iterator)
    assert [next(values), next(values)] == [0, 1]
    with pytest.raises(StopIteration):
        next(values)


async def test_aio_is_an_async_iterator() -> None:
    assert [x async for x in c.numbers.remote_gen.aio(3)] == [0, 1, 2]
    assert [x async for x in c.async_numbers.remote_gen.aio(3)] == [0, 1, 2]


@pytest.mark.nodes
def test_values_arrive_when_they_are_yielded(board: ModuleType) -> None:
    values = c.paced.remote_gen()
    for name in ("a", "b", "c"):
        board.give(name)  # the next is not made before
        assert next(values) == name


def test_a_failure_half_way_comes_after_the_values_before_it() -> None:
    values = c.numbers.remote_gen(10, fail_at=3)
    assert [next(values) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="no more than") as caught:
        next(values)
    assert caught.value.args == ("no more than", 3)


@pytest.mark.nodes
def test_an_endless_generator_waits_for_its_consumer(board: ModuleType) -> None:
    values = c.endless.remote_gen()
    for i in range(3_000):
        assert next(values) == i
    assert board.notes().count("item") <= (3_000 + 2 * AHEAD_MAX) / NOTE_EVERY
    values.close()  # pyright: ignore[reportAttributeAccessIssue]


def test_leaving_early_ends_the_generator(board: ModuleType) -> None:
    for value in c.endless.remote_gen():
        if value == 10:
            break
    gc.collect()
    board.wait_for_note("generator ends")


async def test_leaving_early_on_a_loop_ends_the_generator(board: ModuleType) -> None:
    values = c.endless.remote_gen.aio()
    assert await anext(values) == 0
    await values.aclose()
    await asyncio.to_thread(board.wait_for_note, "generator ends")


def test_generators_run_at_the_same_time() -> None:
    several = [c.numbers.remote_gen(500) for _ in range(4)]
    assert list(zip(*several, strict=True)) == [(i,) * 4 for i in range(500)]


def test_calls_can_be_made_between_values() -> None:
    assert [c.square.remote(x) for x in c.numbers.remote_gen(5)] == [0, 1, 4, 9, 16]


@pytest.mark.nodes
def test_a_generator_whose_container_dies_goes_on_elsewhere(board: ModuleType) -> None:
    """It starts again; its consumer sees no value twice."""
    assert list(c.dying_numbers.remote_gen(300, dies_at=200)) == list(range(300))


def test_local_is_the_plain_generator() -> None:
    assert list(c.numbers.local(3)) == [0, 1, 2]
