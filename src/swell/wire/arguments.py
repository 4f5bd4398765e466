"""The arguments of a call that has none, as bytes, for who makes such a call without being able to pickle.

This module must not load pickle.
"""

from __future__ import annotations

from typing import Final

__all__ = ["NO_ARGUMENTS"]

#: What `payload` makes of `((), {})`: protocol 4, an empty tuple, an empty dict, a pair of them.
NO_ARGUMENTS: Final = b"\x80\x04)}\x86."
