"""Functions that fail, die or never end, each in one way."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator

import board
from patience import timeout_s

import swell

app = swell.App("faults")


class Odd(Exception):
    def __init__(self, text: str, number: int) -> None:
        super().__init__(text, number)
        self.number = number


# ---------------------------------------------------------------- retries


def attempt(x: object) -> int:
    """Note an attempt for x with the time, and return how many there were before."""
    board.note(f"attempt-{x}", time.time(), swell.current_input_id())
    return board.count_up(f"attempts-{x}")


QUICK = swell.Retries(max_retries=2, initial_delay=0.05, backoff_coefficient=1.0)


@app.function(retries=QUICK)
def succeeds_at(x: int, number: int) -> int:
    if attempt(x) < number:
        raise Odd("not yet", number)
    return x


@app.function(retries=QUICK)
def numbered_failure(x: int) -> None:
    raise Odd("attempt", attempt(x))


@app.function(retries=swell.Retries(max_retries=3, initial_delay=0.1, backoff_coefficient=10.0, max_delay=1.0))
def backs_off(x: int) -> None:
    attempt(x)
    raise ValueError(x)


@app.function(retries=swell.Retries(max_retries=3, initial_delay=0.2, backoff_coefficient=1.0))
def steady(x: int) -> None:
    attempt(x)
    raise ValueError(x)


@app.function(retries=1)
def with_an_int(x: int) -> None:
    attempt(x)
    raise ValueError(x)


@app.function()
def once(x: int) -> None:
    attempt(x)
    raise ValueError(x)


@app.function(retries=QUICK)
async def async_succeeds_at(x: int, number: int) -> int:
    if attempt(x) < number:
        raise Odd("not yet", number)
    return x


@app.cls(retries=QUICK)
class Retried:
    @swell.method()
    def run(self, x: int) -> int:
        if attempt(x) < 1:
            raise ValueError(x)
        return x


# ---------------------------------------------------------------- timeouts


LIMIT_S = timeout_s()
START_S = 300  #: were it not said, it would be the timeout, which is short here


@app.function(timeout=LIMIT_S, startup_timeout=START_S)
def sleeps(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


@app.function(timeout=LIMIT_S, startup_timeout=START_S)
async def async_sleeps(seconds: float) -> int:
    try:
        await asyncio.sleep(seconds)
    finally:
        board.note("unwound", seconds)
    return os.getpid()


@app.cls(timeout=LIMIT_S, startup_timeout=START_S)
class Sleeps:
    @swell.method()
    async def tasked(self, seconds: float) -> int:
        await asyncio.sleep(seconds)
        return os.getpid()

    @swell.method()
    def plain(self, seconds: float) -> int:
        time.sleep(seconds)
        return os.getpid()


@app.function(timeout=LIMIT_S, startup_timeout=START_S, max_containers=1)
@swell.concurrent(max_inputs=4)
async def tasks_side_by_side(name: str) -> int:
    board.note("begin", name)
    while not board.given(name):  # noqa: ASYNC110 - another process gives it
        await asyncio.sleep(0.002)
    return os.getpid()


@app.function(timeout=LIMIT_S, startup_timeout=START_S)
async def will_not_stop(x: int) -> int:
    while x < 0:
        try:
            await asyncio.sleep(1_000)
        except asyncio.CancelledError:
            board.note("swallowed")
    return os.getpid()


@app.function(timeout=LIMIT_S, startup_timeout=START_S, retries=swell.Retries(max_retries=1, initial_delay=0.05))
def too_slow_at_first(x: int) -> int:
    time.sleep(1_000 if attempt(x) < 1 else 0)
    return x


@app.function(timeout=LIMIT_S, startup_timeout=START_S, retries=swell.Retries(max_retries=1, initial_delay=0.05))
def always_too_slow(x: int) -> None:
    attempt(x)
    time.sleep(1_000)


@app.function(timeout=LIMIT_S, startup_timeout=START_S, max_containers=1)
def in_line(x: int, seconds: float) -> int:
    time.sleep(seconds)
    return x


@app.function(timeout=2 * LIMIT_S, startup_timeout=START_S, max_containers=1)
@swell.concurrent(max_inputs=4)
def side_by_side(x: int, seconds: float) -> tuple[int, int]:
    """The late ones begin while the first has half of its time left."""
    before = attempt(x)
    time.sleep(seconds)
    return x, before


@app.function(timeout=LIMIT_S, startup_timeout=START_S)
def endless() -> Iterator[int]:
    yield 1
    time.sleep(1_000)


@app.function(timeout=LIMIT_S, startup_timeout=START_S)
@swell.batched(max_batch_size=2, wait_ms=5_000)
def slow_batch(xs: list[int]) -> list[int]:
    time.sleep(1_000)
    return xs


@app.cls(startup_timeout=1)
class NeverReady:
    @swell.enter()
    def open(self) -> None:
        time.sleep(1_000)

    @swell.method()
    def run(self) -> None: ...


# ---------------------------------------------------------------- deaths


@app.function()
def pid() -> int:
    return os.getpid()


@app.function()
def dies_at_first(x: int, deaths: int, how: str) -> tuple[int, int]:
    before = attempt(x)
    if before < deaths:
        die(how)
    return x, before


def die(how: str) -> None:
    match how:
        case "exit":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            ctypes.string_at(0)
        case "interrupt":
            raise KeyboardInterrupt
        case _:
            raise AssertionError(how)


@app.function(max_containers=2)
def dies_for(x: int, poison: int) -> int:
    if x == poison:
        attempt(x)
        os._exit(3)
    return x


@app.function(max_containers=1)
@swell.concurrent(max_inputs=4)
def dies_among(x: int, poison: int) -> int:
    if x == poison:
        os._exit(3)
    time.sleep(0.02)
    return x


@app.function()
def leaves(code: int) -> None:
    board.note("leaves", os.getpid())
    sys.exit(code)


@app.function(retries=QUICK)
def leaves_at_first(x: int) -> int:
    if attempt(x) < 1:
        sys.exit(1)
    return x


@app.function()
def always_interrupts(x: int) -> None:
    attempt(x)
    raise KeyboardInterrupt


@app.function()
@swell.concurrent(max_inputs=2)
def interrupts_on_a_thread(x: int) -> int:
    if attempt(x) < 1:
        raise KeyboardInterrupt
    return x


@app.function()
async def async_interrupts(x: int) -> int:
    if attempt(x) < 1:
        raise KeyboardInterrupt
    return x


@app.function()
def preempted(x: int) -> int:
    if attempt(x) < 1:
        swell.exception.simulate_preemption(0.01)  # type: ignore[arg-type]
        time.sleep(20)
    return x


@app.cls()
class FailsToEnter:
    pool: str = swell.parameter()

    @swell.enter()
    def open(self) -> None:
        attempt(f"enter-{self.pool}")  # by pool: that of another test may be trying still
        raise Odd("cannot enter", 7)

    @swell.exit()
    def close(self) -> None:
        board.note("exit")

    @swell.method()
    def run(self) -> None: ...


@app.cls()
class EntersAtSecond:
    @swell.enter()
    def open(self) -> None:
        if attempt("second") < 1:
            raise Odd("cannot enter yet", 7)

    @swell.method()
    def run(self) -> str:
        return "ran"


@app.cls()
class DiesInEnter:
    @swell.enter()
    def open(self) -> None:
        os._exit(5)

    @swell.method()
    def run(self) -> None: ...
