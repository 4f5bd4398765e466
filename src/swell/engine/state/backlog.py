"""The queue of one pool: fair between calls, in order within a call, with delays for retries.

Calls take turns, so that one input never waits behind a million of another call. This module must not know containers.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable

from swell.engine.state.call import Call
from swell.engine.state.span import Part, Span

__all__ = ["Backlog"]


class Backlog:
    """Pending spans by call. `count` inputs may run now; `delayed_count` more wait for their time.

    Calls that are held wait in any case: `held_count` inputs of them are left out of `count`.
    """

    def __init__(self) -> None:
        self.count = 0
        self.delayed_count = 0
        self.held_count = 0
        self._held: dict[str, deque[Span]] = {}  # by call; an empty queue says that what comes is held
        self._queues: dict[str, deque[Span]] = {}
        self._turns: deque[Call] = deque()
        self._delayed: list[tuple[float, int, Span]] = []
        self._sequence = 0

    def __len__(self) -> int:
        return self.count + self.delayed_count + self.held_count

    def hold(self, calls: Iterable[Call]) -> None:
        """Keep the inputs of calls from running, also those still to come, until `let_go`. Looks at all calls once."""
        waiting: set[str] = set()
        for call in calls:
            if call.id in self._held:
                continue
            queue = self._held[call.id] = self._queues.pop(call.id, None) or deque()
            if queue:
                waiting.add(call.id)
            size = sum(len(span) for span in queue)
            self.count -= size
            self.held_count += size
        if waiting:
            self._turns = deque(call for call in self._turns if call.id not in waiting)

    def let_go(self, call: Call) -> None:
        """Let the inputs of a held call take their turns again."""
        queue = self._held.pop(call.id, None)
        if not queue:
            return
        self._queues[call.id] = queue
        self._turns.append(call)
        size = sum(len(span) for span in queue)
        self.count += size
        self.held_count -= size

    def add(self, span: Span) -> None:
        """Queue new inputs behind those of the same call."""
        self._queue(span.call).append(span)
        self._count(span.call, len(span))

    def put_back(self, span: Span) -> None:
        """Queue inputs that had already left where they were: a call's inputs leave in the order of their indexes."""
        queue = self._queue(span.call)
        place = 0
        while place < len(queue) and queue[place].first < span.first:
            place += 1
        if place < len(queue):
            # Whoever is in front has waited longest, or a batch would wait for the clock of an input that came back.
            span.requeue(min(span.queued_at, queue[place].queued_at))
        queue.insert(place, span)
        self._count(span.call, len(span))

    def delay(self, span: Span, until: float) -> None:
        """Keep a span away until its time has come."""
        self._sequence += 1
        heapq.heappush(self._delayed, (until, self._sequence, span))
        self.delayed_count += len(span)

    @property
    def delayed_until(self) -> float | None:
        """When the first delayed span is due."""
        return self._delayed[0][0] if self._delayed else None

    def release(self, now: float) -> None:
        """Queue the delayed spans whose time has come."""
        while self._delayed and self._delayed[0][0] <= now:
            _, _, span = heapq.heappop(self._delayed)
            self.delayed_count -= len(span)
            span.requeue(now)
            self.put_back(span)

    @property
    def next_is_alone(self) -> bool:
        """True if the input whose turn it is must have a container to itself."""
        return bool(self._turns) and self._queues[self._turns[0].id][0].alone

    @property
    def oldest_at(self) -> float:
        """When the longest-waiting input at the head of any call was queued; only meaningful if `count`."""
        return min(self._queues[call.id][0].queued_at for call in self._turns)

    def take(self, count: int, *, method: str | None = None) -> list[Part]:
        """Remove up to `count` inputs, calls taking turns; an input that must be alone comes alone.

        All inputs taken go to the same method (`method`, or that of the first).
        """
        parts: list[Part] = []
        share = -(-count // len(self._turns)) if self._turns else 0
        skipped = 0
        while count and skipped < len(self._turns):
            call = self._turns[0]
            span = self._queues[call.id][0]
            if (span.alone and parts) or (method is not None and call.method != method):
                self._turns.rotate(-1)
                skipped += 1
                continue
            part = span.take(1 if span.alone else min(count, share))
            parts.append(part)
            count -= part.count
            self.count -= part.count
            method = call.method
            self._end_turn(call)
            if span.alone:
                break
            skipped = 0
        return parts

    def remove(self, call: Call) -> list[Span]:
        """Remove and return everything that waits of one call. If it is held, what still comes of it is held, too."""
        held = self._held.get(call.id)
        spans: list[Span] = list(self._queues.pop(call.id, ())) if held is None else list(held)
        if held is not None:
            held.clear()
            self.held_count -= sum(len(span) for span in spans)
        elif spans:
            self._turns.remove(call)
            self.count -= sum(len(span) for span in spans)
        mine = [entry for entry in self._delayed if entry[2].call is call]
        if mine:
            self._delayed = [entry for entry in self._delayed if entry[2].call is not call]
            heapq.heapify(self._delayed)
            self.delayed_count -= sum(len(entry[2]) for entry in mine)
            spans.extend(entry[2] for entry in sorted(mine, key=lambda entry: entry[:2]))
        return spans

    def calls(self) -> list[Call]:
        """Return the calls that have anything waiting here."""
        seen = {call.id: call for call in self._turns}
        seen.update((queue[0].call.id, queue[0].call) for queue in self._held.values() if queue)
        seen.update((entry[2].call.id, entry[2].call) for entry in self._delayed)
        return list(seen.values())

    def due_by_call(self) -> list[list[Span]]:
        """Return everything that may run now, call by call, for inspection."""
        return [list(queue) for queue in self._queues.values()]

    def due(self) -> list[Span]:
        """Return everything that may run now, for inspection."""
        return [span for queue in self._queues.values() for span in queue]

    def spans(self) -> list[Span]:
        """Return everything that waits, for inspection."""
        held = [span for queue in self._held.values() for span in queue]
        return self.due() + held + [entry[2] for entry in self._delayed]

    def _count(self, call: Call, change: int) -> None:
        if call.id in self._held:
            self.held_count += change
        else:
            self.count += change

    def _queue(self, call: Call) -> deque[Span]:
        held = self._held.get(call.id)
        if held is not None:
            return held
        queue = self._queues.get(call.id)
        if queue is None:
            queue = self._queues[call.id] = deque()
            self._turns.append(call)
        return queue

    def _end_turn(self, call: Call) -> None:
        """Pass the turn on; `call` is the one at the front."""
        queue = self._queues[call.id]
        if not len(queue[0]):
            queue.popleft()
        self._turns.popleft()
        if queue:
            self._turns.append(call)
        else:
            del self._queues[call.id]
