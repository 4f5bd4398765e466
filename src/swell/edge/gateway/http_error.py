"""Messages that are not served: requests to which the edge responds itself, and bytes that are no message at all.

This module must not know the reasons.
"""

from __future__ import annotations

__all__ = ["BadMessage", "HTTPError", "TooLong"]


class HTTPError(Exception):
    """The response of the edge to a request that it does not serve, or sends elsewhere (303, 307).

    Args:
        status: Of HTTP.
        text: Of the body, for the client.
        headers: Further ones.
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
