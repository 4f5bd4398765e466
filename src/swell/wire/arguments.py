"""The encoded arguments of a call without arguments, for code that makes such calls and does not load pickle.

This module must not load pickle.
"""

from __future__ import annotations

from typing import Final

__all__ = ["NO_ARGUMENTS"]

#: The encoding of `((), {})` by `payload`: protocol 4, an empty tuple, an empty dict, a pair of them.
NO_ARGUMENTS: Final = b"\x80\x04)}\x86."
