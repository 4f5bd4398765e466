"""A request that the edge answers itself, because it cannot or must not be served. This module must not know why."""

from __future__ import annotations

__all__ = ["Refusal"]


class Refusal(Exception):
    """Carries the answer.

    Args:
        status: Of HTTP.
        text: For whoever sent the request.
        headers: More of them.
    """

    def __init__(self, status: int, text: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers or []
