"""The base of all messages on a socket. This module must not know any of them."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Message"]


class Message(Struct, array_like=True, frozen=True, gc=False):
    """Base of all messages: a msgpack array led by its tag."""
