"""The target of a call, as the server identifies it. This module must not know how calls are made."""

from __future__ import annotations

from msgspec import Struct

from swell.wire.context import current_input_id

__all__ = ["CallTarget"]


class CallTarget(Struct, frozen=True):
    """A function of the server, or one method of a class."""

    function_id: str
    name: str  #: for messages
    method: str = ""  #: empty for a function
    is_plain: bool = True  #: it returns one result: it is not a generator, and does not answer HTTP

    @staticmethod
    def parent() -> str:
        """Return the id of the input that makes the call; "" outside of an input."""
        return current_input_id() or ""
