"""`starmap`: as `map`, for one iterable whose items are sequences of arguments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any

import calls_app as c
import pytest

import swell
from swell.exception import InvalidError


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> swell.App:
    return run_app(c.app)


async def later(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        await asyncio.sleep(0.001)  # what an input is made of takes its time
        yield item


def test_items_are_the_arguments_of_a_call() -> None:
    assert list(c.show.starmap([(1, 2), [3], (), "ab", range(2)])) == [
        ((1, 2), {}),
        ((3,), {}),
        ((), {}),
        (("a", "b"), {}),
        ((0, 1), {}),
    ]


def test_kwargs_are_added_to_every_call() -> None:
    assert list(c.show.starmap([(1,), (2,)], kwargs={"to": 3})) == [((1,), {"to": 3}), ((2,), {"to": 3})]


def test_an_item_that_is_no_sequence_fails_its_call_alone() -> None:
    values = list(c.square.starmap([(1,), 2, (3,)], return_exceptions=True))
    assert (values[0], values[2]) == (1, 9)
    assert type(values[1]) is TypeError
    with pytest.raises(TypeError, match="int"):
        list(c.square.starmap([5]))


def test_a_wrong_number_of_arguments_fails_its_call_alone() -> None:
    values = list(c.square.starmap([(1,), (2, 2), (), (3,)], return_exceptions=True))
    assert [type(value) for value in values] == [int, TypeError, TypeError, int]


def test_there_is_one_iterable() -> None:
    with pytest.raises(TypeError, match="one iterable"):
        list(c.square.starmap([(1,)], [(2,)]))
    with pytest.raises(TypeError, match="not iterable"):
        list(c.square.starmap(3))


def test_results_come_in_the_order_asked_for(board: ModuleType) -> None:
    results = iter(c.wait.starmap([("slow",), ("quick",)], order_outputs=False))
    board.give("quick")
    assert next(results) == "quick"
    board.give("slow")
    assert next(results) == "slow"


def test_iterables_may_be_asynchronous_or_endless() -> None:
    def endless() -> Iterator[tuple[int]]:
        i = 0
        while True:
            yield (i,)
            i += 1

    async def in_a_loop() -> list[int]:
        return [y async for y in c.square.starmap.aio(later((1,), (2,)))]

    assert list(c.square.starmap(later((1,), (2,)))) == [1, 4]
    assert asyncio.run(in_a_loop()) == [1, 4]
    assert [y for y, _ in zip(c.square.starmap(endless()), range(1_500), strict=False)] == [i * i for i in range(1_500)]


async def test_inside_a_loop_the_error_names_the_aio_form() -> None:
    with pytest.raises(InvalidError, match=r"starmap\.aio"):
        list(c.square.starmap([(1,)]))


def test_a_failing_iterable_raises_at_the_consumer() -> None:
    def inputs() -> Iterator[tuple[int]]:
        yield (1,)
        raise OSError("the source is dry")

    with pytest.raises(OSError, match="dry"):
        list(c.square.starmap(inputs()))


def test_generators_are_no_functions_for_starmap() -> None:
    with pytest.raises(InvalidError, match="generator"):
        list(c.numbers.starmap([(1,)]))
