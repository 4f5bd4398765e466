"""Calls left with a daemon, one after another: each is on the disk before the next is made.

Nothing is executed meanwhile, here and beside it: the only container is taken by a call that waits. huey is as it
comes: SQLite in its WAL mode with `synchronous=FULL`, which is SQLite's own default, so each task is on the disk, too.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.case import Case, Measured, percentile, timed
from benchmarks.daemon import DISK, Daemon
from benchmarks.work import first_after_start, increment

SECONDS = 3.0  #: for each measurement; swell keeps up to a million waiting calls


def swell_threads(sync: str, threads: int, quick: bool) -> Measured:
    """Spawn from so many threads."""
    with Daemon(store_sync=sync) as server:
        spawn = _held(server).spawn
        return _in_threads(lambda: spawn("never"), threads, quick)


def swell_tasks(sync: str, tasks: int, quick: bool) -> Measured:
    """Spawn from so many tasks of one event loop."""

    async def measure(spawn: Any) -> Measured:
        times: list[float] = []
        until = time.perf_counter() + _seconds(quick)

        async def go_on() -> None:
            while (began := time.perf_counter()) < until:
                await spawn.aio("never")
                times.append(time.perf_counter() - began)

        began = time.perf_counter()
        await asyncio.gather(*[go_on() for _ in range(tasks)])
        return _measured(times, time.perf_counter() - began)

    with Daemon(store_sync=sync) as server:
        return asyncio.run(measure(_held(server).spawn))


def huey_threads(threads: int, quick: bool) -> Measured:
    """Enqueue from so many threads."""
    from huey import SqliteHuey

    with tempfile.TemporaryDirectory(dir=DISK) as folder:
        task = SqliteHuey(filename=str(Path(folder, "queue.db"))).task()(increment)
        return _in_threads(lambda: task(1), threads, quick)


def _held(server: Daemon) -> Any:
    """Return a function of the server's whose inputs wait, because one of them has its only container for itself."""
    function = server.deploy(first_after_start, containers=1)
    function.spawn(str(server.data_dir / "never"))
    return function


def _in_threads(one: Any, threads: int, quick: bool) -> Measured:
    def go_on(until: float) -> list[float]:
        times: list[float] = []
        while time.perf_counter() < until:
            times.append(timed(one)[0])
        return times

    with ThreadPoolExecutor(threads) as executor:
        list(executor.map(lambda _: one(), range(threads)))  # connects
        began = time.perf_counter()
        times = list(executor.map(go_on, [began + _seconds(quick)] * threads))
        return _measured([time_s for of_thread in times for time_s in of_thread], time.perf_counter() - began)


def _seconds(quick: bool) -> float:
    return 1.0 if quick else SECONDS


def _measured(times: list[float], took: float) -> Measured:
    details = {"p50 µs": percentile(times, 0.5) * 1e6, "p99 µs": percentile(times, 0.99) * 1e6, "calls": len(times)}
    return Measured(len(times) / took, details)


HUEY = find_spec("huey") is not None

ONE_BY_ONE = Case(
    name="spawn",
    title="durable spawn, one by one, each answered after its commit",
    unit="calls/s",
    contestants={
        "swell": partial(swell_threads, "full", 1),
        "swell, store_sync=normal": partial(swell_threads, "normal", 1),
        **({"huey on SQLite": partial(huey_threads, 1)} if HUEY else {}),
    },
    higher_is_better=True,
    target="at least 3 times huey's enqueue",
    meets=(lambda values: values["swell"] >= 3 * values["huey on SQLite"]) if HUEY else None,
)
TOGETHER = Case(
    name="spawn-together",
    title="durable spawn from 64 threads",
    unit="calls/s",
    contestants={
        "swell": partial(swell_threads, "full", 64),
        "swell, 64 threads, store_sync=normal": partial(swell_threads, "normal", 64),
        "swell, 8 threads": partial(swell_threads, "full", 8),
        "swell, 8 tasks": partial(swell_tasks, "full", 8),
        "swell, 64 tasks": partial(swell_tasks, "full", 64),
        **({"huey on SQLite, 8 threads": partial(huey_threads, 8)} if HUEY else {}),
        **({"huey on SQLite, 64 threads": partial(huey_threads, 64)} if HUEY else {}),
    },
    higher_is_better=True,
    rounds=1,
)
