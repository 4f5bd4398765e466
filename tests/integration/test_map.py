"""`map` and `for_each`: one call of many inputs, fed lazily and consumed as results arrive."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import calls_app as c
import pytest
from patience import patience, wait_until

import swell
from swell.exception import (
    DeprecationError,
    FunctionTimeoutError,
    InvalidError,
    RemoteError,
    SerializationError,
)

READ_AHEAD_MAX = 1_000 + 256  #: at most so many inputs are taken before a result is there


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> swell.App:
    return run_app(c.app)


async def later(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        await asyncio.sleep(0.001)  # what an input is made of takes its time
        yield item


async def collect(results: AsyncIterator[Any]) -> list[Any]:
    return [result async for result in results]


def squares(n: int) -> list[int]:
    return [i * i for i in range(n)]


def no_inputs_left(function: swell.Function[..., Any]) -> None:
    """Wait until nothing of a function waits or runs."""

    def is_idle() -> bool:
        stats = function.get_current_stats()
        return not (stats.backlog or stats.num_running_inputs)

    wait_until(is_idle, function.get_current_stats)


# ---------------------------------------------------------------- forms


@pytest.mark.nodes
def test_map_gives_the_results_in_order() -> None:
    assert list(c.square.map(range(2_000))) == squares(2_000)


def test_map_zips_its_iterables_and_stops_at_the_shortest() -> None:
    assert list(c.show.map([1, 2, 3], "ab")) == [((1, "a"), {}), ((2, "b"), {})]


def test_kwargs_are_added_to_every_call_and_not_iterated() -> None:
    assert list(c.show.map([1, 2], kwargs={"to": [7]})) == [((1,), {"to": [7]}), ((2,), {"to": [7]})]


def test_nothing_gives_nothing() -> None:
    assert list(c.square.map([])) == []
    assert asyncio.run(collect(c.square.map.aio([]))) == []


def test_none_is_a_result_as_any_other() -> None:
    assert list(c.says.map(["a", "b"])) == [None, None]


def test_inputs_do_not_share_objects() -> None:
    shared: list[int] = []
    assert list(c.show.map([shared, shared])) == [(([],), {}), (([],), {})]


def test_for_each_runs_everything_and_returns_nothing(board: ModuleType) -> None:
    for name in "abc":
        board.give(name)
    assert c.wait.for_each(iter("abc")) is None
    assert sorted(board.notes()) == sorted(f"{what} {name}" for what in ("begin", "end") for name in "abc")


def test_for_each_raises_unless_failures_are_ignored() -> None:
    with pytest.raises(TypeError):
        c.square.for_each([1, "two", 3])
    c.square.for_each([1, "two", 3], ignore_exceptions=True)


def test_a_thing_that_is_not_iterable_is_refused_on_the_first_request() -> None:
    results = c.square.map(5)
    with pytest.raises(TypeError, match="not iterable"):
        next(iter(results))
    with pytest.raises(InvalidError, match="at least one iterable"):
        list(c.square.map())


def test_generators_are_no_functions_for_map() -> None:
    for use in (lambda: list(c.numbers.map([1])), lambda: c.numbers.for_each([1]), lambda: c.numbers.spawn_map([1])):
        with pytest.raises(InvalidError, match="generator"):
            use()


def test_an_option_of_former_times_warns_once_and_does_nothing() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert list(c.square.map([2], wrap_returned_exceptions=True)) == [4]
    assert [warning.category for warning in caught] == [DeprecationError]


# ---------------------------------------------------------------- on event loops


async def test_aio_and_plain_results_serve_async_for() -> None:
    assert await collect(c.square.map.aio(range(50))) == squares(50)
    assert [y async for y in c.square.map(range(50))] == squares(50)


@pytest.mark.parametrize("form", ["map", "for_each", "spawn_map"])
async def test_a_blocking_form_inside_a_loop_names_its_aio(form: str) -> None:
    use = getattr(c.square, form)
    with pytest.raises(InvalidError, match=rf"{form}\.aio"):
        list(use([1, 2]))


@pytest.mark.nodes
def test_async_iterables_are_inputs_of_every_form() -> None:
    assert list(c.square.map(later(1, 2, 3))) == [1, 4, 9]
    assert list(c.show.map(later(1, 2), [3, 4])) == [((1, 3), {}), ((2, 4), {})]
    c.square.for_each(later(1, 2))
    assert list(c.square.spawn_map(later(1, 2, 3)).iter()) == [1, 4, 9]

    async def in_a_loop() -> None:
        assert await collect(c.square.map.aio(later(1, 2, 3))) == [1, 4, 9]
        assert await collect(c.show.map.aio(later(1, 2), [3, 4])) == [((1, 3), {}), ((2, 4), {})]
        await c.square.for_each.aio(later(1, 2))
        call = await c.square.spawn_map.aio(later(1, 2, 3))
        assert await collect(call.iter.aio()) == [1, 4, 9]

    asyncio.run(in_a_loop())


async def test_a_slow_async_iterable_does_not_hold_up_results() -> None:
    gate = asyncio.Event()

    async def inputs() -> AsyncIterator[int]:
        yield 2
        await gate.wait()
        yield 3

    results = c.square.map.aio(inputs())
    assert await anext(results) == 4
    gate.set()
    assert await anext(results) == 9


async def test_maps_run_at_the_same_time_on_one_loop() -> None:
    assert await asyncio.gather(*[collect(c.square.map.aio(range(100))) for _ in range(10)]) == [squares(100)] * 10


def test_inputs_are_made_in_the_callers_thread() -> None:
    threads: set[threading.Thread] = set()

    def inputs() -> Iterator[int]:
        for i in range(10):
            threads.add(threading.current_thread())
            yield i

    assert list(c.square.map(inputs())) == squares(10)
    assert threads == {threading.current_thread()}


# ---------------------------------------------------------------- laziness


def test_nothing_is_called_before_the_first_result_is_asked_for() -> None:
    taken: list[int] = []
    results = c.square.map(taken.append(i) or i for i in range(5))
    assert not taken
    assert next(iter(results)) == 0
    assert taken


def test_results_can_be_iterated_over_once() -> None:
    results = c.square.map(range(3))
    assert list(results) == [0, 1, 4]
    assert list(results) == []
    assert asyncio.run(collect(aiter(results))) == []


def test_results_that_nobody_consumed_are_mentioned(caplog: pytest.LogCaptureFixture) -> None:
    results = c.square.map(range(3))
    with caplog.at_level(logging.WARNING, "swell"):
        del results
        gc.collect()
    assert "not consumed" in caplog.text


def test_endless_inputs_are_read_ahead_within_bounds() -> None:
    taken = itertools.count()
    results = iter(c.square.map(next(taken) for _ in itertools.count()))
    for i in range(3_000):
        assert next(results) == i * i
    assert next(taken) <= 3_000 + 2 * READ_AHEAD_MAX
    results.close()  # pyright: ignore[reportAttributeAccessIssue]


async def test_endless_async_inputs_are_read_ahead_within_bounds() -> None:
    taken = itertools.count()

    async def inputs() -> AsyncIterator[int]:
        while True:
            yield next(taken)

    results = c.square.map.aio(inputs())
    for i in range(3_000):
        assert await anext(results) == i * i
    assert next(taken) <= 3_000 + 2 * READ_AHEAD_MAX
    await results.aclose()


def test_no_more_than_a_thousand_inputs_are_outstanding(board: ModuleType) -> None:
    taken = itertools.count()
    results = iter(c.wait.map("hold" for _ in iter(lambda: next(taken), None)))
    with ThreadPoolExecutor(1) as watching:
        most = watching.submit(_most_before, board, c.wait, "hold", 1_000)
        assert next(results) == "hold"
        assert most.result() == 1_000
    assert next(taken) <= 3_000
    results.close()  # pyright: ignore[reportAttributeAccessIssue]
    no_inputs_left(c.wait)


def _most_before(board: ModuleType, function: swell.Function[..., Any], signal: str, wanted: int) -> int:
    """Wait until a function has so many inputs, give the signal a while later, and return how many it had by then."""

    def inputs() -> int:
        stats = function.get_current_stats()
        time.sleep(0.03)  # more inputs would come meanwhile
        return stats.backlog + stats.num_running_inputs

    try:
        wait_until(lambda: inputs() >= wanted, "fewer inputs than wanted are outstanding")
        return max(inputs() for _ in range(10))
    finally:
        board.give(signal)


def test_a_slow_iterator_of_inputs_does_not_hold_back_what_is_ready(board: ModuleType) -> None:
    """What was sent runs while the next input is still being made."""

    def inputs() -> Iterator[str]:
        yield "a"
        board.wait_for_note("begin a")  # else this would wait for ever
        yield "b"

    board.give("a"), board.give("b")
    assert list(c.wait.map(inputs())) == ["a", "b"]


def test_results_are_handed_out_while_inputs_still_come(board: ModuleType) -> None:
    """The inputs do not end before the first result is there."""
    got, give_up_at = list[int](), time.monotonic() + patience()

    def inputs() -> Iterator[int]:
        yield 2
        while not got:
            assert time.monotonic() < give_up_at, "the first result waits for the last input"
            time.sleep(0.01)
            yield 3

    for result in c.square.map(inputs()):
        got.append(result)
    assert got[0] == 4
    assert set(got[1:]) <= {9}, "and those that were made until then"


# ---------------------------------------------------------------- order


def test_unordered_results_come_as_they_are_ready(board: ModuleType) -> None:
    results = iter(c.wait.map(["slow", "quick"], order_outputs=False))
    board.give("quick")
    assert next(results) == "quick"
    board.give("slow")
    assert list(results) == ["slow"]


def test_ordered_results_wait_for_those_before_them(board: ModuleType) -> None:
    results = iter(c.wait.map(["slow", "quick"]))
    board.give("quick")
    thread = threading.Thread(target=lambda: (board.wait_for_note("end quick"), board.give("slow")))
    thread.start()
    assert list(results) == ["slow", "quick"]
    thread.join()
    assert [note for note in board.notes() if note.startswith("end")] == ["end quick", "end slow"]


# ---------------------------------------------------------------- failures


def test_the_first_failure_raises_as_itself() -> None:
    results = c.show_or_fail.map(["a", "bad", "c"])
    with pytest.raises(KeyError) as caught:
        list(results)
    assert caught.value.args == ("bad",)


def test_a_failure_raises_though_earlier_inputs_still_run(board: ModuleType) -> None:
    results = c.wait_or_fail.map(["never", "bad"])
    with pytest.raises(KeyError):
        next(iter(results))
    no_inputs_left(c.wait_or_fail)  # what ran is cancelled


def test_return_exceptions_puts_failures_in_their_places() -> None:
    values = list(c.show_or_fail.map(["a", "bad", "c"], return_exceptions=True))
    assert values[0] == "a"
    assert values[2] == "c"
    assert type(values[1]) is KeyError
    assert values[1].args == ("bad",)


def test_return_exceptions_covers_what_became_of_an_input() -> None:
    kinds = [type(value) for value in c.ends.map(["value", "raise", "time", "unpicklable"], return_exceptions=True)]
    assert kinds == [str, ValueError, FunctionTimeoutError, SerializationError]


def test_return_exceptions_does_not_cover_what_is_no_exception() -> None:
    with pytest.raises(SystemExit):
        list(c.ends.map(["value", "exit"], return_exceptions=True))


def test_return_exceptions_does_not_cover_inputs_that_cannot_be_sent() -> None:
    with pytest.raises(SerializationError, match="lock"):
        list(c.square.map([1, threading.Lock(), 3], return_exceptions=True))


def test_exceptions_that_were_returned_are_results() -> None:
    error = ValueError("not raised")
    (value,) = c.echo.map([error])
    assert type(value) is ValueError


@pytest.mark.parametrize("return_exceptions", [False, True])
def test_a_failing_iterable_of_inputs_raises_at_the_consumer(return_exceptions: bool) -> None:
    def inputs() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("the source is dry")

    with pytest.raises(OSError, match="dry"):
        list(c.square.map(inputs(), return_exceptions=return_exceptions))
    assert list(c.square.map(range(5))) == squares(5)  # nothing is left half done


def test_a_failing_async_iterable_of_inputs_raises_at_the_consumer() -> None:
    async def inputs() -> AsyncIterator[int]:
        yield 1
        raise OSError("the source is dry")

    async def in_a_loop() -> None:
        with pytest.raises(OSError, match="dry"):
            await collect(c.square.map.aio(inputs()))

    with pytest.raises(OSError, match="dry"):
        list(c.square.map(inputs()))
    with pytest.raises(OSError, match="dry"):
        c.square.spawn_map(inputs())
    asyncio.run(in_a_loop())


# ---------------------------------------------------------------- leaving early


def test_leaving_early_cancels_what_is_left_at_once(board: ModuleType) -> None:
    closed: list[bool] = []

    def inputs() -> Iterator[str]:
        try:
            yield "first"
            for i in range(500):
                yield f"never-{i}"
        finally:
            closed.append(True)

    board.give("first")
    for value in c.wait.map(inputs()):
        assert value == "first"
        break
    gc.collect()
    assert closed
    no_inputs_left(c.wait)
    assert "end first" in board.notes()
    assert not [note for note in board.notes() if note.startswith("end never")]


async def test_leaving_early_on_a_loop_cancels_what_is_left_at_once(board: ModuleType) -> None:
    board.give("first")
    results = c.async_wait.map.aio(["first", *[f"never-{i}" for i in range(20)]])
    assert await anext(results) == "first"
    await results.aclose()
    await asyncio.to_thread(no_inputs_left, c.async_wait)
    assert not [note for note in board.notes() if note.startswith("end never")]


async def test_a_cancelled_task_cancels_its_map(board: ModuleType) -> None:
    task = asyncio.ensure_future(collect(c.async_wait.map.aio(["never"] * 5)))
    await asyncio.to_thread(board.wait_for_note, "begin never")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.to_thread(no_inputs_left, c.async_wait)


# ---------------------------------------------------------------- lost containers


@pytest.mark.parametrize("bad", [0, 57, 499])
def test_inputs_of_a_container_that_dies_run_elsewhere(bad: int, board: ModuleType) -> None:
    assert list(c.dies_at.map(range(500), kwargs={"bad": bad})) == list(range(500))


# ---------------------------------------------------------------- many


def test_single_calls_are_served_beside_a_large_map() -> None:
    results = iter(c.square.map(range(20_000)))
    for i in range(20):
        assert c.square.remote(i) == i * i  # long before the map is done
        assert next(results) == i * i
    assert list(results) == squares(20_000)[20:]


def test_quick_inputs_that_turn_out_slow_are_run_by_the_others(board: ModuleType) -> None:
    """One container holds many inputs, because they were quick; when one of them hangs, others run the rest."""
    assert len(list(c.maybe_waits.map(["quick"] * 3_000))) == 3_000
    results = c.maybe_waits.map(["hang", *["quick"] * 999], order_outputs=False)
    got = list(itertools.islice(results, 999))
    assert got == ["quick"] * 999
    board.give("hang")
    assert list(results) == ["hang"]


def test_remote_error_is_what_a_cancelled_call_gives(board: ModuleType) -> None:
    call = c.wait.spawn("never")
    board.wait_for_note("begin never")
    call.cancel()
    with pytest.raises(RemoteError, match="cancelled"):
        call.get()
