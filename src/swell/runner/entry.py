"""Entry points: the function, or the methods, that a container can call.

This module must not know how the callable was found, or in which thread it will run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from swell.errors import InvalidError

__all__ = ["EntryPoint", "marks_of", "raw"]

EMPTY: Final[dict[str, Any]] = {}


def raw(found: Any) -> Any:
    """Return the user's own object behind the handle that a decorator of the SDK has put in its place."""
    return getattr(found, "__swell_raw__", found)


def marks_of(function: Any) -> dict[str, Any]:
    """Return the marks that the SDK's decorators have set on a function, by decorator name."""
    marks = getattr(function, "__swell_marks__", None)
    return marks if isinstance(marks, dict) else EMPTY  # pyright: ignore[reportUnknownVariableType]


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """One callable, bound to its instance."""

    name: str  #: of the method; empty for a function
    call: Callable[..., Any]
    is_async: bool = False
    is_generator: bool = False

    def parameters(self) -> list[inspect.Parameter]:
        """Return the parameters of the callable.

        Raises:
            InvalidError: it has no signature.
        """
        try:
            return list(inspect.signature(self.call).parameters.values())
        except (TypeError, ValueError) as error:
            raise InvalidError(f"a batched function must have a signature: {error}") from error
