"""Calls left with a daemon, each answered after its commit: from one thread, from many, and from many tasks.

Nothing is executed meanwhile, here and beside it: the only container is taken by a call that waits. huey is as it
comes: SQLite in its WAL mode, and no choice of `synchronous`, so that SQLite's default holds, which the details name (2
is FULL). swell's `store_sync=full` is the same. The floors are bare: what any program pays that keeps the promise.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.case import Case, Measured, percentile, timed
from benchmarks.daemon import DISK, Daemon
from benchmarks.floors import relayed_and_committed, written_and_synced
from benchmarks.work import first_after_start, increment

SECONDS = 3.0  #: for each measurement; swell keeps up to a million waiting calls
THREADS, TASKS = 16, 64


def swell_threads(sync: str, threads: int, quick: bool) -> Measured:
    """Spawn from so many threads."""
    with Daemon(store_sync=sync) as server:
        spawn = _held(server).spawn
        return _with_cpu(server, lambda: _in_threads(lambda: spawn("never"), threads, quick))


def swell_tasks(sync: str, tasks: int, quick: bool) -> Measured:
    """Spawn from so many tasks of one event loop."""

    async def measure(spawn: Any) -> Measured:
        times: list[float] = []
        await spawn.aio("never")  # connects
        until = time.perf_counter() + _seconds(quick)

        async def go_on() -> None:
            while (began := time.perf_counter()) < until:
                await spawn.aio("never")
                times.append(time.perf_counter() - began)

        began = time.perf_counter()
        await asyncio.gather(*[go_on() for _ in range(tasks)])
        return _measured(times, time.perf_counter() - began)

    with Daemon(store_sync=sync) as server:
        spawn = _held(server).spawn
        return _with_cpu(server, lambda: asyncio.run(measure(spawn)))


def huey_threads(threads: int, quick: bool) -> Measured:
    """Enqueue from so many threads."""
    from huey import SqliteHuey

    with tempfile.TemporaryDirectory(dir=DISK) as folder:
        huey = SqliteHuey(filename=str(Path(folder, "queue.db")))
        task = huey.task()(increment)
        measured = _in_threads(lambda: task(1), threads, quick)
        (synchronous,) = huey.storage.conn.execute("PRAGMA synchronous").fetchone()
        return Measured(measured.value, {**measured.details, "PRAGMA synchronous": synchronous})


def floor(one: Callable[[Path], AbstractContextManager[Callable[[], object]]], quick: bool) -> Measured:
    """Do the least, from one thread."""
    with tempfile.TemporaryDirectory(dir=DISK) as folder, one(Path(folder)) as call:
        return _in_threads(call, 1, quick)


def _held(server: Daemon) -> Any:
    """Return a function of the server's whose inputs wait, because one of them has its only container for itself."""
    function = server.deploy(first_after_start, containers=1)
    function.spawn(str(server.data_dir / "never"))
    return function


def _with_cpu(server: Daemon, measure: Callable[[], Measured]) -> Measured:
    """Add what a call costs in CPU time: the server's, of all its threads, and this process's."""
    server_s, client_s = server.cpu_s(), time.process_time()
    measured = measure()
    each = 1e6 / measured.details["calls"]
    costs = {
        "server CPU µs": (server.cpu_s() - server_s) * each,
        "client CPU µs": (time.process_time() - client_s) * each,
    }
    return Measured(measured.value, {**measured.details, **costs})


def _in_threads(one: Callable[[], object], threads: int, quick: bool) -> Measured:
    ready = threading.Barrier(threads + 1)

    def go_on() -> list[float]:
        one()  # connects
        ready.wait()
        times: list[float] = []
        until = time.perf_counter() + _seconds(quick)
        while time.perf_counter() < until:
            times.append(timed(one)[0])
        return times

    with ThreadPoolExecutor(threads) as executor:
        running = [executor.submit(go_on) for _ in range(threads)]
        ready.wait()
        began = time.perf_counter()
        times = [time_s for of_thread in running for time_s in of_thread.result()]
        return _measured(times, time.perf_counter() - began)


def _seconds(quick: bool) -> float:
    return 1.0 if quick else SECONDS


def _measured(times: list[float], took: float) -> Measured:
    details = {"p50 µs": percentile(times, 0.5) * 1e6, "p99 µs": percentile(times, 0.99) * 1e6, "calls": len(times)}
    return Measured(len(times) / took, details)


HUEY = find_spec("huey") is not None


def _huey(*threads: int) -> Generator[tuple[str, Callable[[bool], Measured]]]:
    """Yield huey as a contestant, from so many threads."""
    for count in threads if HUEY else ():
        yield f"huey on SQLite, {count} thread{'s' * (count > 1)}", partial(huey_threads, count)


def _times_huey(values: dict[str, float]) -> float:
    """Return how many times huey's best swell reaches."""
    return values["swell"] / max(values.get(label, 0.0) for label, _ in _huey(1, THREADS))


ONE_BY_ONE = Case(
    name="spawn",
    title="durable spawn from one thread, one by one, each answered after its commit",
    unit="calls/s",
    contestants={
        "swell": partial(swell_threads, "full", 1),
        **dict(_huey(1)),
        "swell, store_sync=normal": partial(swell_threads, "normal", 1),
        "bare write and fdatasync of 512 bytes": partial(floor, written_and_synced),
        "bare relay and SQLite commit of one row": partial(floor, relayed_and_committed),
    },
    higher_is_better=True,
    target="at least 0.55 times huey's enqueue",
    floor="a relay to another process, which commits one row in SQLite with synchronous=FULL, and answers",
    bare="bare relay and SQLite commit of one row",
    meets=(lambda values: _times_huey(values) >= 0.55) if HUEY else None,
)
THREADS_TOGETHER = Case(
    name="spawn-threads",
    title=f"durable spawn from {THREADS} threads, each answered after its commit",
    unit="calls/s",
    contestants={
        "swell": partial(swell_threads, "full", THREADS),
        **dict(_huey(THREADS)),
        "swell, store_sync=normal": partial(swell_threads, "normal", THREADS),
    },
    higher_is_better=True,
    target="at least 3 times huey's enqueue from as many threads",
    floor="one commit for all that wait: the CPU of a relay and a row each, and a share of the disk's wait",
    meets=(lambda values: _times_huey(values) >= 3) if HUEY else None,
)
TASKS_TOGETHER = Case(
    name="spawn-tasks",
    title=f"durable spawn from {TASKS} tasks of one event loop, each answered after its commit",
    unit="calls/s",
    contestants={
        "swell": partial(swell_tasks, "full", TASKS),
        **dict(_huey(1, THREADS)),
        "swell, store_sync=normal": partial(swell_tasks, "normal", TASKS),
    },
    higher_is_better=True,
    target="at least 5 times the better of huey's enqueues",
    floor="the same, with one write and one read of the client's for many calls",
    meets=(lambda values: _times_huey(values) >= 5) if HUEY else None,
)
