"""Requests over kept connections, from a process of its own: `python -m benchmarks.traffic URL`, told in JSON.

Without a rate, each connection sends its next request as soon as it has the answer to the last one, which tells how
much can be served. With one, requests are due at fixed times, and what they take is counted from then on: one that has
to wait for its connection counts as waiting. Nothing here knows who answers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from urllib.parse import urlsplit

import uvloop

from benchmarks.case import percentile

END_OF_HEAD = b"\r\n\r\n"


class Caller(asyncio.Protocol):
    """One connection: a request at a time."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._waiting: asyncio.Future[bool] | None = None
        self._heard = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    async def call(self) -> bool:
        """Send the request; return whether the answer, once it is there, is a good one."""
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(self._request)
        return await self._waiting

    def data_received(self, data: bytes) -> None:
        self._heard += data
        head_size = self._heard.find(END_OF_HEAD)
        if head_size < 0:
            return
        head = bytes(self._heard[:head_size]).lower()
        _, _, length = head.partition(b"content-length:")
        whole = head_size + len(END_OF_HEAD) + int(length.split(b"\r\n", 1)[0])
        if len(self._heard) >= whole:
            assert len(self._heard) == whole, "more came than was asked for"
            is_good = head.split(b" ", 2)[1] == b"200"
            self._heard.clear()
            self._answer(is_good)

    def connection_lost(self, exc: Exception | None) -> None:
        self._answer(False)

    def _answer(self, is_good: bool) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(is_good)


class Tally:
    """What came of the requests."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.failures = 0

    def note(self, took: float, is_good: bool) -> None:
        if is_good:
            self.times.append(took)
        else:
            self.failures += 1


async def as_fast_as_it_goes(callers: list[Caller], until: float, tally: Tally) -> None:
    async def go_on(caller: Caller) -> None:
        while (began := time.perf_counter()) < until:
            is_good = await caller.call()
            tally.note(time.perf_counter() - began, is_good)

    await asyncio.gather(*[go_on(caller) for caller in callers])


async def at_a_rate(callers: list[Caller], until: float, rate: float, tally: Tally) -> None:
    due = iter(range(1 << 40))
    started = time.perf_counter()

    async def go_on(caller: Caller) -> None:
        while (at := started + next(due) / rate) < until:
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            is_good = await caller.call()
            tally.note(time.perf_counter() - at, is_good)

    await asyncio.gather(*[go_on(caller) for caller in callers])


async def measure(url: str, connections: int, seconds: float, rate: float) -> dict[str, float]:
    parts, loop = urlsplit(url), asyncio.get_running_loop()
    request = f"GET {parts.path or '/'} HTTP/1.1\r\nhost: {parts.netloc}\r\naccept: */*\r\n\r\n".encode()
    callers = [
        (await loop.create_connection(lambda: Caller(request), parts.hostname, parts.port))[1]
        for _ in range(connections)
    ]
    for caller in callers:
        assert await caller.call(), f"{url} does not answer well"
    tally = Tally()
    began = time.perf_counter()
    if rate:
        await at_a_rate(callers, began + seconds, rate, tally)
    else:
        await as_fast_as_it_goes(callers, began + seconds, tally)
    took = time.perf_counter() - began
    return {
        "rate": len(tally.times) / took,
        "p50_ms": percentile(tally.times, 0.5) * 1e3,
        "p99_ms": percentile(tally.times, 0.99) * 1e3,
        "failures": tally.failures,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=0.0, help="requests per second; 0: as many as can be served")
    wanted = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(wanted.url, wanted.connections, wanted.seconds, wanted.rate))))


if __name__ == "__main__":
    main()
