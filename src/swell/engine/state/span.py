"""Inputs that travel together: an immutable segment of payload, and the contiguous part of it that still waits.

This module must not know pools, containers or time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swell.engine.state.call import Call

__all__ = ["Part", "Segment", "Span"]


class Segment:
    """The payload of inputs first..first+len(ends)-1 of one call, as the client sent it. Only `left` ever changes.

    `left` counts the inputs without a result: after the last one nobody needs the payload any more.
    """

    __slots__ = ("blobs", "ends", "first", "left", "payload")

    def __init__(
        self,
        first: int,
        ends: list[int],
        payload: bytes,
        blobs: frozenset[int] = frozenset(),
        *,
        left: int | None = None,
    ) -> None:
        self.first = first
        self.ends = ends  #: ends[i] is the offset just after input first + i
        self.payload = payload
        self.blobs = blobs  #: inputs whose bytes are a reference to a blob
        self.left = len(ends) if left is None else left

    def end(self, count: int) -> int:
        """Count inputs that have a result now; return how many have none."""
        self.left -= count
        return self.left

    def cut(self, first: int, count: int) -> tuple[list[int], int, bytes | memoryview]:
        """Return (ends, base, payload) of `count` inputs from `first` on; ends count from `base` = 0 of the segment."""
        start = first - self.first
        if start == 0 and count == len(self.ends):
            return self.ends, 0, self.payload
        base = self.ends[start - 1] if start else 0
        ends = self.ends[start : start + count]
        return ends, base, memoryview(self.payload)[base : ends[-1]]


class Span:
    """Inputs first..last-1 of one call, all pending. Taking from the front is O(1)."""

    __slots__ = ("alone", "call", "first", "last", "queued_at", "segment")

    def __init__(
        self, call: Call, segment: Segment, first: int, last: int, *, queued_at: float, alone: bool = False
    ) -> None:
        self.call = call
        self.segment = segment
        self.first = first
        self.last = last
        self.queued_at = queued_at
        self.alone = alone  #: suspected of killing its container: must not share one with other inputs

    def __len__(self) -> int:
        return self.last - self.first

    def requeue(self, at: float) -> None:
        """Note when it was queued again."""
        self.queued_at = at

    def take(self, count: int) -> Part:
        """Remove the first `count` inputs and return them."""
        count = min(count, self.last - self.first)
        part = Part(self.call, self.segment, self.first, count, queued_at=self.queued_at, alone=self.alone)
        self.first += part.count
        return part


class Part:
    """Inputs first..first+count-1 of one call, on their way to or in a container."""

    __slots__ = ("alone", "call", "count", "first", "queued_at", "segment")

    def __init__(self, call: Call, segment: Segment, first: int, count: int, *, queued_at: float, alone: bool) -> None:
        self.call = call
        self.segment = segment
        self.first = first
        self.count = count
        self.queued_at = queued_at
        self.alone = alone
