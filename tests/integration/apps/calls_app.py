"""Functions that do little, to be called in every way there is."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import board
from patience import timeout_s

import swell

app = swell.App("calls")


# ---------------------------------------------------------------- plain


@app.function()
def square(x: int) -> int:
    return x * x


@app.function()
async def double(x: int) -> int:
    await asyncio.sleep(0)
    return 2 * x


@app.function()
def show(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


@app.function()
def here() -> dict[str, Any]:
    """Tell where this runs."""
    try:
        asyncio.get_running_loop()
        loop = True
    except RuntimeError:
        loop = False
    return {
        "pid": os.getpid(),
        "main thread": threading.current_thread() is threading.main_thread(),
        "loop": loop,
        "local": swell.is_local(),
        "input": swell.current_input_id(),
        "call": swell.current_function_call_id(),
        "container": os.environ["SWELL_TASK_ID"],
    }


@app.function(max_containers=1)
def count_up(state: dict[str, int] = {"n": 0}) -> tuple[int, int]:  # noqa: B006  (it is to last)
    state["n"] += 1
    return os.getpid(), state["n"]


@app.function()
def wait(name: str) -> str:
    """Say that it runs, and go on when told to."""
    board.note("begin", name)
    board.wait_for(name)
    board.note("end", name)
    return name


@app.function()
async def async_wait(name: str) -> str:
    board.note("begin", name)
    while not board.given(name):  # noqa: ASYNC110 - another process gives it
        await asyncio.sleep(0.002)
    board.note("end", name)
    return name


@app.function()
def echo(value: Any) -> Any:
    return value


@app.function()
def show_or_fail(x: str) -> str:
    if x == "bad":
        raise KeyError(x)
    return x


@app.function()
def wait_or_fail(x: str) -> str:
    if x == "bad":
        raise KeyError(x)
    board.wait_for(x)
    return x


@app.function()
def maybe_waits(name: str) -> str:
    if name != "quick":
        board.wait_for(name)
    return name


@app.function(max_containers=1)
def one_at_a_time(name: str) -> str:
    board.note("begin", name)
    if name != "pass":
        board.wait_for(name)
    return name


@app.function(timeout=timeout_s(), startup_timeout=300)
def ends(how: str) -> Any:
    """End in one of the ways in which an input can."""
    match how:
        case "raise":
            raise ValueError(how)
        case "exit":
            raise SystemExit(3)
        case "time":
            time.sleep(100)
        case "unpicklable":
            return threading.Lock()
        case _:
            return how


@app.function(max_containers=1)
@swell.concurrent(max_inputs=2)
def wait_in_pair(name: str) -> str:
    board.note("begin", name)
    board.wait_for(name)
    return name


# ---------------------------------------------------------------- generators


@app.function()
def numbers(n: int, fail_at: int = -1) -> Iterator[int]:
    for i in range(n):
        if i == fail_at:
            raise ValueError("no more than", i)
        yield i


@app.function()
async def async_numbers(n: int) -> AsyncIterator[int]:
    for i in range(n):
        await asyncio.sleep(0)
        yield i


@app.function(is_generator=True)
def returned_numbers(n: int) -> Any:
    return (i for i in range(n))


@app.function()
def endless() -> Iterator[int]:
    board.note("generator begins")
    i = 0
    try:
        while True:
            board.note("item") if i % 100 == 0 else None
            yield i
            i += 1
    finally:
        board.note("generator ends")


@app.function()
def dying_numbers(n: int, dies_at: int) -> Iterator[int]:
    first_time = board.count_up("dying-numbers") == 0
    for i in range(n):
        if i == dies_at and first_time:
            os._exit(1)
        yield i


@app.function()
def paced() -> Iterator[str]:
    """Yield one value for each signal."""
    for name in ("a", "b", "c"):
        board.wait_for(name)
        yield name


# ---------------------------------------------------------------- functions that call functions


@app.function()
def calls_square(x: int) -> int:
    return square.remote(x) + 1


@app.function()
def maps_square(n: int) -> list[int]:
    return list(square.map(range(n)))


@app.function()
async def calls_async(x: int) -> list[int]:
    several = await asyncio.gather(square.remote.aio(x), double.remote.aio(x))
    return [*several, *[y async for y in square.map.aio(range(3))]]


@app.function()
def spawns(x: int) -> swell.FunctionCall[int]:
    return square.spawn(x)


@app.function()
def streams(n: int) -> list[int]:
    return list(numbers.remote_gen(n))


@app.function()
def uses(function: Any, x: int) -> int:
    return function.remote(x)


@app.function()
def gets(call: Any) -> Any:
    return call.get()


@app.function()
def factorial(n: int) -> int:
    return 1 if n <= 1 else n * factorial.remote(n - 1)


# ---------------------------------------------------------------- apps in containers


inner = swell.App("inner")


@inner.function()
def triple(x: int) -> int:
    return 3 * x


@app.function()
def runs_an_app(x: int) -> int:
    with inner.run():
        return triple.remote(x)


# ---------------------------------------------------------------- ends of containers


@app.function()
def dies_at(x: int, bad: int) -> int:
    if x == bad and board.count_up(f"dies-at-{bad}") == 0:
        os._exit(1)
    return x


# ---------------------------------------------------------------- what containers say


@app.function()
def says(*words: str) -> None:
    print(*words, flush=True)


@app.function()
def floods(name: str, lines: int) -> int:
    for i in range(lines):
        print(name, i)
    return lines


@app.function()
def forks_and_says() -> int:
    """Fork, let the child print, and return its exit code."""
    pid = os.fork()
    if pid == 0:
        print("child speaks", flush=True)
        os._exit(5)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@app.function()
def says_both_ways() -> None:
    print("to stdout")
    print("to stderr", file=sys.stderr)
    subprocess.run(["echo", "from a child"], check=True)
    sys.stdout.write("no newline at the end")


@app.function()
def says_and_waits(name: str) -> None:
    print(name, flush=True)
    board.wait_for(name)
    print("done")
