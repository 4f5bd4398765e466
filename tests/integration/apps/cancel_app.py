"""Functions to be cancelled: they note when they begin, how they are stopped, and when they end."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator

import board

import swell

app = swell.App("cancel")


def sleep_in_python(seconds: float = 20.0) -> None:
    """Sleep in pieces, so that an exception from another thread finds bytecode to appear at."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(0.001)


@app.function(max_containers=1)
def sync(x: int) -> int:
    board.note("begin", x)
    if x < 0:
        try:
            time.sleep(20)
        except BaseException as exc:
            board.note("stopped", type(exc).__name__, threading.current_thread() is threading.main_thread())
            raise
    return os.getpid()


@app.function(max_containers=1)
async def tasked(x: int) -> int:
    board.note("begin", x)
    if x < 0:
        try:
            await asyncio.sleep(20)
        except BaseException as exc:
            board.note("stopped", type(exc).__name__)
            raise
    return os.getpid()


@app.function(max_containers=1)
async def swallows(x: int) -> int:
    board.note("begin", x)
    if x < 0:
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            board.note("swallowed")
    return os.getpid()


@app.function(max_containers=1)
async def will_not_stop(x: int) -> int:
    board.note("begin", x)
    while x < 0:
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            board.note("swallowed")
    return os.getpid()


@app.function(max_containers=1)
def resists(x: int) -> int:
    board.note("begin", x)
    while x < 0:
        try:
            time.sleep(20)
        except BaseException:
            board.note("swallowed")
    return os.getpid()


@app.function(max_containers=1)
@swell.concurrent(max_inputs=4)
async def tasks(x: int) -> int:
    board.note("begin", x)
    if x < 0:
        await asyncio.sleep(20)
    await asyncio.to_thread(board.wait_for, "go")
    return os.getpid()


@app.function(max_containers=1)
@swell.concurrent(max_inputs=4)
def threads(x: int) -> int:
    board.note("begin", x)
    if x < 0:
        sleep_in_python()
    board.wait_for("go")
    return os.getpid()


@app.function(max_containers=1)
@swell.concurrent(max_inputs=4)
def blocked_threads(x: int) -> tuple[int, int]:
    before = board.count_up(f"begun-{x}")
    board.note("begin", x, before)
    if x < 0:
        threading.Event().wait(1_000)  # no exception from another thread reaches in here
    board.wait_for("go")
    return os.getpid(), before


@app.function(max_containers=1)
@swell.batched(max_batch_size=3, wait_ms=30_000)
def batch(xs: list[int]) -> list[int]:
    board.note("batch", *xs)
    if min(xs) < 0:
        try:
            time.sleep(20)
        except BaseException as exc:
            board.note("stopped", type(exc).__name__)
            raise
    return xs


@app.function(max_containers=1)
@swell.batched(max_batch_size=3, wait_ms=100)
def batch_again(xs: list[int]) -> list[int]:
    board.note("batch", *xs)
    if min(xs) < 0:
        time.sleep(20)
    return xs


@app.function(max_containers=1)
def generates(x: int) -> Iterator[int]:
    try:
        while True:
            yield x
            time.sleep(0.01)
    except BaseException as exc:
        board.note("stopped", type(exc).__name__)
        raise


@app.function(max_containers=2, retries=3)
def slow(x: int) -> int:
    board.note("begin", x)
    if x:
        time.sleep(20)
    return x


@app.cls(max_containers=1)
@swell.concurrent(max_inputs=4)
class Blocked:
    @swell.method()
    def run(self, x: int) -> int:
        board.note("begin", x)
        if x < 0:
            threading.Event().wait(1_000)
        return x

    @swell.exit()
    def close(self) -> None:
        board.note("exit", os.getpid())


@app.cls(max_containers=1)
class Cleaned:
    @swell.method()
    def run(self) -> int:
        board.note("begin", 1)
        time.sleep(20)
        return os.getpid()

    @swell.method()
    def pid(self) -> int:
        return os.getpid()
