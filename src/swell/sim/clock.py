"""Virtual time: an agenda of what happens when. Nothing waits; time jumps to whatever is next.

This module must not know the engine, or what the entries of the agenda do.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Protocol

__all__ = ["Clock", "Time"]


class Time(Protocol):
    """The time, and what is to happen later."""

    @property
    def now(self) -> float:
        """The present, in seconds since the beginning."""
        ...

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Do something at a time, at once if that is past."""
        ...

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Do something after a delay."""
        ...


class Clock:
    """What is to happen, in order of time; entries of the same moment happen in the order they were made."""

    def __init__(self) -> None:
        self.now = 0.0
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._made = 0

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Do something at a time, at once if that is past."""
        self._made += 1
        heapq.heappush(self._agenda, (max(when, self.now), self._made, action))

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Do something after a delay."""
        self.at(self.now + delay_s, action)

    @property
    def next_at(self) -> float:
        """When the next entry is due; infinity if there is none."""
        return self._agenda[0][0] if self._agenda else float("inf")

    def take(self) -> Callable[[], None]:
        """Move time to the next entry and return it, removed."""
        self.now, _, action = heapq.heappop(self._agenda)
        return action
