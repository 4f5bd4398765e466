"""The inputs that this container holds: which of them have started, and which still need an answer.

A delivery is split into work items, and one slot runs each of those. One lock guards all state, so that the control
thread can cancel and return inputs while other threads run some.

The two connections race. A cancellation or reclaim may arrive before the delivery that it names, and after the last
result of that delivery was sent. So the first case is remembered (`_cancelled`, `_refused`) until the delivery arrives,
and the second is recognised by the last `FINISHED_MAX` finished deliveries. An input is thereby answered exactly once:
by its result, by TERMINATED, or by `Returned`.

This module must not know sockets, or how an input is run.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Final, Protocol

from swell.model import DeliveryMode, OutputStatus
from swell.runner.generators import Stream
from swell.runner.outbox import Outbox
from swell.wire.messages import Completed, Deliver, Returned

__all__ = ["Cancellable", "Delivery", "Given", "InFlight", "WorkItem"]

FINISHED_MAX: Final = 1024  #: finished deliveries that are remembered, so that a late command for one is recognised
NO_BLOBS: Final[frozenset[int]] = frozenset()
NO_CALLS: Final[frozenset[str]] = frozenset()
TERMINATED: Final = int(OutputStatus.TERMINATED)


class Cancellable(Protocol):
    """A slot, as seen by the control thread."""

    def cancel(self) -> None:
        """Interrupt the input or batch that runs now. The caller, another thread, holds `InFlight.lock`."""
        ...


class Given(Protocol):
    """What a slot must know of the inputs that it was given."""

    @property
    def kept(self) -> frozenset[str]:
        """Calls whose results outlive the server."""
        ...

    @property
    def traces(self) -> dict[str, dict[str, str]]:
        """Trace contexts of the callers, by call."""
        ...

    def input(self, position: int, /) -> tuple[str, int]:
        """Return (call id, index) of the input at a position."""
        ...

    def arguments(self, position: int, /) -> tuple[bytes, bool]:
        """Return the input's bytes, and whether they name a blob instead of being pickled arguments."""
        ...


class Delivery:
    """One `Deliver` message with its payload."""

    __slots__ = (
        "_blobs",
        "_items",
        "_parts",
        "count",
        "kept",
        "method",
        "number",
        "open_work",
        "traces",
        "work_items",
    )

    def __init__(self, message: Deliver, payload: bytes) -> None:
        self.number = message.delivery
        self.method = message.method
        self._blobs = frozenset(message.blobs) if message.blobs else NO_BLOBS
        self.kept = frozenset(message.kept) if message.kept else NO_CALLS  #: calls whose results outlive the server
        self.traces = message.traces  #: trace contexts of the callers, by call; most calls have none
        self.count = len(message.ends)
        self._parts = message.parts
        self._items = message.items(payload)
        if message.mode is DeliveryMode.PARALLEL:
            self.work_items = [WorkItem(self, position, position + 1, False) for position in range(self.count)]
        else:
            self.work_items = [WorkItem(self, 0, self.count, message.mode is DeliveryMode.BATCH)]
        self.open_work = len(self.work_items)

    def input(self, position: int) -> tuple[str, int]:
        """Return (call id, index) of the input at a position."""
        for call_id, first, count in self._parts:
            if position < count:
                return call_id, first + position
            position -= count
        raise IndexError(f"delivery {self.number} has {self.count} inputs")

    def arguments(self, position: int) -> tuple[bytes, bool]:
        """Return the input's bytes, and whether they name a blob instead of being pickled arguments."""
        items = self._items  # cut as `items.at` does, without a call for each input
        ends, base = items.ends, items.base
        data = items.payload[ends[position - 1] - base if position else 0 : ends[position] - base]
        return data, position in self._blobs

    def work_of(self, position: int) -> WorkItem | None:
        """Return the work item that a position belongs to; None for a position that the delivery does not have."""
        if not 0 <= position < self.count:
            return None
        return self.work_items[0] if len(self.work_items) == 1 else self.work_items[position]


class WorkItem:
    """Inputs of a delivery that one slot runs one after another, or as one batch."""

    __slots__ = ("answered", "delivery", "end", "is_batch", "next", "runner")

    def __init__(self, delivery: Delivery, first: int, end: int, is_batch: bool) -> None:
        self.delivery = delivery
        self.next = first  #: first position that has not started
        self.end = end  #: position after the last one to run
        self.is_batch = is_batch
        self.answered: set[int] = set()  #: positions that were answered before they started
        self.runner: Cancellable | None = None  #: set while an input of it runs

    def unstarted(self) -> Iterator[int]:
        """Return the positions that have neither started nor been answered."""
        return (position for position in range(self.next, self.end) if position not in self.answered)


