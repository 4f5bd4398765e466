"""The source of a user's callable, and its kind.

Reads attributes of functions and classes; imports and runs no user code. `finish_source` pickles callables that a
container cannot import. This module must not know options or apps.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from swell.errors import InvalidError, SerializationError
from swell.model import FunctionSpec, Source
from swell.wire.script import identity_here

__all__ = [
    "SCRIPT",
    "finish_source",
    "is_async",
    "is_generator",
    "is_handle",
    "is_importable",
    "is_method",
    "source_of",
    "unwrap",
]

SCRIPT: Final = "__swell_main__"  #: what the top level of a client's script has as its name in a container

_CO_GENERATOR: Final = 0x20  # the flags of code objects; the inspect module has names for them but is slow to import
_CO_COROUTINE: Final = 0x80
_CO_ITERABLE_COROUTINE: Final = 0x100
_CO_ASYNC_GENERATOR: Final = 0x200

_PICKLED_WARN: Final = 256 << 10
_PICKLED_MAX: Final = 16 << 20


def is_handle(target: object) -> bool:
    """Tell whether a decorator of an App made this object."""
    return hasattr(type(target), "__swell_raw__")


def unwrap(target: Any) -> Any:
    """Return the user's object behind a handle of swell, or the object itself."""
    return target.__swell_raw__ if is_handle(target) else target


def _code_flags(function: Any) -> int:
    while hasattr(function, "func") and not hasattr(function, "__code__"):  # functools.partial
        function = function.func
    code = getattr(function, "__code__", None) or getattr(getattr(function, "__call__", None), "__code__", None)  # noqa: B004
    return 0 if code is None else code.co_flags


def is_generator(function: Callable[..., Any]) -> bool:
    """Tell whether a function contains `yield`, async or not."""
    return bool(_code_flags(function) & (_CO_GENERATOR | _CO_ASYNC_GENERATOR))


def is_async(function: Callable[..., Any]) -> bool:
    """Tell whether a function is declared with `async def`, generator or not."""
    return bool(_code_flags(function) & (_CO_COROUTINE | _CO_ITERABLE_COROUTINE | _CO_ASYNC_GENERATOR))


def is_method(function: Any) -> bool:
    """Tell whether a function was defined in the body of a class."""
    return "." in getattr(function, "__qualname__", "").rpartition("<locals>.")[2]


def is_importable(target: Any) -> bool:
    """Tell whether a function or class is defined at the top level of its module, under its own name."""
    qualname: str = target.__qualname__
    return "<locals>" not in qualname and "<lambda>" not in qualname


def source_of(target: Any) -> Source:
    """Return how a container can import a function or class: by its module's name, or by its script's path."""
    module = target.__module__ or "__main__"
    if module == SCRIPT:
        module = "__main__"
    loaded = sys.modules.get(target.__module__ or "__main__")
    file: str | None = getattr(loaded, "__file__", None)
    if file == "<stdin>":  # the file name of a program that is piped into Python
        file = None
    package: str = (getattr(loaded, "__package__", None) or "") if module == "__main__" else ""
    return Source(module, target.__qualname__, os.path.abspath(file) if file else None, package=package)


def finish_source(spec: FunctionSpec, target: Any) -> FunctionSpec:
    """Return the spec with which script it means; if a container could not import the user's callable, with its pickle.

    That is so for `serialized=True`, and for everything that is defined in a notebook, at a prompt or on stdin: there
    the module is `__main__` without a file.

    Args:
        spec: The spec that the decorator made.
        target: The user's function or class.

    Raises:
        SerializationError: it refers to an object that cannot be pickled.
        InvalidError: the pickle is larger than 16 MiB.
    """
    if spec.source.module == "__main__":
        spec = replace(spec, source=replace(spec.source, script=identity_here() or ""))
    interactive = spec.source.module == "__main__" and spec.source.file is None
    if spec.source.pickled or not (interactive or spec.recorded.get("serialized")):
        return spec
    import cloudpickle  # pyright: ignore[reportMissingTypeStubs]

    try:
        pickled: bytes = cloudpickle.dumps(target)  # pyright: ignore[reportUnknownMemberType]
    except Exception as error:
        raise SerializationError(
            f"{spec.name} cannot be serialized: {error}. Make it, or what it refers to, importable from a file"
        ) from error
    if len(pickled) > _PICKLED_MAX:
        raise InvalidError(
            f"{spec.name} serializes to {len(pickled):,} bytes; at most {_PICKLED_MAX:,} are accepted. "
            "Pass large objects as arguments, or load them inside the function"
        )
    if len(pickled) > _PICKLED_WARN:
        warnings.warn(
            f"{spec.name} serializes to {len(pickled):,} bytes, which every container has to load. "
            "Pass large objects as arguments, or load them inside the function",
            UserWarning,
            stacklevel=2,
        )
    return replace(spec, source=replace(spec.source, pickled=pickled))
