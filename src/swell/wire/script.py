"""Which script a process runs: by this, what one script defines is told from what another does.

What a script defines is pickled as `__main__.NAME`, and every script is `__main__`. So a pickle that names `__main__`
travels behind a mark and the identity of its script, and names that are meant to be in another script are refused: a
class of the same name here would be another one. In a file, which the user's own code writes, there is no mark.

This module must not know messages, files that hold values, or how a container loads a script.
"""

from __future__ import annotations

import functools
import io
import os
import pickle
import sys
import zlib
from collections.abc import Sequence
from types import FunctionType, ModuleType
from typing import Any, Final

from swell.errors import DeserializationError

__all__ = [
    "Script",
    "ScriptUnpickler",
    "by_value_pickler",
    "identity_here",
    "is_marked",
    "marked",
    "names_main",
    "unmarked",
]

MARK: Final = b"\0main\0"  #: the first bytes of every such payload; no pickle, and no JSON, begins with them
_LENGTH_BYTES: Final = 2
_NAME_MAX: Final = 100  #: characters of a script's name that are kept, for messages
_MAIN: Final = b"__main__"


class Script:
    """The script that this process, a container, has loaded as its `__main__`; a child process inherits it.

    Attributes:
        module: The module; None elsewhere.
        identity: As the client told it; "" if the client was of a version that did not.
    """

    module: ModuleType | None = None
    identity: str = ""


def identity_here() -> str | None:
    """Return the identity of this process's script; "" if it is not known, None if there is no script."""
    main = sys.modules["__main__"]
    if main is Script.module:
        return Script.identity
    file: str | None = getattr(main, "__file__", None)
    return None if file is None else _identity_of(file)


@functools.cache
def _identity_of(file: str) -> str:
    """Return the identity of a script: sums of its path and of what is in it, and its name."""
    place = os.path.realpath(file)
    try:
        with open(place, "rb") as script:
            content = _sum_of(script.read())
    except OSError:  # it is in an archive, or is gone
        content = ""
    name = os.path.basename(place).encode("utf-8", "backslashreplace").decode()[:_NAME_MAX]
    return f"{_sum_of(os.fsencode(place))}:{content}:{name}"


def _sum_of(data: bytes) -> str:
    return f"{len(data):x}-{zlib.crc32(data):08x}"  # nobody forges it; hashlib takes milliseconds to import


def _is_same(one: str | None, other: str | None) -> bool:
    """Tell whether two identities are those of one script: at the same path, though edited, or copied elsewhere.

    In a container also one of the same name: a deployed version runs inputs of the versions before it, and each may
    have been deployed from another directory.
    """
    if not one or not other:
        return one is not None and other is not None  # one that is not known may be any
    (path, content, name), (its_path, its_content, its_name) = _parts(one), _parts(other)
    is_container = sys.modules["__main__"] is Script.module
    return path == its_path or content == its_content != "" or (is_container and name == its_name != "")


def _parts(identity: str) -> tuple[str, str, str]:
    path, _, rest = identity.partition(":")
    content, _, name = rest.partition(":")
    return path, content, name


# ---------------------------------------------------------------- pickles


def names_main(data: bytes) -> bool:
    """Tell whether a pickle may name what is in `__main__`."""
    return _MAIN in data


def marked(data: bytes) -> bytes:
    """Return a pickle that may name what is in `__main__`, behind the identity of this process's script."""
    identity = identity_here()
    if identity is None:
        return data
    told = identity.encode()
    return b"".join((MARK, len(told).to_bytes(_LENGTH_BYTES, "little"), told, data))


def is_marked(data: bytes | memoryview) -> bool:
    """Tell whether a payload is such a pickle."""
    return data[: len(MARK)] == MARK


def unmarked(data: bytes | memoryview) -> tuple[str | None, bytes | memoryview]:
    """Return the name of the script that a pickle means by `__main__`, None if that is the one here, and the pickle."""
    if not is_marked(data):
        return None, data
    begin = len(MARK) + _LENGTH_BYTES
    end = begin + int.from_bytes(data[len(MARK) : begin], "little")
    identity = bytes(data[begin:end]).decode("utf-8", "replace")
    name = None if _is_same(identity_here(), identity) else identity.rpartition(":")[2]
    return name, data[end:]


class ScriptUnpickler(pickle.Unpickler):
    """Reads a pickle, and refuses what it names in another script.

    Args:
        data: The pickle, with its mark if it has one.
        buffers: Those that were left out of it.
    """

    def __init__(self, data: bytes | memoryview, buffers: Sequence[memoryview] = ()) -> None:
        self._script, plain = unmarked(data)
        super().__init__(io.BytesIO(plain), buffers=buffers)

    def find_class(self, module: str, name: str, /) -> Any:
        """Return the object that a pickle names."""
        if module == "__main__" and self._script is not None:
            raise DeserializationError(
                f"{name} is defined in the script {self._script}, which is not the program here: define it in a module "
                "that both import"
            )
        return super().find_class(module, name)


def by_value_pickler() -> Any:
    """Return the class of picklers that also pickle what cannot be imported elsewhere, by its value.

    Plain cloudpickle treats all of `__main__` so. What the script of a container defines is the client's, too, and is
    the same class there only if it is named.
    """
    import cloudpickle  # pyright: ignore[reportMissingTypeStubs]

    by_value: Any = cloudpickle.Pickler
    if Script.module is None or sys.modules["__main__"] is not Script.module:
        return by_value

    class ByName(by_value):
        def reducer_override(self, obj: Any) -> Any:
            if issubclass(type(obj), type | FunctionType) and _is_in_script(obj):
                return NotImplemented
            return by_value.reducer_override(self, obj)

    return ByName


def _is_in_script(obj: Any) -> bool:
    if getattr(obj, "__module__", None) != "__main__":
        return False
    found: Any = Script.module
    for name in obj.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is obj
