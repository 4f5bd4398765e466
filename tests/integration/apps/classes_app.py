"""Classes, each of which shows one side of a container's life."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import board

import swell

app = swell.App("classes")


@app.cls()
class AsyncHooked:
    @swell.enter()
    async def open(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.beats = 0
        self.heart = asyncio.create_task(self._beat())

    @swell.enter()
    def sync_hook(self) -> None:
        self.thread = threading.get_ident()

    async def _beat(self) -> None:
        while True:
            self.beats += 1
            await asyncio.sleep(0.001)

    @swell.method()
    async def on_the_same_loop(self) -> tuple[bool, bool, bool]:
        before = self.beats
        await asyncio.sleep(0.05)
        return asyncio.get_running_loop() is self.loop, threading.get_ident() == self.thread, self.beats > before

    @swell.method()
    def no_loop_here(self) -> tuple[bool, bool]:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return True, threading.current_thread() is threading.main_thread()
        return False, False

    @swell.exit()
    async def close(self) -> None:
        self.heart.cancel()
        board.note("closed on the same loop", asyncio.get_running_loop() is self.loop)


@app.cls()
class Counter:
    start: int = swell.parameter(default=0)

    @swell.enter()
    def open(self) -> None:
        self.count = self.start
        self.pid = os.getpid()

    @swell.method()
    def up(self) -> tuple[int, int]:
        self.count += 1
        return self.pid, self.count

    @swell.method()
    def values(self, n: int) -> Iterator[int]:
        for i in range(n):
            yield self.start + i

    @swell.method()
    async def slowly(self, n: int) -> AsyncIterator[int]:
        for i in range(n):
            await asyncio.sleep(0.001)
            yield self.start + i

    @swell.method(is_generator=True)
    def declared(self, n: int) -> Any:
        return (i for i in range(n))

    @swell.method()
    def breaks(self) -> Iterator[int]:
        yield 1
        raise ValueError("after one")

    @swell.method()
    async def add(self, x: int, *, to: int = 0) -> int:
        return self.start + x + to

    @swell.method()
    def fail(self) -> None:
        raise KeyError("kept", 1)


@app.cls(scaledown_window=2)
class Leaves:
    how: str = swell.parameter(default="")

    @swell.enter()
    def open(self) -> None:
        if self.how == "waits in enter":
            board.note("entering", os.getpid())
            board.give("first enters")
            board.wait_for("enter")

    @swell.method()
    def pid(self) -> int:
        return os.getpid()

    @swell.method()
    def leave(self) -> int:
        swell.experimental.stop_fetching_inputs()
        return os.getpid()

    @swell.method()
    def interrupted(self) -> int:
        if not board.notes("interrupted"):
            board.note("interrupted", os.getpid())
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(20)
        return os.getpid()

    @swell.exit()
    def close(self) -> None:
        board.note("exit", os.getpid())
        if self.how == "exit raises":
            raise RuntimeError("in an exit hook")

    @swell.exit()
    def close_too(self) -> None:
        board.note("second exit", os.getpid())


@app.function(single_use_containers=True)
@swell.concurrent(max_inputs=4)
def once_beside_others(x: int) -> int:
    time.sleep(0.02)
    return os.getpid()


@app.cls(single_use_containers=True)
class Once:
    @swell.method()
    def pid(self) -> int:
        return os.getpid()

    @swell.exit()
    def close(self) -> None:
        board.note("exit", os.getpid())


@app.function(image=swell.Image.debian_slim().workdir("/").workdir("/tmp").env({"FROM_IMAGE": "yes"}))
def surroundings() -> tuple[str, str | None]:
    return os.getcwd(), os.environ.get("FROM_IMAGE")


@app.function(image=swell.Image.debian_slim().workdir("/no/such/place"))
def nowhere() -> None: ...


ending = swell.App("ending")


@ending.cls()
class Ends:
    how: str = swell.parameter(default="")

    @swell.method()
    def hello(self) -> str:
        return "hello"

    @swell.method()
    def busy(self) -> None:
        board.note("busy")
        time.sleep(20)

    @swell.method()
    async def busy_async(self) -> None:
        board.note("busy")
        await asyncio.sleep(20)

    @swell.exit()
    def close(self) -> None:
        board.note("end", "begins")
        if self.how == "hangs":
            time.sleep(20)
        board.note("end", "over")
