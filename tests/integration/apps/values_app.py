"""Functions that take, return and raise what is hard to carry."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from typing import Any

import swell

app = swell.App("values")


class Refused(Exception):
    """A user's own exception, with a constructor that takes more than a message."""

    def __init__(self, code: int, *, why: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.why = why

    def __reduce__(self) -> tuple[Any, ...]:
        return _refused, (self.code, self.why)


def _refused(code: int, why: str) -> Refused:
    return Refused(code, why=why)


class Awkward(Exception):
    """Unpickles as `Awkward(*args)`, which its constructor does not allow."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__("one argument")


class Locked(Exception):
    """Cannot be pickled."""

    def __init__(self) -> None:
        super().__init__("holds a lock")
        self.lock = threading.Lock()


class Touchy(Exception):
    """Cannot be rebuilt outside of a container."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _touchy, ()


def _touchy() -> Touchy:
    if swell.is_local():
        raise RuntimeError("cannot be rebuilt at the caller")
    return Touchy("not for you")


class Explosive:
    """Pickles; unpickling it raises in a container only."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _explode, ()


def _explode() -> str:
    if not swell.is_local():
        raise RuntimeError("cannot be read in a container")
    return "harmless here"


class ExplosiveResult:
    """Pickles; unpickling it raises at the caller only."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _explode_at_the_caller, ()


def _explode_at_the_caller() -> str:
    if swell.is_local():
        raise RuntimeError("cannot be read at the caller")
    return "harmless there"


@app.function()
def echo(value: Any) -> Any:
    return value


@app.function()
def length(value: bytes) -> int:
    return len(value)


@app.function()
def zeros(size: int) -> bytes:
    return bytes(size)


@app.function()
def double_array(array: Any) -> Any:
    array *= 2  # arguments are the function's own
    return array


@app.function(memory=(128, 512))
def allocates(size_mb: int) -> int:
    return len(bytearray(size_mb << 20))


@app.function()
def makes(what: str) -> Any:
    """Return something that is hard to return."""
    match what:
        case "lock":
            return threading.Lock()
        case "lambda":
            return lambda x: x + 1
        case "explosive":
            return ExplosiveResult()
        case "unknown":
            import unshared

            return unshared.OnlyThere()
        case "local class":

            class Local:
                value = 5

            return Local()
        case _:
            return what


@app.function()
def raises(what: str) -> None:
    """Raise something that is hard to raise."""
    match what:
        case "refused":
            raise Refused(7, why="no reason")
        case "awkward":
            raise Awkward(1, 2)
        case "touchy":
            raise Touchy("not for you")
        case "locked":
            raise Locked
        case "unknown":
            import unshared

            raise unshared.OnlyThereError("from there")
        case "exit":
            raise SystemExit(4)
        case "cause":
            try:
                raise KeyError("inner")
            except KeyError as error:
                raise ValueError("outer") from error
        case "stderr":
            sys.stderr = open(os.devnull, "wb")  # noqa: SIM115  # type: ignore[assignment]
            raise ValueError("mine")
        case "group":
            raise ExceptionGroup("several", [ValueError(1), KeyError("two")])
        case "long":
            raise ValueError("x" * (5 << 20))
        case "swell":
            raise swell.exception.NotFoundError("the user's own use of it")
        case "stop":
            raise StopIteration(3)
        case "deep":
            return deep(200)
        case _:
            raise AssertionError(what)


def deep(n: int) -> None:
    if n == 0:
        raise RecursionError("deep down")
    deep(n - 1)


@app.function()
async def async_raises() -> None:
    await asyncio.sleep(0)
    raise Refused(8)


@app.function()
def returns_coroutine() -> Any:
    async def coroutine() -> int:
        return 1

    return coroutine()


@app.function()
def returns_generator() -> Any:
    return (i for i in range(3))


@app.function(is_generator=True)
def returns_no_generator() -> Any:
    return 3


@app.function()
def pid() -> int:
    return os.getpid()


@app.function(timeout=1, startup_timeout=300)
def stuck() -> None:
    threading.Event().wait()
