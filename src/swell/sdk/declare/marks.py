"""Decorators that go under `@app.function` and `@app.cls`: they note on the plain function what it is to be.

A mark is an entry of `__swell_marks__`, a dict on the function (or class): its key names the decorator, its value holds
the arguments. The object itself is returned, so marks stack in any order. What a mark means is decided where a
`FunctionSpec` is made of it, and in the container. This module must not know apps or specs.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar, cast, overload

from swell.errors import InvalidError
from swell.sdk.declare.method import Method
from swell.sdk.declare.source import is_generator as contains_yield
from swell.sdk.declare.source import is_handle, is_method

__all__ = ["MARKS", "batched", "check_parentheses", "concurrent", "enter", "exit", "mark", "marks_of", "method"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
F = TypeVar("F", bound="Callable[..., Any]")

MARKS: Final = "__swell_marks__"
Marks = dict[str, dict[str, Any]]

_BATCH_SIZE_MAX: Final = 1_000
_WAIT_MS_MAX: Final = 600_000
_MAX_INPUTS_MAX: Final = 1_000

_INTERFACES: Final = ("method", "batched", "web")
_LIFECYCLE: Final = ("enter", "exit")


def marks_of(target: Any) -> Marks:
    """Return the marks set on this very function or class, not those of a base class."""
    return getattr(target, "__dict__", {}).get(MARKS, {})


def mark(target: T, key: str, values: dict[str, Any], *, name: str) -> T:
    """Note `values` under `key` on the user's function or class.

    Args:
        target: What the decorator was applied to.
        key: Key of the mark.
        values: The decorator's arguments.
        name: How the decorator is spelled, for messages.

    Raises:
        InvalidError: the target is no function, was decorated by an App already, or has a mark that excludes this one.
    """
    if is_handle(target):
        raise InvalidError(
            f"@swell.{name} must stand below @app.function or @app.cls, next to the function: swap the order"
        )
    if isinstance(target, type) and key != "concurrent":
        raise InvalidError(f"@swell.{name} cannot be applied to a class: decorate one of its methods instead")
    if not callable(target) or isinstance(target, (staticmethod, classmethod)):
        raise InvalidError(f"@swell.{name} needs a function, not {target!r}")
    if key == "concurrent" and is_method(target) and not isinstance(target, type):
        raise InvalidError(
            f"@swell.{name} counts for all methods of a class: decorate the class, not {target.__qualname__}"
        )
    marks = marks_of(target)
    qualname = getattr(target, "__qualname__", repr(target))
    if key in marks:
        raise InvalidError(f"{qualname} is decorated with @swell.{name} twice")
    _check_company(qualname, {*marks, key})
    setattr(target, MARKS, {**marks, key: values})
    return cast("T", target)


def _check_company(qualname: str, keys: set[str]) -> None:
    interfaces = [key for key in _INTERFACES if key in keys]
    lifecycle = [key for key in _LIFECYCLE if key in keys]
    if interfaces and lifecycle:
        raise InvalidError(
            f"{qualname} cannot be both callable ({interfaces[0]}) and a lifecycle hook ({lifecycle[0]}): "
            "write two methods"
        )
    if "web" in interfaces and len(interfaces) > 1:
        raise InvalidError(
            f"{qualname} cannot be both a web endpoint and callable ({interfaces[0]}): write two functions"
        )


def check_parentheses(value: object, name: str) -> None:
    """Refuse `@swell.name` written without parentheses, and positional arguments.

    Raises:
        InvalidError: `value` is not None.
    """
    if value is not None:
        raise InvalidError(
            f"@swell.{name} takes keyword arguments only and needs its parentheses: write @swell.{name}(), "
            "with the options you want inside"
        )


class MethodDecorator(Protocol):
    """Makes `def m(self, x: X) -> R`, async or not, a `Method` whose callers give `x` only."""

    @overload
    def __call__(self, f: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /) -> Method[P, R]: ...
    @overload
    def __call__(self, f: Callable[Concatenate[Any, P], R], /) -> Method[P, R]: ...


class BatchedDecorator(Protocol):
    """Makes a body from lists to a list something that is called with scalars and returns one."""

    @overload
    def __call__(self, f: Callable[..., Coroutine[Any, Any, list[R]]], /) -> Method[..., R]: ...
    @overload
    def __call__(self, f: Callable[..., list[R]], /) -> Method[..., R]: ...


def method(_parentheses: None = None, *, is_generator: bool | None = None) -> MethodDecorator:
    """Make a method of an `@app.cls` class callable remotely: `Model().predict.remote(x)`.

    Args:
        is_generator: True for a plain method that returns a generator object; found out by itself otherwise.

    Raises:
        InvalidError: not a method, or together with a decorator that excludes it.
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
    """Let one container run several inputs at a time: in threads, or as tasks when the function is async.

    Args:
        max_inputs: Most inputs that a container runs at once, 1 to 1000. Required.
        target_inputs: Inputs per container that scaling aims at; above it, up to `max_inputs`, is for bursts that
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


def check_concurrency(max_inputs: int | None, target_inputs: int | None) -> None:
    """Refuse numbers that `concurrent` does not take; a missing `max_inputs` is told where the mark is used.

    Raises:
        InvalidError: names the number and its bounds.
    """
    if max_inputs is not None:
        _check_whole("max_inputs", max_inputs, 1, _MAX_INPUTS_MAX)
    if target_inputs is not None:
        _check_whole("target_inputs", target_inputs, 1, _MAX_INPUTS_MAX)
        if max_inputs is not None and target_inputs > max_inputs:
            raise InvalidError(f"target_inputs={target_inputs} cannot be greater than max_inputs={max_inputs}")


def batched(_parentheses: None = None, *, max_batch_size: int, wait_ms: int) -> BatchedDecorator:
    """Gather inputs of many callers into one call: callers give scalars, the body gets lists and returns a list.

    The body receives one list per parameter, all in the same order, and must return a list of the same length. On a
    class it stands in place of `@swell.method()`.

    Args:
        max_batch_size: Most inputs in a batch, 1 to 1000. A smaller batch comes when `wait_ms` is over.
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


def check_batching(max_batch_size: int, wait_ms: int) -> None:
    """Refuse numbers that `batched` does not take.

    Raises:
        InvalidError: names the number and its bounds.
    """
    _check_whole("max_batch_size", max_batch_size, 1, _BATCH_SIZE_MAX)
    _check_whole("wait_ms", wait_ms, 0, _WAIT_MS_MAX)


def check_batchable(function: Callable[..., Any]) -> None:
    """Refuse a function whose inputs cannot be handed over as lists.

    Raises:
        InvalidError: it is a generator, or has default or variable arguments.
    """
    from inspect import Parameter, signature

    name = getattr(function, "__qualname__", repr(function))
    if contains_yield(function):
        raise InvalidError(f"a batched function cannot be a generator: {name} must return a list")
    parameters = list(signature(function).parameters.values())
    for parameter in parameters[1:] if is_method(function) else parameters:
        if parameter.default is not Parameter.empty:
            raise InvalidError(f"a batched function cannot have default arguments: {name} has {parameter}")
        if parameter.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD):
            raise InvalidError(f"a batched function gets one list per parameter: {name} cannot have {parameter}")


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise InvalidError(f"{name} must be a {'positive' if low else 'non-negative'} integer, not {value!r}")
    if value > high:
        raise InvalidError(f"{name} cannot be greater than {high}, and is {value}")
