"""Functions whose containers run several inputs at once, one by one or in batches."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator

import board

import swell

app = swell.App("slots")


class Gauge:
    """How many are inside at once, and the most there ever were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.most = 0

    def __enter__(self) -> Gauge:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.now -= 1


gauge = Gauge()
Seen = tuple[int, int, str | None, str | None]  #: pid, most at once, input id before and after a wait


@app.function(max_containers=1)
@swell.concurrent(max_inputs=6)
def threaded(x: int, seconds: float = 0.05) -> tuple[int, int, str | None, str | None, bool]:
    with gauge:
        before = swell.current_input_id()
        time.sleep(seconds)
        is_main = threading.current_thread() is threading.main_thread()
        return os.getpid(), gauge.most, before, swell.current_input_id(), is_main


@app.function(max_containers=1)
@swell.concurrent(max_inputs=6)
async def tasked(x: int, seconds: float = 0.05) -> Seen:
    with gauge:
        before = swell.current_input_id()
        await asyncio.sleep(seconds)
        return os.getpid(), gauge.most, before, swell.current_input_id()


@app.function(max_containers=1)
@swell.concurrent(max_inputs=6)
def threaded_fails(x: int) -> int:
    time.sleep(0.05)
    if x % 2:
        raise ValueError(x)
    return x


@app.function(max_containers=1)
@swell.concurrent(max_inputs=6)
async def tasked_fails(x: int) -> int:
    await asyncio.sleep(0.05)
    if x % 2:
        raise ValueError(x)
    return x


@app.function(max_containers=1)
def one_at_a_time(x: int) -> tuple[int, bool]:
    with gauge:
        time.sleep(0.01)
        return gauge.most, threading.current_thread() is threading.main_thread()


@app.function(max_containers=1)
async def one_task_at_a_time(x: int) -> tuple[int, bool]:
    with gauge:
        await asyncio.sleep(0.01)
        return gauge.most, threading.current_thread() is threading.main_thread()


@app.function(max_containers=4)
@swell.concurrent(max_inputs=8, target_inputs=2)
def aims_at_two(name: str) -> int:
    board.note("inside", os.getpid())
    board.wait_for(name)
    return os.getpid()


@app.function(max_containers=1)
@swell.concurrent(max_inputs=8, target_inputs=2)
def bursts(name: str) -> int:
    board.note("inside", os.getpid())
    board.wait_for(name)
    return os.getpid()


@app.function(max_containers=1)
@swell.concurrent(max_inputs=4)
def counts(n: int) -> Iterator[tuple[int, int]]:
    with gauge:
        for i in range(n):
            time.sleep(0.01)
            yield i, gauge.most


@app.function(max_containers=1)
@swell.concurrent(max_inputs=4)
async def async_counts(n: int) -> AsyncIterator[tuple[int, int]]:
    with gauge:
        for i in range(n):
            await asyncio.sleep(0.01)
            yield i, gauge.most


@app.cls(max_containers=1)
@swell.concurrent(max_inputs=4)
class Mixed:
    """A plain, an async and a generator method in the same slots."""

    @swell.enter()
    def open(self) -> None:
        self.gauge = Gauge()

    @swell.method()
    def plain(self, others: int) -> int:
        return self._meet(others)

    @swell.method()
    async def tasked(self, others: int) -> int:
        return await asyncio.to_thread(self._meet, others)

    @swell.method()
    def generated(self, others: int) -> Iterator[int]:
        yield self._meet(others)

    def _meet(self, others: int) -> int:
        """Wait until so many are inside with this one."""
        deadline = time.monotonic() + 100
        with self.gauge:
            while self.gauge.most <= others and time.monotonic() < deadline:
                time.sleep(0.002)
            return self.gauge.most


@app.function(max_containers=1)
@swell.concurrent(max_inputs=8, target_inputs=2)
def sets_own_concurrency(name: str, n: int) -> list[int]:
    """Allow n inputs at once, and tell what was allowed before and is now."""
    board.note("inside", name)
    before = swell.experimental.get_local_input_concurrency()
    swell.experimental.set_local_input_concurrency(n)
    after = swell.experimental.get_local_input_concurrency()
    board.wait_for(name)
    return [before, after]


