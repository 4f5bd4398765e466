"""What a call is aimed at, as the server knows it. This module must not know how calls are made."""

from __future__ import annotations

from msgspec import Struct

from swell.wire.context import current_input_id

__all__ = ["CallTarget"]


class CallTarget(Struct, frozen=True):
    """A function of the server, or one method of a class."""

    function_id: str
    name: str  #: for people
    method: str = ""  #: empty for a function

    @staticmethod
    def parent() -> str:
        """Return the id of the input that makes a call from here, "" if there is none."""
        return current_input_id() or ""
