"""What this container holds: every delivery it got, which of its items are begun, and what is still to be answered.

A delivery is split into turns, each of which one slot runs. All state is behind one lock, so that the thread that
listens to the server can cancel and give back while others run inputs. This module must not know sockets or how an
input is run.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Final, Protocol

from swell.model import OutputStatus
from swell.runner.generators import Stream
from swell.runner.outbox import Outbox
from swell.wire.messages import Completed, Deliver, Returned

__all__ = ["Delivery", "Ledger", "Running", "Turn"]

FINISHED_MAX: Final = 1024  #: finished deliveries that are remembered, so that a late word about them is recognised
NO_BLOBS: Final[frozenset[int]] = frozenset()
NO_CALLS: Final[frozenset[str]] = frozenset()
TERMINATED: Final = int(OutputStatus.TERMINATED)


class Running(Protocol):
    """Who runs a turn."""

    def cancel(self) -> None:
        """Interrupt the input or batch that is running now. Called with the ledger's lock held, from another thread."""
        ...


class Delivery:
    """One `Deliver` message with its payload."""

    __slots__ = (
        "_base",
        "_blobs",
        "_ends",
        "_parts",
        "_payload",
        "count",
        "kept",
        "method",
        "number",
        "open_turns",
        "traces",
        "turns",
    )

    def __init__(self, message: Deliver, payload: bytes) -> None:
        self.number = message.delivery
        self.method = message.method
        self._blobs = frozenset(message.blobs) if message.blobs else NO_BLOBS
        self.kept = frozenset(message.kept) if message.kept else NO_CALLS  #: calls whose results outlive the server
        self.traces = message.traces  #: of the callers, by call; of most there is none
        self.count = len(message.ends)
        self._parts = message.parts
        self._ends = message.ends
        self._base = message.base
        self._payload = payload
        if message.mode == "parallel":
            self.turns = [Turn(self, position, position + 1, False) for position in range(self.count)]
        else:
            self.turns = [Turn(self, 0, self.count, message.mode == "batch")]
        self.open_turns = len(self.turns)

    def input(self, position: int) -> tuple[str, int]:
        """Return (call id, index) of the item at a position."""
        for call_id, first, count in self._parts:
            if position < count:
                return call_id, first + position
            position -= count
        raise IndexError(f"delivery {self.number} has {self.count} items")

    def arguments(self, position: int) -> tuple[bytes, bool]:
        """Return the item's bytes, and whether they are the name of a blob instead of pickled arguments."""
        ends, base = self._ends, self._base
        begin = ends[position - 1] - base if position else 0
        return self._payload[begin : ends[position] - base], position in self._blobs

    def turn_of(self, position: int) -> Turn | None:
        """Return the turn that a position belongs to, if there is such a position."""
        if not 0 <= position < self.count:
            return None
        return self.turns[0] if len(self.turns) == 1 else self.turns[position]


class Turn:
    """Items of a delivery that one slot runs one after another, or as one batch."""

    __slots__ = ("answered", "delivery", "end", "is_batch", "next", "runner")

    def __init__(self, delivery: Delivery, first: int, end: int, is_batch: bool) -> None:
        self.delivery = delivery
        self.next = first  #: first position that is not begun
        self.end = end  #: position after the last one to run
        self.is_batch = is_batch
        self.answered: set[int] = set()  #: positions not begun that are answered already
        self.runner: Running | None = None  #: set while an item of it runs

    def unbegun(self) -> Iterator[int]:
        """The positions that are neither begun nor answered."""
        return (position for position in range(self.next, self.end) if position not in self.answered)


