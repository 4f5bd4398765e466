"""Nodes in the order of their free cores, of which those with enough free memory are found without visiting the others.

A sorted list, cut into stretches of a few dozen nodes. Each stretch knows how much memory is free on that of its
nodes that has most, so that one without enough is passed over as a whole: among 1,000 nodes whose memory is full, about
thirty comparisons. This module must not know what is placed, or which node is preferred.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

__all__ = ["RoomIndex"]

STRETCH_MAX = 64  #: nodes
SLACK = 1e-9  #: sums of requests such as 0.1 are not exact

Entry = tuple[float, str, int]  #: free cores, name, free memory


class RoomIndex:
    """Names of nodes by free cores, ties by name, with their free memory."""

    __slots__ = ("_entries", "_memory_most", "_stretches")

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._stretches: list[list[Entry]] = []  # none is empty
        self._memory_most: list[int] = []  # by stretch

    def put(self, name: str, cores: float, memory: int) -> None:
        """Note how much of a node is free, whatever it was before."""
        entry = (cores, name, memory)
        if self._entries.get(name) == entry:
            return
        self.remove(name)
        self._entries[name] = entry
        if not self._stretches:
            self._stretches.append([entry])
            self._memory_most.append(memory)
            return
        number = min(self._find(entry), len(self._stretches) - 1)
        stretch = self._stretches[number]
        insort(stretch, entry)
        if len(stretch) <= STRETCH_MAX:
            self._memory_most[number] = max(self._memory_most[number], memory)
        else:
            half = STRETCH_MAX // 2
            self._replace(number, number + 1, stretch[:half], stretch[half:])

    def remove(self, name: str) -> None:
        """Forget a node, if it is known."""
        entry = self._entries.pop(name, None)
        if entry is None:
            return
        number = self._find(entry)
        stretch = self._stretches[number]
        del stretch[bisect_left(stretch, entry)]
        following = self._stretches[number + 1] if number + 1 < len(self._stretches) else []
        if following and len(stretch) + len(following) <= STRETCH_MAX // 2:
            self._replace(number, number + 2, stretch + following)
        elif not stretch:
            self._replace(number, number + 1)
        elif entry[2] == self._memory_most[number]:
            self._memory_most[number] = _memory_most(stretch)

    def _find(self, entry: Entry) -> int:
        """Return the number of the stretch where an entry is, or would be."""
        return bisect_left(self._stretches, entry, key=lambda stretch: stretch[-1])

    def _replace(self, first: int, last: int, *stretches: list[Entry]) -> None:
        self._stretches[first:last] = stretches
        self._memory_most[first:last] = map(_memory_most, stretches)

    def fullest_first(self, cores: float, memory: int) -> Iterator[str]:
        """Iterate over the nodes with so much free, the fewest free cores first; nothing may change meanwhile."""
        least, first = cores - SLACK, self._first(cores)
        for stretch, most in zip(self._stretches[first:], self._memory_most[first:], strict=True):
            if most >= memory:
                yield from (name for free, name, of_memory in stretch if free >= least and of_memory >= memory)

    def emptiest_first(self, cores: float, memory: int) -> Iterator[str]:
        """Iterate over the nodes with so much free, the most free cores first; nothing may change meanwhile."""
        least, first = cores - SLACK, self._first(cores)
        for number in range(len(self._stretches) - 1, first - 1, -1):
            if self._memory_most[number] >= memory:
                stretch = reversed(self._stretches[number])
                yield from (name for free, name, of_memory in stretch if free >= least and of_memory >= memory)

    def _first(self, cores: float) -> int:
        """Return the number of the first stretch with a node that has so many free cores."""
        return bisect_left(self._stretches, cores - SLACK, key=lambda stretch: stretch[-1][0])

    def free(self) -> dict[str, tuple[float, int]]:
        """Return the free cores and memory of each node, in order, for checks."""
        return {name: (cores, memory) for stretch in self._stretches for cores, name, memory in stretch}


def _memory_most(stretch: list[Entry]) -> int:
    return max(entry[2] for entry in stretch)
