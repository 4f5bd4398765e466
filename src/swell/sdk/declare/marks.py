"""Marks: the arguments of decorators, kept on the plain function or class until a `FunctionSpec` is made of them.

A mark is an entry of `__swell_marks__`, a dict on the function (or class): its key names the decorator, its value holds
the arguments. Marks stack in any order. `function_spec` and the runner decide what a mark means; here are the checks
that a decorator can make at once. This module must not know apps or specs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from swell.errors import InvalidError
from swell.sdk.declare.source import is_generator as contains_yield
from swell.sdk.declare.source import is_handle, is_method

__all__ = [
    "MARKS",
    "Marks",
    "check_batchable",
    "check_parentheses",
    "mark",
    "marks_of",
]

T = TypeVar("T")

MARKS: Final = "__swell_marks__"
Marks = dict[str, dict[str, Any]]

_INTERFACES: Final = ("method", "batched", "web")
_LIFECYCLE: Final = ("enter", "exit")


def marks_of(target: Any) -> Marks:
    """Return the marks set on this very function or class, not those of a base class."""
    return getattr(target, "__dict__", {}).get(MARKS, {})


def mark(target: T, key: str, values: dict[str, Any], *, name: str) -> T:
    """Set a mark on the user's function or class.

    Args:
        target: What the decorator was applied to.
        key: Key of the mark.
        values: The decorator's arguments.
        name: How the decorator is spelled, for messages.

    Raises:
        InvalidError: the target is not a function, an App has decorated it already, or it has a mark that excludes
        this.
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


def check_batchable(function: Callable[..., Any]) -> None:
    """Refuse a function whose inputs cannot be passed as lists.

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