class InFlight:
    """All deliveries of this container. Callers hold `lock`, except for `accept` and `take`, which take it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.outbox = Outbox()
        self.is_draining = False
        self.streams: dict[tuple[int, int], Stream] = {}  #: of running generators, by (delivery, position)
        self._open: dict[int, Delivery] = {}
        self._finished: deque[int] = deque(maxlen=FINISHED_MAX)
        # Commands for deliveries that have not arrived: the control connection may be ahead of the data connection.
        self._refused: set[int] = set()
        self._cancelled: dict[int, set[int]] = {}

    @property
    def is_empty(self) -> bool:
        """True when no input is left to run."""
        return not self._open

    @property
    def running(self) -> int:
        """How many slots are in use."""
        return sum(work.runner is not None for delivery in self._open.values() for work in delivery.work_items)

    def accept(self, message: Deliver, payload: bytes) -> list[WorkItem] | Returned:
        """Accept a delivery; return its work items, or the message that returns it."""
        delivery = Delivery(message, payload)
        number = delivery.number
        with self.lock:
            answered = self._cancelled.pop(number, None)
            is_refused = number in self._refused
            if is_refused or self.is_draining or not delivery.work_items:
                self._refused.discard(number)
                self._finished.append(number)
                return [] if is_refused or not delivery.work_items else Returned(number, 0)
            self._open[number] = delivery
            if answered:
                self._apply_early_cancel(delivery, answered)
            return delivery.work_items

    def _apply_early_cancel(self, delivery: Delivery, answered: set[int]) -> None:
        for work in delivery.work_items:
            work.answered = answered
            if work.is_batch:
                self._terminate(work, list(work.unstarted()))

    def claim(self, work: WorkItem, runner: Cancellable) -> int | None:
        """Start the next input of a work item; return its position, None when none is left."""
        position = work.next
        while position in work.answered:
            position += 1
        if position >= work.end:
            work.runner = None
            return None
        work.next = position + 1
        work.runner = runner
        return position

    def claim_all(self, work: WorkItem, runner: Cancellable) -> list[int]:
        """Start all inputs that are left of a work item; return their positions."""
        positions = list(work.unstarted())
        work.next = work.end
        work.runner = runner if positions else None
        return positions

    def take(self) -> tuple[Completed, bytes] | None:
        """Return the unsent results as a message with its payload; None if there are none."""
        with self.lock:
            outbox = self.outbox
            if outbox.is_empty:
                return None
            self.outbox = Outbox()
        return outbox.message()

    def finish(self, work: WorkItem) -> None:
        """Note that a slot is done with a work item."""
        work.runner = None
        delivery = work.delivery
        delivery.open_work -= 1
        if delivery.open_work == 0 and self._open.pop(delivery.number, None) is not None:
            self._finished.append(delivery.number)

    def cancel(self, number: int, positions: list[int]) -> None:
        """Interrupt inputs that run, answer those that have not started with TERMINATED, ignore finished ones."""
        delivery = self._open.get(number)
        if delivery is None:
            if number not in self._finished and number not in self._refused:
                self._cancel_early(number, positions)
            return
        for position in positions:
            work = delivery.work_of(position)
            if work is None:
                continue
            if position >= work.next:
                self._terminate(work, list(work.unstarted()) if work.is_batch else [position])
            elif work.runner is not None and (work.is_batch or position == work.next - 1):
                work.runner.cancel()

    def _terminate(self, work: WorkItem, positions: list[int]) -> None:
        for position in positions:
            if position < work.end and position not in work.answered:
                work.answered.add(position)
                self.outbox.add(work.delivery.number, position, TERMINATED, b"", 0.0)

    def _cancel_early(self, number: int, positions: list[int]) -> None:
        answered = self._cancelled.setdefault(number, set())
        for position in positions:
            if position not in answered:
                answered.add(position)
                self.outbox.add(number, position, TERMINATED, b"", 0.0)

    def reclaim(self, number: int) -> Returned | None:
        """Drop the inputs of a delivery that have not started; return the message that says so, None if all have."""
        delivery = self._open.get(number)
        if delivery is None:
            if number in self._finished or number in self._refused:
                return None
            self._refused.add(number)
            return Returned(number, 0)
        cut: int | None = None
        for work in delivery.work_items:  # they start in order: the rest is the delivery's end
            if work.next < work.end:
                cut = work.next if cut is None else cut
                work.end = work.next
        return None if cut is None else Returned(number, cut)

    def drain(self) -> list[Returned]:
        """Return the inputs that have not started, and refuse deliveries from now on."""
        self.is_draining = True
        returned = [self.reclaim(number) for number in list(self._open)]
        return [message for message in returned if message is not None]
