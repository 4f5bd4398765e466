"""What waits of one call in one pool: in the order of the inputs' indexes, whatever order they came back in.

New inputs come in order and stand in a deque. Those that come back (given back, lost with a container, retried) stand
in a heap beside it, and whichever of the two has the lower index is the head. So each step costs the same however many
wait, and a call of which ten thousand retries come back at once costs no more for each than a call of one.

Whoever is in front has waited as long as anybody behind: a batch would otherwise wait for the clock of an input that
came back. This module must not know other calls.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from itertools import chain

from swell.engine.state.call import Call
from swell.engine.state.span import Part, Span

__all__ = ["CallQueue"]


class CallQueue:
    """The spans of one call: `size` inputs are due, those in `delayed` wait for their time."""

    __slots__ = ("_back", "_new", "_since", "call", "delayed", "is_held", "size")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.is_held = False  #: none may run, also of those still to come
        self.size = 0
        self.delayed: dict[int, Span] = {}  #: by the number of their delay
        self._new: deque[Span] = deque()
        self._back: list[tuple[int, Span]] = []  # a heap, by the first index
        self._since: OrderedDict[Span, float] = OrderedDict()  # of `_back`: when each came, the first one first

    def append(self, span: Span) -> None:
        """Queue new inputs behind the others that are new."""
        self._new.append(span)
        self.size += len(span)

    def put_back(self, span: Span) -> None:
        """Queue inputs where their indexes say."""
        heapq.heappush(self._back, (span.first, span))
        self._since[span] = span.queued_at
        self.size += len(span)

    def delay(self, number: int, span: Span) -> None:
        """Keep inputs away; the number tells this delay from others."""
        self.delayed[number] = span

    def end_delay(self, number: int) -> None:
        """Forget a delay that is over."""
        del self.delayed[number]

    def hold(self) -> None:
        """Let none run until `let_go`."""
        self.is_held = True

    def let_go(self) -> None:
        """Let those run that are due."""
        self.is_held = False

    @property
    def since(self) -> float:
        """When the longest-waiting input was queued; only meaningful if there is any."""
        if not self._since:
            return self._new[0].queued_at
        back = next(iter(self._since.values()))
        return min(back, self._new[0].queued_at) if self._new else back

    @property
    def is_alone(self) -> bool:
        """True if the first input must have a container to itself; only meaningful if there is any."""
        return self._head().alone

    def take(self, count: int) -> Part:
        """Remove up to `count` inputs from the first span; just one if it must be alone."""
        head = self._head()
        back = self._back
        if back:
            head.requeue(self.since)
        part = head.take(1 if head.alone else count)
        self.size -= part.count
        if not back or head is not back[0][1]:
            if head.first == head.last:
                self._new.popleft()
        elif head.first < head.last:
            back[0] = (head.first, head)  # still the lowest
        else:
            heapq.heappop(back)
            del self._since[head]
        return part

    def clear(self) -> list[Span]:
        """Remove and return everything: what is due in order, then what is delayed, as it was."""
        spans = [*self.due(), *self.delayed.values()]
        self._new.clear()
        self._back.clear()
        self._since.clear()
        self.delayed.clear()
        self.size = 0
        return spans

    def due(self) -> list[Span]:
        """Return what is due, in order."""
        if not self._back:
            return list(self._new)
        return sorted(chain(self._new, self._since), key=lambda span: span.first)

    def _head(self) -> Span:
        if not self._back or (self._new and self._new[0].first < self._back[0][0]):
            return self._new[0]
        return self._back[0][1]
