"""The open connections of one port, up to a maximum. This module must not know what they carry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from swell.edge.traffic import Traffic

__all__ = ["Connections"]

T = TypeVar("T")


class Connections(Generic[T]):
    """The open connections of one port.

    Args:
        port: "web" or "admin", the label under which they are counted.
        count_max: how many may be open at once.
        traffic: counts them.
    """

    def __init__(self, port: str, count_max: int, traffic: Traffic) -> None:
        self.count_max = count_max
        self._port = port
        self._traffic = traffic
        self._open: set[T] = set()

    def enter(self, connection: T) -> bool:
        """Add a connection; return False, and count a refusal, if `count_max` are open."""
        if len(self._open) >= self.count_max:
            self._traffic.connections_refused[self._port] += 1
            return False
        self._open.add(connection)
        self._traffic.connections_open[self._port] = len(self._open)
        return True

    def leave(self, connection: T) -> None:
        """Remove a connection that has ended, if it was let in."""
        self._open.discard(connection)
        self._traffic.connections_open[self._port] = len(self._open)

    def __iter__(self) -> Iterator[T]:
        """Iterate over those that are open now; they may end meanwhile."""
        return iter(list(self._open))
