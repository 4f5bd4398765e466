"""Names of the files that carry large values.

These files lie in a directory in memory, which ends with its server. Files that must outlive it lie in KEPT below that
directory, which leads to the server's data directory.

This module is apart from `blobs` so that the server, which deletes these files and never reads one, does not load
pickle. It must not know where the files are.
"""

from __future__ import annotations

import re
from typing import Final

from swell.bounds import whole_number

__all__ = ["INPUT_SUFFIX", "KEPT", "call_of", "index_of", "input_name", "is_blob_name", "output_name"]

KEPT: Final = "kept/"
INPUT_SUFFIX: Final = ".in"


#: The name of KEPT itself is not the name of a blob: deleting it as one would cut off all kept files.
_NAME = re.compile(rf"(?!{KEPT[:-1]}$)(?:{KEPT})?[A-Za-z0-9_-][A-Za-z0-9_.-]{{0,199}}", re.ASCII)


def is_blob_name(name: str) -> bool:
    """Tell whether a text can be the name of a file in this directory, and of none outside."""
    return _NAME.fullmatch(name) is not None


def input_name(call_id: str, index: int, *, is_kept: bool = False) -> str:
    """Return the name of the file that carries the arguments of an input."""
    return f"{KEPT if is_kept else ''}{call_id}.{index}{INPUT_SUFFIX}"


def output_name(call_id: str, index: int, *, is_kept: bool = False) -> str:
    """Return the name of the file that carries the result of an input."""
    return f"{KEPT if is_kept else ''}{call_id}.{index}.out"


def call_of(name: str) -> str:
    """Return the id of the call that a file belongs to, by its name; "" for a draft that was never finished."""
    return "" if name.startswith("~") else name.removeprefix(KEPT).rsplit(".", 2)[0]


def index_of(name: str) -> int | None:
    """Return the index of the input that a file belongs to, by its name; None if the name has none."""
    parts = name.rsplit(".", 2)
    return whole_number(parts[1]) if len(parts) == 3 else None
