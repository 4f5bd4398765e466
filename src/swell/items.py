"""Packed items: many inputs or results in one run of bytes, with the offset at which each of them ends.

Whatever carries inputs or results holds them like this: messages, records, spans in memory, rows of a store. A part is
cut at the cost of its offsets, not of its bytes: `view` shares the bytes and keeps the offsets of the whole, `slice`
copies the bytes and counts from 0. This module must not know what an item says, who sends it, or where it is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Generic, TypeVar

from msgspec import Struct

__all__ = ["PackedItems", "concat", "pack"]

Bytes = TypeVar("Bytes", bytes, memoryview)


class PackedItems(Struct, Generic[Bytes], frozen=True, gc=False):
    """Items one after another in `payload`: item i ends just before offset `ends[i] - base`.

    Positions count items from 0. With `base`, a part keeps the offsets of the whole.
    """

    ends: list[int]
    payload: Bytes
    blobs: list[int] = []  #: positions of items whose bytes name a blob, in order
    failures: list[tuple[int, int]] = []  #: (position, OutputStatus) of results that are not SUCCESS, in order
    base: int = 0

    def __len__(self) -> int:
        return len(self.ends)

    def at(self, position: int) -> Bytes:
        """Return the bytes of one item."""
        ends, base = self.ends, self.base
        return self.payload[ends[position - 1] - base if position else 0 : ends[position] - base]

    def pieces(self, start: int = 0, stop: int | None = None) -> list[Bytes]:
        """Return the bytes of each item from position `start` up to `stop`, of all by default."""
        ends, payload, base = self.ends[start:stop], self.payload, self.base
        if base:
            ends = [end - base for end in ends]
        begins = [self.ends[start - 1] - base if start else 0, *ends]
        return [payload[begin:end] for begin, end in zip(begins, ends, strict=False)]

    def view(self, start: int, count: int) -> PackedItems[Any]:
        """Return `count` items from position `start` on: the bytes are shared, the offsets are those of the whole."""
        if count == len(self.ends):
            return self
        ends, base, blobs, failures = self._part(start, count)
        payload = memoryview(self.payload)[base - self.base : ends[-1] - self.base if ends else 0]
        return PackedItems(ends, payload, blobs, failures, base)

    def slice(self, start: int, count: int) -> PackedItems[Bytes]:
        """Return `count` items from position `start` on: the bytes are copied, the offsets count from 0."""
        if count == len(self.ends) and not self.base:
            return self
        ends, base, blobs, failures = self._part(start, count)
        payload = self.payload[base - self.base : ends[-1] - self.base if ends else 0]
        return PackedItems([end - base for end in ends] if base else ends, payload, blobs, failures)

    def _part(self, start: int, count: int) -> tuple[list[int], int, list[int], list[tuple[int, int]]]:
        """Return (ends, base, blobs, failures) of a part."""
        blobs, failures, stop = self.blobs, self.failures, start + count
        return (
            self.ends[start:stop],
            self.ends[start - 1] if start else self.base,
            [i - start for i in blobs if start <= i < stop] if blobs else [],
            [(i - start, status) for i, status in failures if start <= i < stop] if failures else [],
        )


def pack(
    pieces: Sequence[bytes], *, blobs: list[int] | None = None, failures: list[tuple[int, int]] | None = None
) -> PackedItems[bytes]:
    """Return items with the bytes that `pieces` lists."""
    return PackedItems(list(accumulate(map(len, pieces))), b"".join(pieces), blobs or [], failures or [])


def concat(parts: Sequence[PackedItems[Any]]) -> PackedItems[bytes]:
    """Return the items of all parts, one part after another, with offsets from 0."""
    ends: list[int] = []
    blobs: list[int] = []
    failures: list[tuple[int, int]] = []
    size = 0
    for part in parts:
        count, shift = len(ends), size - part.base
        if part.blobs:
            blobs += [count + i for i in part.blobs]
        if part.failures:
            failures += [(count + i, status) for i, status in part.failures]
        ends += [end + shift for end in part.ends] if shift else part.ends
        size += len(part.payload)
    return PackedItems(ends, b"".join([part.payload for part in parts]), blobs, failures)
