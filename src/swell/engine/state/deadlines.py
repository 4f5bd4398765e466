"""Which of many things is due first, when each has a time of its own.

A heap with lazy deletion: what was forgotten, or has come to be due sooner, leaves entries behind that are skipped when
their time comes, and cleared away when they are most of the heap. This module must not know what is due.
"""

from __future__ import annotations

import heapq
from math import inf

__all__ = ["Deadlines"]

_SPARE_MIN = 64  # entries that may be left behind before the heap is made anew


class Deadlines:
    """The time of each thing, by its id. It is a lower bound: whoever looks finds out whether it is really due."""

    __slots__ = ("_at", "_heap")

    def __init__(self) -> None:
        self._at: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def note(self, key: str, at: float) -> None:
        """Have a thing looked at at a time, or sooner if that was noted before."""
        if at < self._at.get(key, inf):
            self._at[key] = at
            heapq.heappush(self._heap, (at, key))

    def __contains__(self, key: str) -> bool:
        return key in self._at

    def forget(self, key: str) -> None:
        """Do not look at a thing any more."""
        if self._at.pop(key, None) is not None and len(self._heap) > 2 * len(self._at) + _SPARE_MIN:
            self._heap = [(at, known) for known, at in self._at.items()]
            heapq.heapify(self._heap)

    def take_due(self, now: float, most: int) -> list[str]:
        """Return up to `most` things that are due, the longest due first, and forget their times."""
        due: list[str] = []
        while self.next_at <= now and len(due) < most:
            _, key = heapq.heappop(self._heap)
            del self._at[key]
            due.append(key)
        return due

    @property
    def next_at(self) -> float:
        """When the first thing is due; infinity if there is none."""
        heap = self._heap
        while heap and self._at.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else inf

    def times(self) -> dict[str, float]:
        """Return the time of each thing, for checks."""
        return dict(self._at)
