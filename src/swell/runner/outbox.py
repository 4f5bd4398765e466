"""Finished results that have not been sent.

Consecutive positions become one run of a `Completed`. The caller holds `InFlight.lock`. This module must
not know sockets, threads or what a result contains.
"""

from __future__ import annotations

from swell.items import pack
from swell.model import OutputStatus
from swell.wire.messages import Completed

__all__ = ["Outbox"]

SUCCESS = int(OutputStatus.SUCCESS)


class Outbox:
    """Collects outputs that are sent as one message."""

    __slots__ = ("_blobs", "_busy_s", "_chunks", "_delivery", "_failures", "_first", "_next", "_parts", "size")

    def __init__(self) -> None:
        self.size = 0  #: bytes waiting
        self._parts: list[tuple[int, int, int]] = []
        self._delivery = 0
        self._first = 0
        self._next = -1  # position that would continue the present run; -1 when there is no run
        self._chunks: list[bytes] = []
        self._failures: list[tuple[int, int]] = []
        self._blobs: list[int] = []
        self._busy_s = 0.0

    def add(
        self, delivery: int, position: int, status: int, data: bytes, busy_s: float, *, is_blob: bool = False
    ) -> None:
        """Add the output of one input, which took `busy_s` seconds to execute."""
        if position != self._next or delivery != self._delivery:
            self._end_run()
            self._delivery = delivery
            self._first = position
        self._next = position + 1
        if status != SUCCESS:
            self._failures.append((len(self._chunks), status))
        if is_blob:
            self._blobs.append(len(self._chunks))
        self._chunks.append(data)
        self.size += len(data)
        self._busy_s += busy_s

    def _end_run(self) -> None:
        if self._next >= 0:
            self._parts.append((self._delivery, self._first, self._next - self._first))

    @property
    def is_empty(self) -> bool:
        """True when no result waits."""
        return self._next < 0

    def message(self) -> tuple[Completed, bytes]:
        """Return all results as a message with its payload. The outbox must not be used afterwards."""
        self._end_run()
        items = pack(self._chunks, blobs=self._blobs, failures=self._failures)
        return Completed(self._parts, items.ends, items.failures, items.blobs, self._busy_s), items.payload