class Ledger:
    """All deliveries of this container. Every method but `accept` and `take` wants `lock` to be held by the caller."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.outbox = Outbox()
        self.is_draining = False
        self.streams: dict[tuple[int, int], Stream] = {}  #: of generators that run, by (delivery, position)
        self._open: dict[int, Delivery] = {}
        self._finished: deque[int] = deque(maxlen=FINISHED_MAX)
        # Word about deliveries that are still on their way: the control channel may overtake the data channel.
        self._refused: set[int] = set()
        self._cancelled: dict[int, set[int]] = {}

    @property
    def is_empty(self) -> bool:
        """True when nothing is left to run."""
        return not self._open

    @property
    def running(self) -> int:
        """How many slots are in use."""
        return sum(turn.runner is not None for delivery in self._open.values() for turn in delivery.turns)

    def accept(self, message: Deliver, payload: bytes) -> list[Turn] | Returned:
        """Enter a delivery; return its turns, or the message that gives it back."""
        delivery = Delivery(message, payload)
        number = delivery.number
        with self.lock:
            answered = self._cancelled.pop(number, None)
            is_refused = number in self._refused
            if is_refused or self.is_draining or not delivery.turns:
                self._refused.discard(number)
                self._finished.append(number)
                return [] if is_refused or not delivery.turns else Returned(number, 0)
            self._open[number] = delivery
            if answered:
                self._apply_early_cancel(delivery, answered)
            return delivery.turns

    def _apply_early_cancel(self, delivery: Delivery, answered: set[int]) -> None:
        for turn in delivery.turns:
            turn.answered = answered
            if turn.is_batch:
                self._terminate(turn, list(turn.unbegun()))

    def claim(self, turn: Turn, runner: Running) -> int | None:
        """Begin the next item of a turn; return its position, None when the turn is over."""
        position = turn.next
        while position in turn.answered:
            position += 1
        if position >= turn.end:
            turn.runner = None
            return None
        turn.next = position + 1
        turn.runner = runner
        return position

    def claim_all(self, turn: Turn, runner: Running) -> list[int]:
        """Begin all that is left of a turn; return its positions."""
        positions = list(turn.unbegun())
        turn.next = turn.end
        turn.runner = runner if positions else None
        return positions

    def take(self) -> tuple[Completed, bytes] | None:
        """Return the results that wait as a message with its payload; None when there are none."""
        with self.lock:
            outbox = self.outbox
            if outbox.is_empty:
                return None
            self.outbox = Outbox()
        return outbox.message()

    def finish(self, turn: Turn) -> None:
        """A slot is done with a turn."""
        turn.runner = None
        delivery = turn.delivery
        delivery.open_turns -= 1
        if delivery.open_turns == 0 and self._open.pop(delivery.number, None) is not None:
            self._finished.append(delivery.number)

    def cancel(self, number: int, positions: list[int]) -> None:
        """Interrupt items that run, answer items that are not begun as TERMINATED, ignore the others."""
        delivery = self._open.get(number)
        if delivery is None:
            if number not in self._finished and number not in self._refused:
                self._cancel_early(number, positions)
            return
        for position in positions:
            turn = delivery.turn_of(position)
            if turn is None:
                continue
            if position >= turn.next:
                self._terminate(turn, list(turn.unbegun()) if turn.is_batch else [position])
            elif turn.runner is not None and (turn.is_batch or position == turn.next - 1):
                turn.runner.cancel()

    def _terminate(self, turn: Turn, positions: list[int]) -> None:
        for position in positions:
            if position < turn.end and position not in turn.answered:
                turn.answered.add(position)
                self.outbox.add(turn.delivery.number, position, TERMINATED, b"", False, 0.0)

    def _cancel_early(self, number: int, positions: list[int]) -> None:
        answered = self._cancelled.setdefault(number, set())
        for position in positions:
            if position not in answered:
                answered.add(position)
                self.outbox.add(number, position, TERMINATED, b"", False, 0.0)

    def reclaim(self, number: int) -> Returned | None:
        """Cut off what is not begun of a delivery; return the message that gives it back, None if there is nothing."""
        delivery = self._open.get(number)
        if delivery is None:
            if number in self._finished or number in self._refused:
                return None
            self._refused.add(number)
            return Returned(number, 0)
        cut: int | None = None
        for turn in delivery.turns:  # turns begin in order, so that what is not begun is the end of the delivery
            if turn.next < turn.end:
                cut = turn.next if cut is None else cut
                turn.end = turn.next
        return None if cut is None else Returned(number, cut)

    def drain(self) -> list[Returned]:
        """Give back all that is not begun, now and from now on."""
        self.is_draining = True
        returned = [self.reclaim(number) for number in list(self._open)]
        return [message for message in returned if message is not None]
