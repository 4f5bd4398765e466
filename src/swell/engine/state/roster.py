"""A set of containers of which a few can be looked at in place of all.

This module must not know what they are looked at for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swell.engine.state.container import Container

__all__ = ["Roster"]


class Roster:
    """Containers on numbered seats without gaps: whoever leaves is replaced by the last."""

    __slots__ = ("_seat_of", "_seats")

    def __init__(self) -> None:
        self._seats: list[Container] = []
        self._seat_of: dict[str, int] = {}

    def add(self, container: Container) -> None:
        """Take in a container that is not there yet."""
        self._seat_of[container.id] = len(self._seats)
        self._seats.append(container)

    def remove(self, container_id: str) -> None:
        """Forget a container, if it is known."""
        seat = self._seat_of.pop(container_id, None)
        if seat is None:
            return
        last = self._seats.pop()
        if last.id != container_id:
            self._seats[seat] = last
            self._seat_of[last.id] = seat

    def sample(self, most: int) -> list[Container]:
        """Return up to `most` containers, evenly spaced; all, if there are no more."""
        return self._seats[:: -(-len(self._seats) // most) or 1]
