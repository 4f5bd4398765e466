"""What the SQLite store costs: commits, results, restarts. On its own, not beside peers.

    .venv-test/bin/python -m benchmarks.store [--busy US] [--interval US] [--normal] [NAME …]

`--busy` has the event loop compute without pause, so many microseconds a turn, as that of a server under full load
does: the thread that writes must fight for the GIL. `--interval` sets Python's switch interval.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from swell.ports import StoreBroken
from swell.records import (
    CallEnded,
    CallGrown,
    CallRecord,
    CallsCancelled,
    OutputsRecord,
    SpanRecord,
    SpansDone,
    Trace,
    Window,
)
from swell.sdk.connection.client import mint_call_id
from swell.store.sqlite.database import Synchronous
from swell.store.sqlite.store import SqliteStore

ARGUMENT = bytes(100)
SPAN = 256
WINDOW = Window(4_096, 32 << 20)


class Bench:
    """A store in a directory of its own, and a clock."""

    def __init__(self, directory: str, synchronous: Synchronous) -> None:
        self.path = os.path.join(directory, "swell.db")
        self.synchronous = synchronous
        self.sequence = 0
        self.store = self._open()
        self.store.restore()

    def _open(self) -> SqliteStore:
        loop = asyncio.get_running_loop()

        def broken(error: StoreBroken) -> None:
            print("broken:", error, repr(error.__cause__), file=sys.stderr)

        return SqliteStore(
            self.path,
            soon=loop.call_soon_threadsafe,
            on_broken=broken,
            synchronous=self.synchronous,
        )

    async def ask(self, method: str, *arguments: Any) -> Any:
        answer = asyncio.get_running_loop().create_future()
        getattr(self.store, method)(*arguments, lambda *found: answer.set_result(*(found or [None])))
        return await answer

    def call(self, accepted: int, function: str = "fu-abcdefghijklmnopqrstuv") -> str:
        self.sequence += 1
        call_id = mint_call_id()
        self.store.append(
            CallRecord(
                call_id=call_id,
                sequence=self.sequence,
                function_id=function,
                function_name="square",
                method="",
                parent="in-0123456789:0",
                opened_at=time.time(),
                accepted=accepted,
                sealed=True,
            )
        )
        return call_id

    def spawn(self) -> str:
        call_id = self.call(1)
        self.store.append(SpanRecord(call_id, 0, [len(ARGUMENT)], ARGUMENT))
        return call_id

    def long_call(self, inputs: int, span: int = SPAN) -> str:
        call_id = self.call(inputs)
        for first in range(0, inputs, span):
            ends = [len(ARGUMENT) * (i + 1) for i in range(min(span, inputs - first))]
            self.store.append(SpanRecord(call_id, first, ends, ARGUMENT * len(ends)))
        return call_id

    def result(self, call_id: str, first: int, count: int, container: str = "ta-0123456789abcdefghijklmnop") -> None:
        now = time.time()
        ends = [12 * (i + 1) for i in range(count)]
        trace = Trace(now, now, now, container)
        self.store.append(
            OutputsRecord(
                call_id=call_id,
                first=first,
                count=count,
                ends=ends,
                payload=b"twelve bytes" * count,
                failures=[],
                blobs=[],
                trace=trace,
            )
        )

    async def flowing(self, jobs: int, job: Callable[[int], None], outstanding: int) -> float:
        """Do jobs, each with a commit, at most so many of them unanswered; return seconds."""
        room, began = asyncio.Semaphore(outstanding), time.perf_counter()
        for number in range(jobs):
            await room.acquire()
            job(number)
            self.store.commit(room.release)
            if number % 16 == 15:
                await asyncio.sleep(0)
        await self.ask("commit")
        return time.perf_counter() - began

    def reopen(self) -> tuple[float, Any]:
        self.store.close()
        self.store = self._open()
        return timed(self.store.restore)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


async def timed_ask(bench: Bench, *arguments: Any) -> tuple[float, Any]:
    began = time.perf_counter()
    found = await bench.ask(*arguments)
    return time.perf_counter() - began, found


def size(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0


def say(what: str, value: float, unit: str) -> None:
    print(f"  {what:58} {value:12,.1f} {unit}", flush=True)


def percentiles(what: str, times: list[float]) -> None:
    times.sort()
    say(f"{what}, p50", times[len(times) // 2] * 1e6, "us")
    say(f"{what}, p99", times[int(len(times) * 0.99)] * 1e6, "us")


# ---------------------------------------------------------------- cases


async def disk(bench: Bench) -> None:
    """The disk alone: 20 kB written over and made durable."""
    fd = os.open(bench.path + ".probe", os.O_RDWR | os.O_CREAT)
    os.write(fd, bytes(4 << 20))
    os.fsync(fd)
    times = []
    for number in range(1_000):
        began = time.perf_counter()
        os.pwrite(fd, bytes(20_000), number % 200 * 20_000)
        os.fdatasync(fd)
        times.append(time.perf_counter() - began)
    os.close(fd)
    percentiles("write and fdatasync 20 kB", times)


async def one_by_one(bench: Bench) -> None:
    """A spawn of one input, answered before the next."""
    times = []
    for _ in range(2_000):
        began = time.perf_counter()
        bench.spawn()
        await bench.ask("commit")
        times.append(time.perf_counter() - began)
    percentiles("spawn, answered", times[200:])


async def spawns(bench: Bench) -> None:
    """Spawns of one input, many at once."""
    for outstanding in (32, 1_000):
        seconds = await bench.flowing(20_000, lambda _: bench.spawn() and None, outstanding)
        say(f"spawns with {outstanding} unanswered", 20_000 / seconds, "/s")


async def round_trips(bench: Bench) -> None:
    """Spawn, result and end of calls with one input."""
    known = [bench.spawn() for _ in range(20_000)]
    await bench.ask("commit")

    def end(number: int) -> None:
        bench.result(known[number], 0, 1)
        bench.store.append(CallEnded(known[number], 1, time.time()))

    for outstanding in (32, 1_000):
        half = iter(range(10_000)) if outstanding == 32 else iter(range(10_000, 20_000))
        seconds = await bench.flowing(10_000, lambda _, half=half: end(next(half)), outstanding)
        say(f"results of spawns with {outstanding} unanswered", 10_000 / seconds, "/s")


async def spans(bench: Bench) -> None:
    """A call that grows by spans."""
    call_id = bench.call(0)

    def grow(number: int) -> None:
        ends = [len(ARGUMENT) * (i + 1) for i in range(SPAN)]
        bench.store.append(SpanRecord(call_id, number * SPAN, ends, ARGUMENT * SPAN))
        bench.store.append(CallGrown(call_id, (number + 1) * SPAN, False))

    seconds = await bench.flowing(4_000, grow, 4)
    say(f"inputs in spans of {SPAN}, 4 unanswered", 4_000 * SPAN / seconds, "/s")


async def results(bench: Bench) -> None:
    """Results of a long call from two containers, which interleave."""
    for run, total in ((32, 400_000), (1, 40_000)):
        call_id = bench.long_call(total)
        await bench.ask("commit")
        half = total // 2

        def deliver(number: int, call_id: str = call_id, run: int = run, half: int = half) -> None:
            first = number // 2 * run + number % 2 * half
            bench.result(call_id, first, run, f"ta-{number % 2}123456789abcdefghijklmnop")
            if (first + run) % SPAN == 0:
                bench.store.append(SpansDone(call_id, [first + run - SPAN]))

        seconds = await bench.flowing(total // run, deliver, 64)
        say(f"results in runs of {run}, 64 unanswered", total / seconds, "/s")
        seconds, found = await timed_ask(bench, "read_outputs", call_id, 0, 10_000)
        say(f"  10,000 of them read back ({len(found):,})", seconds * 1e3, "ms")
        seconds, found = await timed_ask(bench, "load_call", call_id, WINDOW)
        say(f"  the call loaded ({found.call.done:,} done)", seconds * 1e3, "ms")


async def restart(bench: Bench) -> None:
    """A server begins where a million inputs wait, and goes on."""
    call_id = bench.long_call(1_000_000)
    seconds, _ = await timed_ask(bench, "commit")
    say("1,000,000 inputs of one call written", seconds * 1e3, "ms")
    for first in range(0, 500_000, 1):
        bench.result(call_id, first * 2, 1)
        if first % 10_000 == 0:
            await bench.ask("commit")
    await bench.ask("commit")
    seconds, found = bench.reopen()
    say(f"restored, half of them with results ({found.waiting})", seconds * 1e3, "ms")
    seconds, found = await timed_ask(bench, "load_calls", "fu-abcdefghijklmnopqrstuv", 0, 8_192, WINDOW)
    say(f"loaded ({len(found)} calls to {found[-1].spans.upto:,})", seconds * 1e3, "ms")
    seconds, found = await timed_ask(bench, "load_spans", call_id, found[-1].spans.upto, WINDOW)
    say(f"more spans loaded (to {found.upto:,})", seconds * 1e3, "ms")
    bench.store.append(CallsCancelled(("fu-abcdefghijklmnopqrstuv",), "stopped", time.time()))
    seconds, _ = await timed_ask(bench, "commit")
    say("cancelled", seconds * 1e3, "ms")
    seconds, _ = await timed_ask(bench, "expire", time.time() + 1, 0.0)
    say("expired", seconds * 1e3, "ms")


async def many_calls(bench: Bench) -> None:
    """A server begins where 300,000 calls wait, and goes on."""
    for number in range(300_000):
        bench.spawn()
        if number % 10_000 == 0:
            await bench.ask("commit")
    await bench.ask("commit")
    seconds, found = bench.reopen()
    say(f"300,000 calls restored ({found.waiting})", seconds * 1e3, "ms")
    after = 0
    for _ in range(2):
        seconds, found = await timed_ask(bench, "load_calls", "fu-abcdefghijklmnopqrstuv", after, 8_192, WINDOW)
        after = found[-1].call.sequence
        say(f"loaded ({len(found):,} calls)", seconds * 1e3, "ms")
    bench.store.append(CallsCancelled(("fu-abcdefghijklmnopqrstuv",), "stopped", time.time()))
    seconds, _ = await timed_ask(bench, "commit")
    say("cancelled", seconds * 1e3, "ms")
    seconds, _ = await timed_ask(bench, "expire", time.time() + 1, 0.0)
    say("expired", seconds * 1e3, "ms")
    seconds, _ = await timed_ask(bench, "expire", time.time() + 1, time.time() + 1)
    say("forgotten", seconds * 1e3, "ms")


CASES: dict[str, Callable[[Bench], Awaitable[None]]] = {
    case.__name__: case for case in (disk, one_by_one, spawns, round_trips, spans, results, restart, many_calls)
}


async def spin(turn_s: float, turns: list[int]) -> None:
    """Compute without pause, as a server does that has more to do than it can."""
    while True:
        turns[0] += 1
        until = time.perf_counter() + turn_s
        while time.perf_counter() < until:
            pass
        await asyncio.sleep(0)


async def run(names: list[str], synchronous: Synchronous, turn_s: float) -> None:
    turns = [0]
    spinning = asyncio.create_task(spin(turn_s, turns)) if turn_s else None
    for name in names:
        print(f"{name}: {CASES[name].__doc__}")
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:
            bench = Bench(directory, synchronous)
            began, turns[0] = time.perf_counter(), 0
            await CASES[name](bench)
            if turn_s:
                say("computed beside it", 100 * turns[0] * turn_s / (time.perf_counter() - began), "% of the time")
            log_size = size(bench.path + "-wal")
            bench.store.close()
            say("file at the end", size(bench.path) / 1e6, f"MB (log {log_size / 1e6:.1f} MB)")
        say("memory of the process, at most", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, "MB")
    if spinning is not None:
        spinning.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--busy", type=float, default=0.0, metavar="US", help="the event loop computes without pause")
    parser.add_argument("--interval", type=float, metavar="US", help="Python's switch interval")
    parser.add_argument("--normal", action="store_true", help="synchronous = normal: no fsync at commits")
    options = parser.parse_args()
    if options.interval:
        sys.setswitchinterval(options.interval / 1e6)
    import uvloop

    uvloop.run(run(options.names or list(CASES), "normal" if options.normal else "full", options.busy / 1e6))


if __name__ == "__main__":
    main()
