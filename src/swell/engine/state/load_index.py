"""The busy containers of one pool by load, so that the fullest and the emptiest are found without visiting the others.

A bucket queue (R. B. Dial, "Algorithm 360", 1969): a load is a small whole number, each has a bucket of the containers
that carry it, and one number has a bit for each bucket that is not empty. Its lowest and its highest bit are found at
once, however many containers there are.

This module must not know what a load counts, or which containers take more.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swell.engine.state.container import Container

__all__ = ["LoadIndex"]


class LoadIndex:
    """Containers by load. Of those with equal loads, the one that has carried it for the shortest time comes first."""

    __slots__ = ("_buckets", "_loads", "_occupied")

    def __init__(self) -> None:
        self._loads: dict[str, int] = {}  # by container
        self._buckets: dict[int, OrderedDict[str, Container]] = {}  # by load; none is empty
        self._occupied = 0  # bit n is set if there is a bucket for load n

    def __len__(self) -> int:
        return len(self._loads)

    def put(self, container: Container, load: int) -> None:
        """Note what a container carries."""
        if self._loads.get(container.id) == load:
            return
        self.remove(container.id)
        self._loads[container.id] = load
        bucket = self._buckets.get(load)
        if bucket is None:
            bucket = self._buckets[load] = OrderedDict()
            self._occupied |= 1 << load
        bucket[container.id] = container

    def remove(self, container_id: str) -> None:
        """Forget a container, if it is known."""
        load = self._loads.pop(container_id, None)
        if load is None:
            return
        bucket = self._buckets[load]
        del bucket[container_id]
        if not bucket:
            del self._buckets[load]
            self._occupied ^= 1 << load

    def emptiest(self) -> Container | None:
        """Return a container of the least load; None if there is no container."""
        occupied = self._occupied
        return self._latest_of(occupied & -occupied) if occupied else None

    def fullest(self, below: int | None = None) -> Container | None:
        """Return a container of the greatest load, of those below a bound if there is one; None if there is none."""
        occupied = self._occupied if below is None else self._occupied & ((1 << below) - 1)
        return self._latest_of(occupied) if occupied else None

    def _latest_of(self, occupied: int) -> Container:
        """Return the container that was put last into the bucket of the highest bit."""
        bucket = self._buckets[occupied.bit_length() - 1]
        return bucket[next(reversed(bucket))]

    def loads(self) -> dict[str, int]:
        """Return what each container carries, for checks."""
        return dict(self._loads)
