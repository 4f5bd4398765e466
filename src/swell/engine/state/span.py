"""Inputs that travel together: an immutable segment of payload, and the contiguous part of it that still waits.

This module must not know pools, containers or time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from swell.items import PackedItems

if TYPE_CHECKING:
    from swell.engine.state.call import Call

__all__ = ["Part", "Segment", "Span"]

NO_BLOBS: Final[frozenset[int]] = frozenset()


class Segment:
    """Inputs of one call from index `first` on, packed as the client sent them. Only `left` ever changes.

    `left` counts the inputs without a result: after the last one nobody needs the payload any more.
    """

    __slots__ = ("blobs", "first", "items", "left")

    def __init__(self, first: int, items: PackedItems[bytes], *, left: int | None = None) -> None:
        self.first = first
        self.items = items
        #: Indexes of inputs whose bytes are a reference to a blob.
        self.blobs = frozenset([first + i for i in items.blobs]) if items.blobs else NO_BLOBS
        self.left = len(items.ends) if left is None else left

    def end(self, count: int) -> int:
        """Count inputs that have a result now; return how many have none."""
        self.left -= count
        return self.left

    def cut(self, first: int, count: int) -> PackedItems[Any]:
        """Return `count` inputs from index `first` on; their bytes are shared."""
        return self.items.view(first - self.first, count)


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
