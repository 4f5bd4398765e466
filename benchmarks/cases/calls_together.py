"""Many calls that each wait for their result: from the threads of a program, and from the coroutines of a loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from benchmarks import pools
from benchmarks.case import Case, Measured
from benchmarks.work import increment

THREADS, TASKS = 16, 64
SECONDS = 3.0  #: for each measurement


def from_threads(kind: type[pools.Pool], quick: bool) -> Measured:
    """Call from THREADS threads at once, each again and again."""
    with kind(increment) as pool, ThreadPoolExecutor(THREADS) as threads:
        pool.map(increment, range(100))
        calls = list(threads.map(partial(_again, lambda: pool.call(increment, 1), _until(quick)), range(THREADS)))
        return Measured(sum(calls) / _seconds(quick))


def from_tasks(quick: bool) -> Measured:
    """Call from TASKS coroutines of one loop at once, each again and again."""
    import swell

    app = swell.App("bench")
    function = app.function(min_containers=pools.PROCESSES, max_containers=pools.PROCESSES)(increment)

    async def one(until: float) -> int:
        calls = 0
        while time.perf_counter() < until:
            await function.remote.aio(calls)
            calls += 1
        return calls

    async def all_of_them() -> int:
        until = _until(quick)
        return sum(await asyncio.gather(*[one(until) for _ in range(TASKS)]))

    with app.run():
        list(function.map(range(100)))
        return Measured(asyncio.run(all_of_them()) / _seconds(quick))


def executor_tasks(quick: bool) -> Measured:
    """The same with ProcessPoolExecutor, as `loop.run_in_executor` calls it."""
    from concurrent.futures import ProcessPoolExecutor

    async def all_of_them(pool: ProcessPoolExecutor) -> int:
        loop, until = asyncio.get_running_loop(), _until(quick)

        async def one() -> int:
            calls = 0
            while time.perf_counter() < until:
                await loop.run_in_executor(pool, increment, calls)
                calls += 1
            return calls

        return sum(await asyncio.gather(*[one() for _ in range(TASKS)]))

    with ProcessPoolExecutor(pools.PROCESSES) as pool:
        list(pool.map(increment, range(100)))
        return Measured(asyncio.run(all_of_them(pool)) / _seconds(quick))


def _again(call: Callable[[], object], until: float, _thread: int) -> int:
    calls = 0
    while time.perf_counter() < until:
        call()
        calls += 1
    return calls


def _seconds(quick: bool) -> float:
    return SECONDS / 3 if quick else SECONDS


def _until(quick: bool) -> float:
    return time.perf_counter() + _seconds(quick)


FROM_THREADS = Case(
    name="calls-threads",
    title=f"remote() from {THREADS} threads on two containers",
    unit="calls/s",
    contestants={
        kind.label: partial(from_threads, kind)
        for kind in pools.ALL
        if kind.installed() and kind is not pools.ChunkedProcessPool
    },
    higher_is_better=True,
    target="at least as many as ProcessPoolExecutor",
    floor="two messages and two wake-ups for each call, of a program that has one interpreter",
    meets=lambda values: values["swell"] >= values["ProcessPoolExecutor"],
)

FROM_TASKS = Case(
    name="calls-tasks",
    title=f"remote.aio() from {TASKS} coroutines on two containers",
    unit="calls/s",
    contestants={"swell": from_tasks, "ProcessPoolExecutor": executor_tasks},
    higher_is_better=True,
    target="at least three times as many as ProcessPoolExecutor",
    floor="a call's share of a write, a read and a wake-up that serve many",
    meets=lambda values: values["swell"] >= 3 * values["ProcessPoolExecutor"],
)
