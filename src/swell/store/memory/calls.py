"""All spawned calls in memory: unfinished, ended and expired ones.

This module must not know apps, or what the records of one call mean.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator

from swell.records import (
    AttemptRecord,
    CallEnded,
    CallGrown,
    CallRecord,
    CallsCancelled,
    OutputsRecord,
    SpanRecord,
    SpansDone,
    Waiting,
)
from swell.store.memory.call import MemoryCall
from swell.store.memory.sorted_map import SortedMap
from swell.store.record_kinds import AnyCallRecord

__all__ = ["MemoryCalls"]


class MemoryCalls:
    """Calls by id; unfinished calls by function, ended calls by time."""

    def __init__(self) -> None:
        self.sequence = 0  #: the highest ever given to a call
        self._calls: dict[str, MemoryCall] = {}
        self._going_on: dict[str, SortedMap[MemoryCall]] = {}  # by function
        # (ended at, call id), in the order of ends, which is that of the clock.
        self._with_results: deque[tuple[float, str]] = deque()
        self._ended: deque[tuple[float, str]] = deque()
        self._left_blobs: list[str] = []  # blobs of inputs that were not run before their call ended

    def get(self, call_id: str) -> MemoryCall | None:
        """Return a call, if it is known."""
        return self._calls.get(call_id)

    def take(self, record: AnyCallRecord) -> None:
        """Take a record. A record of an unknown or ended call changes nothing."""
        if isinstance(record, CallRecord):
            self._begin(record)
            return
        call = self._calls.get(record.call_id)
        if call is None or call.ended_at is not None:
            return
        match record:
            case SpanRecord():
                call.add_span(record)
            case CallGrown():
                call.accepted, call.sealed = record.accepted, record.sealed
            case OutputsRecord():
                call.add_outputs(record)
            case SpansDone():
                call.drop_spans(record.firsts)
            case AttemptRecord():
                call.note_attempt(record)
            case CallEnded():
                self._end(call, record.num_inputs, record.ended_at)

    def _begin(self, record: CallRecord) -> None:
        if record.call_id not in self._calls:
            self._calls[record.call_id] = call = MemoryCall(record)
            self._going_on.setdefault(record.function_id, SortedMap()).add(record.sequence, call)
            self.sequence = max(self.sequence, record.sequence)

    def _end(self, call: MemoryCall, num_inputs: int, ended_at: float, terminated: str | None = None) -> None:
        self._left_blobs += call.end(num_inputs, ended_at, terminated)
        line = self._going_on[call.record.function_id]
        line.pop(call.record.sequence)
        if not line:
            del self._going_on[call.record.function_id]
        self._with_results.append((ended_at, call.record.call_id))
        self._ended.append((ended_at, call.record.call_id))

    def cancel(self, record: CallsCancelled, function_ids: Collection[str]) -> None:
        """End the calls of the functions that a record names; `function_ids` are all recorded functions."""
        named = record.function_ids
        if named is None:
            named = tuple(self._going_on.keys() - function_ids)
        for function_id in named:
            line = self._going_on.get(function_id)
            for call in list(line.since(0)) if line is not None else ():
                self._end(call, call.accepted, record.ended_at, record.text)

    # ------------------------------------------------------------ unfinished calls

    def going_on(self, function_id: str, after: int) -> Iterator[MemoryCall]:
        """Yield the unfinished calls of a function with a sequence above `after`, in order."""
        line = self._going_on.get(function_id)
        return line.since(after + 1) if line is not None else iter(())

    def waiting(self) -> dict[str, Waiting]:
        """Return the waiting calls and inputs, by function."""
        found: dict[str, Waiting] = {}
        for function_id, line in sorted(self._going_on.items()):
            calls = list(line.since(0))
            found[function_id] = Waiting(len(calls), sum(call.waiting for call in calls))
        return found

    # ------------------------------------------------------------ expiry

    def expire(self, ended_before: float) -> list[str]:
        """Drop results of calls that ended before a time; return the names of blobs that are no longer needed."""
        names, self._left_blobs = self._left_blobs, []
        for call_id in _take_before(self._with_results, ended_before):
            names += self._calls[call_id].expire()
        return names

    def forget(self, ended_before: float) -> None:
        """Forget calls that ended before a time."""
        for call_id in _take_before(self._ended, ended_before):
            del self._calls[call_id]


def _take_before(ended: deque[tuple[float, str]], time: float) -> Iterator[str]:
    while ended and ended[0][0] < time:
        yield ended.popleft()[1]
