"""The queue of one pool: fair between calls, in order within a call, with delays for retries.

Calls take turns, so that one input never waits behind a million of another call. No step costs more because more calls
or inputs wait. What is taken out of a heap early stays there as a *stale* entry until it comes to the top, or until
half of the heap is stale. This module must not know containers.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterable

from swell.engine.state.call import Call
from swell.engine.state.call_queue import CallQueue
from swell.engine.state.span import Part, Span

__all__ = ["Backlog"]

SKIPS_MAX = 64  #: calls that `take` passes because their inputs cannot join; those behind them have another turn
RELEASES_MAX = 1_000  #: delayed spans that are released at once: about 3 ms
STALE_MIN = 64  #: stale entries that a heap may have in any case


class Backlog:
    """Pending spans by call. `count` inputs may run now; `delayed_count` more wait for their time.

    Calls that are held wait in any case: `held_count` inputs of them are left out of `count`.
    """

    def __init__(self) -> None:
        self.count = 0
        self.delayed_count = 0
        self.held_count = 0
        self._queues: dict[str, CallQueue] = {}  # of calls that are held, or have anything waiting
        # Of those with inputs that may run, the next one first.
        self._turns: OrderedDict[str, CallQueue] = OrderedDict()
        self._delayed: list[tuple[float, int, Span]] = []  # a heap; an entry is stale if its call's queue lacks it
        self._oldest: list[tuple[float, int, CallQueue]] | None = None  # a heap, made when it is asked for
        self._sequence = 0

    def __len__(self) -> int:
        return self.count + self.delayed_count + self.held_count

    # ------------------------------------------------------------ what comes

    def add(self, span: Span) -> None:
        """Queue new inputs behind those of the same call."""
        queue = self._queue(span.call)
        queue.append(span)
        self._count(queue, span.last - span.first)

    def put_back(self, span: Span) -> None:
        """Queue inputs that had already left where they were: a call's inputs leave in the order of their indexes."""
        queue = self._queue(span.call)
        queue.put_back(span)
        self._count(queue, len(span))

    def delay(self, span: Span, until: float) -> None:
        """Keep a span away until its time has come."""
        self._sequence += 1
        heapq.heappush(self._delayed, (until, self._sequence, span))
        self._queue(span.call).delay(self._sequence, span)
        self.delayed_count += len(span)

    @property
    def delayed_until(self) -> float | None:
        """When the first delayed span is due; in the past, if `release` has left some."""
        return self._delayed[0][0] if self._delayed else None

    def release(self, now: float) -> None:
        """Queue the delayed spans whose time has come; of very many, some."""
        for _ in range(RELEASES_MAX):
            if not self._delayed or self._delayed[0][0] > now:
                break
            _, number, span = heapq.heappop(self._delayed)
            self._queues[span.call.id].end_delay(number)
            self.delayed_count -= len(span)
            span.requeue(now)
            self.put_back(span)
            self._drop_stale_delays()

    # ------------------------------------------------------------ calls that are held

    def hold(self, calls: Iterable[Call]) -> None:
        """Keep the inputs of calls from running, also those still to come, until `let_go`."""
        for call in calls:
            queue = self._queue(call)
            if not queue.is_held:
                self._turns.pop(call.id, None)
                queue.hold()
                self.count -= queue.size
                self.held_count += queue.size

    def let_go(self, call: Call) -> None:
        """Let the inputs of a held call take their turns again."""
        queue = self._queues.get(call.id)
        if queue is None or not queue.is_held:
            return
        queue.let_go()
        self.held_count -= queue.size
        self._count(queue, queue.size)
        self._forget_if_empty(queue)

    # ------------------------------------------------------------ what leaves

    @property
    def next_is_alone(self) -> bool:
        """True if the input whose turn it is must have a container to itself."""
        return bool(self._turns) and next(iter(self._turns.values())).is_alone

    @property
    def oldest_at(self) -> float:
        """When the longest-waiting input at the head of any call was queued; only meaningful if `count`."""
        heap = self._oldest
        if heap is None:  # only a pool that batches asks
            heap = self._oldest = self._ages()
        while True:
            at, number, queue = heap[0]
            if self._turns.get(queue.call.id) is not queue:
                heapq.heappop(heap)
            elif queue.since > at:
                heapq.heapreplace(heap, (queue.since, number, queue))
            else:
                return at

    def take(self, count: int, *, method: str | None = None) -> list[Part]:
        """Remove up to `count` inputs, calls taking turns; an input that must be alone comes alone.

        All inputs taken go to the same method (`method`, or that of the first). Calls whose inputs cannot join keep
        their turn.
        """
        parts: list[Part] = []
        passed: list[CallQueue] = []
        turns = self._turns
        share = -(-count // len(turns)) if turns else 0
        while count and turns and len(passed) < SKIPS_MAX:
            call_id, queue = turns.popitem(last=False)
            is_alone, its_method = queue.is_alone, queue.call.method
            if (is_alone and parts) or (method is not None and its_method != method):
                passed.append(queue)
                continue
            part = queue.take(min(count, share))
            parts.append(part)
            count -= part.count
            self.count -= part.count
            method = its_method
            if queue.size:
                turns[call_id] = queue
            else:
                self._forget_if_empty(queue)
            if is_alone:
                break
        for queue in reversed(passed):
            turns[queue.call.id] = queue
            turns.move_to_end(queue.call.id, last=False)
        return parts

    def remove(self, call: Call) -> list[Span]:
        """Remove and return everything that waits of one call. If it is held, what still comes of it is held, too."""
        queue = self._queues.get(call.id)
        if queue is None:
            return []
        if queue.is_held:
            self.held_count -= queue.size
        else:
            self._turns.pop(call.id, None)
            self.count -= queue.size
        self.delayed_count -= sum(len(span) for span in queue.delayed.values())
        spans = queue.clear()
        self._forget_if_empty(queue)
        self._drop_stale_delays()
        return spans

    # ------------------------------------------------------------ for inspection

    def calls(self) -> list[Call]:
        """Return the calls that have anything waiting here."""
        return [queue.call for queue in self._queues.values() if queue.size or queue.delayed]

    def due_by_call(self) -> list[list[Span]]:
        """Return everything that may run now, call by call."""
        return [queue.due() for queue in self._turns.values()]

    def due(self) -> list[Span]:
        """Return everything that may run now."""
        return [span for queue in self._turns.values() for span in queue.due()]

    def spans(self) -> list[Span]:
        """Return everything that waits."""
        return [span for queue in self._queues.values() for span in (*queue.due(), *queue.delayed.values())]

    # ------------------------------------------------------------ inside

    def _queue(self, call: Call) -> CallQueue:
        queue = self._queues.get(call.id)
        if queue is None:
            queue = self._queues[call.id] = CallQueue(call)
        return queue

    def _count(self, queue: CallQueue, change: int) -> None:
        """Count inputs of a call that are due now; from the first one on, it takes its turns unless it is held."""
        if queue.is_held:
            self.held_count += change
            return
        self.count += change
        if queue.size and queue.call.id not in self._turns:
            self._turns[queue.call.id] = queue
            if self._oldest is not None:
                self._note_age(self._oldest, queue)

    def _note_age(self, heap: list[tuple[float, int, CallQueue]], queue: CallQueue) -> None:
        """Note since when a call waits that takes its turns from now on; it may only turn out to wait less long."""
        if len(heap) >= 2 * len(self._turns) + STALE_MIN:
            heap[:] = self._ages()
        else:
            self._sequence += 1
            heapq.heappush(heap, (queue.since, self._sequence, queue))

    def _ages(self) -> list[tuple[float, int, CallQueue]]:
        heap = [(queue.since, number, queue) for number, queue in enumerate(self._turns.values(), self._sequence + 1)]
        self._sequence += len(heap)
        heapq.heapify(heap)
        return heap

    def _forget_if_empty(self, queue: CallQueue) -> None:
        if not (queue.size or queue.delayed or queue.is_held):
            del self._queues[queue.call.id]

    def _drop_stale_delays(self) -> None:
        """Have a live entry on top of the heap of delays, if there is any, and at most half of them stale."""
        heap = self._delayed
        if len(heap) > 2 * self.delayed_count + STALE_MIN:
            heap[:] = [entry for entry in heap if self._is_delayed(entry)]
            heapq.heapify(heap)
        while heap and not self._is_delayed(heap[0]):
            heapq.heappop(heap)

    def _is_delayed(self, entry: tuple[float, int, Span]) -> bool:
        _, number, span = entry
        queue = self._queues.get(span.call.id)
        return queue is not None and number in queue.delayed
