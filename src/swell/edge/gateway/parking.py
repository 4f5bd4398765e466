"""Requests whose clients were told to come back for the answer, and what is kept for them until then.

A client that never comes back costs at most its share of a bound that all have together: where that is used up, an
answer waits in its container instead. This module must not know how an answer is made or sent.
"""

from __future__ import annotations

import secrets
from typing import Final, Generic, TypeVar

__all__ = ["KEPT_MAX", "Parking"]

KEPT_MAX: Final = 64 << 20  #: bytes of answers that are kept for all clients that are not back

T = TypeVar("T")


class Parking(Generic[T]):
    """Where requests wait for their clients.

    Args:
        requests_max: How many may wait at once.
        kept_max: Bytes of answers that are kept, for all of them together.
    """

    def __init__(self, requests_max: int, kept_max: int = KEPT_MAX) -> None:
        self._requests_max = requests_max
        self._kept_max = kept_max
        self._parked: dict[str, T] = {}
        self.kept = 0  #: bytes of answers, of all of them together

    @property
    def is_full(self) -> bool:
        """True if as many requests wait as may."""
        return len(self._parked) >= self._requests_max

    def park(self, request: T, key: str) -> str:
        """Let a request wait, and return the key that leads back to it; `key` if it has waited before."""
        key = key or secrets.token_urlsafe(16)
        self._parked[key] = request
        return key

    def find(self, key: str) -> T | None:
        """Return the request to which a key leads."""
        return self._parked.get(key)

    def remove(self, key: str) -> None:
        """A request waits no longer."""
        self._parked.pop(key, None)

    def keep(self, count: int) -> bool:
        """Count bytes of an answer that are kept; False if no more should come."""
        self.kept += count
        return self.kept <= self._kept_max

    def drop(self, count: int) -> None:
        """Count bytes of an answer that are no longer kept."""
        self.kept -= count
