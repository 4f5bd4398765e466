"""The descriptor that replaces a remotely callable method in its class.

On an instance it returns a `Function`: `self.other.remote(x)` inside a method, as `Model().other.remote(x)` outside.
This module must not know how the Function is made: the owner of the descriptor passes a callable for that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

if TYPE_CHECKING:
    from swell.sdk.function import Function

__all__ = ["Method"]

P = ParamSpec("P")
R = TypeVar("R")


class Method(Generic[P, R]):
    """A remotely callable method, seen through its class; on an instance it is a `Function[P, R]`.

    Args:
        raw: The plain function.
        name: Its name in the class.
        bind: Returns the Function of an instance, called with that and the name.
    """

    def __init__(self, raw: Callable[..., Any], name: str, bind: Callable[[object, str], Function[..., Any]]) -> None:
        self._raw = raw
        self._name = name
        self._bind = bind
        self.__doc__ = raw.__doc__

    @property
    def __swell_raw__(self) -> Callable[..., Any]:
        return self._raw

    @overload
    def __get__(self, instance: None, owner: type[Any], /) -> Method[P, R]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any], /) -> Function[P, R]: ...
    def __get__(self, instance: object | None, owner: type[Any], /) -> Any:
        if instance is None:
            return self
        return self._bind(instance, self._name)

    def __reduce__(self) -> tuple[Any, ...]:
        return Method, (self._raw, self._name, self._bind)
