"""Decorators below `@app.function` and `@app.cls`: they set how a function or method is called, and how it runs.

Each sets a mark (see `declare.marks`) on the plain function and returns it. This module must not know apps or specs.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, overload

from swell.sdk.declare.concurrency import check_batching, check_concurrency
from swell.sdk.declare.marks import check_batchable, check_parentheses, mark

if TYPE_CHECKING:
    from swell.sdk.method import Method

__all__ = ["batched", "concurrent", "enter", "exit", "method"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")


class MethodDecorator(Protocol):
    """Turns `def m(self, x: X) -> R`, async or not, into a `Method` whose callers pass `x` only."""

    @overload
    def __call__(self, f: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /) -> Method[P, R]: ...
    @overload
    def __call__(self, f: Callable[Concatenate[Any, P], R], /) -> Method[P, R]: ...


class BatchedDecorator(Protocol):
    """Turns a function from lists to a list into one that is called with scalars and returns a scalar."""

    @overload
    def __call__(self, f: Callable[..., Coroutine[Any, Any, list[R]]], /) -> Method[..., R]: ...
    @overload
    def __call__(self, f: Callable[..., list[R]], /) -> Method[..., R]: ...


def method(_parentheses: None = None, *, is_generator: bool | None = None) -> MethodDecorator:
    """Make a method of an `@app.cls` class callable remotely: `Model().predict.remote(x)`.

    Args:
        is_generator: True for a plain method that returns a generator object; detected otherwise.

    Raises:
        InvalidError: it is not a method, or has a decorator that excludes this one.
    """
    check_parentheses(_parentheses, "method")

    def decorate(f: Callable[..., Any]) -> Callable[..., Any]:
        return mark(f, "method", {"is_generator": is_generator}, name="method")

    return cast("MethodDecorator", decorate)


def enter(_parentheses: None = None, *, snap: bool = False) -> Callable[[F], F]:
    """Run a method of an `@app.cls` class once when a container starts, before any input.

    Args:
        snap: Run before the memory snapshot is taken, so that later containers start with its effect. Needs
            `enable_memory_snapshot=True`.
    """
    check_parentheses(_parentheses, "enter")
    return lambda f: mark(f, "enter", {"snap": snap}, name="enter")


def exit(_parentheses: None = None) -> Callable[[F], F]:
    """Run a method of an `@app.cls` class once when a container stops, after its last input; it may take 30 s."""
    check_parentheses(_parentheses, "exit")
    return lambda f: mark(f, "exit", {}, name="exit")


def concurrent(
    _parentheses: None = None, *, max_inputs: int | None = None, target_inputs: int | None = None
) -> Callable[[T], T]:
    """Let one container run several inputs at a time: in threads, or as asyncio tasks if the function is async.

    Args:
        max_inputs: Most inputs that a container runs at once, 1 to 1000. Required.
        target_inputs: Inputs per container at which scaling aims; between it and `max_inputs` is room for bursts that
            further containers cannot take in time. Default: `max_inputs`.

    Raises:
        InvalidError: a number is not whole or out of range, or `target_inputs` is more than `max_inputs`.

    Example:
        `@app.function()` over `@swell.concurrent(max_inputs=100, target_inputs=80)`. On a class it counts for all its
        methods together.
    """
    check_parentheses(_parentheses, "concurrent")
    check_concurrency(max_inputs, target_inputs)
    values = {"max_inputs": max_inputs, "target_inputs": target_inputs}
    return lambda target: mark(target, "concurrent", values, name="concurrent")


def batched(_parentheses: None = None, *, max_batch_size: int, wait_ms: int) -> BatchedDecorator:
    """Gather inputs of many callers into one call: callers pass scalars, the body gets lists and returns a list.

    The body receives one list per parameter, all in the same order, and must return a list of the same length. On a
    class it replaces `@swell.method()`.

    Args:
        max_batch_size: Most inputs in a batch, 1 to 1000. After `wait_ms`, a smaller batch is run.
        wait_ms: How long the first input of a batch waits for others, in milliseconds, 0 to 600000.

    Raises:
        InvalidError: a number out of range, or a function that cannot be batched: a generator, or one with default
            arguments or variable arguments.

    Example:
        `@app.function()` over `@swell.batched(max_batch_size=32, wait_ms=50)` over
        `def embed(texts: list[str]) -> list[Vector]`; then `embed.remote("one text")` gives one Vector.
    """
    check_parentheses(_parentheses, "batched")
    check_batching(max_batch_size, wait_ms)

    def decorate(f: Callable[..., Any]) -> Callable[..., Any]:
        marked = mark(f, "batched", {"max_batch_size": max_batch_size, "wait_ms": wait_ms}, name="batched")
        check_batchable(marked)
        return marked

    return cast("BatchedDecorator", decorate)
