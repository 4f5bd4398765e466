"""Former names: read pickles from an older version of swell, which name classes as of then.

Used only where unpickling has failed, so that other pickles take no longer. Modules are found by name when a pickle
needs them. This module must not import the modules that it names.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from typing import Any, Final

__all__ = ["has_former_names", "loads_former"]

#: Modules that were moved, by their former name. Entries stay: a store may hold pickles of any age.
_MODULES: Final = {
    "__swell_main__": "__main__",
    "swell.sdk.blocking": "swell.sdk.connection.blocking",
    "swell.sdk.client": "swell.sdk.connection.client",
    "swell.sdk.dual": "swell.sdk.connection.sync_async",
    "swell.sdk.effort": "swell.sdk.connection.retrying",
    "swell.sdk.ignore": "swell.sdk.declare.ignore",
    "swell.sdk.image": "swell.sdk.declare.image",
    "swell.sdk.inputs": "swell.sdk.calls.inputs",
    "swell.sdk.link": "swell.sdk.connection.link",
    "swell.sdk.marks": "swell.sdk.decorators",
    "swell.sdk.options": "swell.sdk.declare.options",
    "swell.sdk.outcome": "swell.sdk.calls.outcome",
    "swell.sdk.output": "swell.sdk.connection.output",
    "swell.sdk.parameters": "swell.sdk.declare.parameters",
    "swell.sdk.resources": "swell.sdk.declare.resources",
    "swell.sdk.results": "swell.sdk.calls.results",
    "swell.sdk.retries": "swell.sdk.declare.retries",
    "swell.sdk.schedule": "swell.sdk.declare.schedule",
    "swell.sdk.secret": "swell.sdk.declare.secret",
    "swell.sdk.session": "swell.sdk.connection.session",
    "swell.sdk.source": "swell.sdk.declare.source",
    "swell.sdk.surroundings": "swell.sdk.declare.container_env",
    "swell.sdk.target": "swell.sdk.calls.target",
    "swell.sdk.volume": "swell.sdk.declare.volume",
    "swell.sdk.web": "swell.sdk.web_decorators",
}

#: Names that were changed too, or moved to another module than the rest of their module, by former module and name.
_NAMES: Final = {
    ("swell.sdk.dual", "Dual"): ("swell.sdk.connection.sync_async", "SyncAsync"),
    ("swell.sdk.dual", "DualIterator"): ("swell.sdk.connection.sync_async", "SyncAsyncIterator"),
    ("swell.sdk.effort", "Persistent"): ("swell.sdk.connection.retrying", "Retrying"),
    ("swell.sdk.marks", "mark"): ("swell.sdk.declare.marks", "mark"),
    ("swell.sdk.marks", "marks_of"): ("swell.sdk.declare.marks", "marks_of"),
    ("swell.sdk.surroundings", "Surroundings"): ("swell.sdk.declare.container_env", "ContainerEnv"),
    ("swell.sdk.target", "Target"): ("swell.sdk.calls.target", "CallTarget"),
}

_FORMER: Final = tuple(name.encode() for name in _MODULES)


def has_former_names(data: bytes | memoryview, error: Exception) -> bool:
    """Tell whether `error`, raised by unpickling `data`, may come from a former name in it."""
    if not isinstance(error, (ImportError, AttributeError)):
        return False
    whole = bytes(data)
    return any(name in whole for name in _FORMER)


def loads_former(data: bytes | memoryview, buffers: Sequence[memoryview] = ()) -> Any:
    """Unpickle a value, with present names in place of former ones.

    Raises:
        Exception: any error of unpickling.
    """
    return _Unpickler(io.BytesIO(data), buffers=buffers).load()


class _Unpickler(pickle.Unpickler):
    """Looks up former names under their present ones."""

    def find_class(self, module: str, name: str, /) -> Any:
        """Return the object that a pickle names."""
        found = _NAMES.get((module, name), (_MODULES.get(module, module), name))
        return super().find_class(*found)
