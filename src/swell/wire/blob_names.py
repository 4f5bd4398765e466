"""How the files that carry large values are called.

Apart from `blobs`, so that the server, which deletes them and never looks into one, does not load pickle. This module
must not know where the files are.
"""

from __future__ import annotations

__all__ = ["input_name", "output_name"]


def input_name(call_id: str, index: int) -> str:
    """Return the name of the file that carries the arguments of an input."""
    return f"{call_id}.{index}.in"


def output_name(call_id: str, index: int) -> str:
    """Return the name of the file that carries the result of an input."""
    return f"{call_id}.{index}.out"
