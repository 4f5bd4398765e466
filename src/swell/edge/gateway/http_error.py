"""Messages that are not served: a request that the edge answers itself, and bytes that are no message at all.

This module must not know why.
"""

from __future__ import annotations

__all__ = ["BadMessage", "HTTPError", "TooLong"]


class HTTPError(Exception):
    """Carries the answer.

    Args:
        status: Of HTTP.
        text: For the client.
        headers: More of them.
    """

    def __init__(self, status: int, text: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers or []


class BadMessage(Exception):
    """Bytes that HTTP does not allow where they stand; the text says which. Nothing after them can be understood."""


class TooLong(BadMessage):
    """A part of a message has not ended within its bound."""