@app.function(max_containers=1)
@swell.concurrent(max_inputs=4)
def leaves_after_this(name: str) -> int:
    if name == "leave":
        swell.experimental.stop_fetching_inputs()
    board.note("inside", name, os.getpid())
    board.wait_for(name)
    return os.getpid()


# ---------------------------------------------------------------- batches

Batch = tuple[int, int, int]  #: pid, size of the batch, its number in the container


class Batches:
    number = 0

    @classmethod
    def results(cls, xs: list[int]) -> list[tuple[int, Batch]]:
        cls.number += 1
        return [(x, (os.getpid(), len(xs), cls.number)) for x in xs]


@app.function(max_containers=1)
@swell.batched(max_batch_size=4, wait_ms=400)
def batch_of_four(xs: list[int]) -> list[tuple[int, Batch]]:
    return Batches.results(xs)


@app.function(max_containers=1)
@swell.batched(max_batch_size=4, wait_ms=30_000)
def patient_batch(xs: list[int]) -> list[tuple[int, Batch]]:
    return Batches.results(xs)


@app.function(max_containers=1)
@swell.batched(max_batch_size=100, wait_ms=0)
def what_is_there(xs: list[int]) -> list[tuple[int, Batch]]:
    time.sleep(0.1)
    return Batches.results(xs)


@app.function(max_containers=1)
@swell.batched(max_batch_size=3, wait_ms=300)
async def async_batch(xs: list[int], ys: list[int]) -> list[tuple[int, int]]:
    await asyncio.sleep(0.01)
    return [(x + y, len(xs)) for x, y in zip(xs, ys, strict=True)]


@app.function(max_containers=1)
@swell.batched(max_batch_size=3, wait_ms=30_000)
def strange_results(xs: list[int], hows: list[str]) -> object:
    match hows[0]:
        case "tuple":
            return tuple(xs)
        case "str":
            return "abc"
        case "short":
            return xs[:-1]
        case "long":
            return [*xs, 1]
        case "none":
            return None
        case "raise":
            raise KeyError("whole batch", 1)
        case "exit":
            sys.exit(2)
        case "exceptions":
            return [ValueError(x) for x in xs]
        case "unpicklable":
            return [threading.Lock() if x == 1 else x for x in xs]
        case _:
            return xs


@app.function(max_containers=1)
@swell.batched(max_batch_size=3, wait_ms=30_000)
def two_arguments(x: list[int], y: list[int]) -> list[int]:
    return [a - b for a, b in zip(x, y, strict=True)]


@app.function(max_containers=1)
@swell.batched(max_batch_size=3, wait_ms=30_000)
def ids(xs: list[int]) -> list[str | None]:
    return [swell.current_input_id()] * len(xs)


@app.function(max_containers=1, retries=swell.Retries(max_retries=2, initial_delay=0.05))
@swell.batched(max_batch_size=4, wait_ms=200)
def retried_batch(xs: list[int]) -> list[tuple[int, int]]:
    """Batches of different numbers fail; every number notes with whom it came."""
    for x in xs:
        board.note(f"batch-of-{x}", *xs)
    if board.count_up("batches") == 0:
        raise ValueError("the first batch")
    return [(x, len(xs)) for x in xs]


@app.function(max_containers=1)
@swell.concurrent(max_inputs=2)
@swell.batched(max_batch_size=3, wait_ms=30_000)
def two_batches_at_once(xs: list[int]) -> list[tuple[int, int]]:
    with gauge:
        board.note("inside", len(xs))
        board.wait_for("all batches")
        return [(len(xs), gauge.most) for _ in xs]


@app.function(single_use_containers=True)
@swell.batched(max_batch_size=2, wait_ms=30_000)
def batch_once(xs: list[int]) -> list[Batch]:
    return [batch for _, batch in Batches.results(xs)]


@app.cls(max_containers=1)
class BatchedModel:
    factor: int = swell.parameter(default=1)

    @swell.batched(max_batch_size=3, wait_ms=200)
    def scale(self, xs: list[int]) -> list[tuple[int, int]]:
        return [(self.factor * x, len(xs)) for x in xs]


@app.function()
def plain_list(xs: int) -> list[int]:
    return [xs] if isinstance(xs, int) else [2 * x for x in xs]


@app.function(max_containers=1)
@swell.batched(max_batch_size=8, wait_ms=400)
def short_wait(xs: list[int]) -> list[int]:
    return [len(xs)] * len(xs)
