"""All spawned calls that the memory store keeps: which go on, which have ended, and which are old.

This module must not know apps, or what the records of one call mean.
"""

from __future__ import annotations

from bisect import bisect_right, insort
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
from swell.store.facts import CallFact
from swell.store.kept_call import KeptCall

__all__ = ["KeptCalls"]


class KeptCalls:
    """Calls by id, those that go on by function, and those that have ended by time."""

    def __init__(self) -> None:
        self.sequence = 0  #: the highest ever given to a call
        self._calls: dict[str, KeptCall] = {}
        self._going_on: dict[str, _Line] = {}  # by function
        # When calls ended, and their ids, in the order in which they did: with the clock's.
        self._with_results: deque[tuple[float, str]] = deque()
        self._ended: deque[tuple[float, str]] = deque()
        self._left_blobs: list[str] = []  # that carried inputs of calls which ended before those were needed

    def get(self, call_id: str) -> KeptCall | None:
        """Return a call, if it is known."""
        return self._calls.get(call_id)

    def take(self, record: CallFact) -> None:
        """Take a record. One about a call that is not known, or that has ended, changes nothing."""
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
            self._calls[record.call_id] = call = KeptCall(record)
            self._going_on.setdefault(record.function_id, _Line()).add(call)
            self.sequence = max(self.sequence, record.sequence)

    def _end(self, call: KeptCall, num_inputs: int, ended_at: float, terminated: str | None = None) -> None:
        self._left_blobs += call.end(num_inputs, ended_at, terminated)
        line = self._going_on[call.record.function_id]
        line.remove(call)
        if not line:
            del self._going_on[call.record.function_id]
        self._with_results.append((ended_at, call.record.call_id))
        self._ended.append((ended_at, call.record.call_id))

    def cancel(self, record: CallsCancelled, function_ids: Collection[str]) -> None:
        """End calls of the functions that a record names; `function_ids` are those that are recorded."""
        named = record.function_ids
        if named is None:
            named = tuple(self._going_on.keys() - function_ids)
        for function_id in named:
            line = self._going_on.get(function_id)
            for call in list(line.after(-1)) if line is not None else ():
                self._end(call, call.accepted, record.ended_at, record.text)

    # ------------------------------------------------------------ what goes on

    def going_on(self, function_id: str, after: int) -> Iterator[KeptCall]:
        """Yield the calls of a function that have not ended, by sequence, from beyond `after` on."""
        line = self._going_on.get(function_id)
        return line.after(after) if line is not None else iter(())

    def waiting(self) -> dict[str, Waiting]:
        """Return what waits, by function."""
        found: dict[str, Waiting] = {}
        for function_id, line in sorted(self._going_on.items()):
            calls = list(line.after(-1))
            found[function_id] = Waiting(len(calls), sum(call.waiting for call in calls))
        return found

    # ------------------------------------------------------------ what is old

    def expire(self, ended_before: float) -> list[str]:
        """Drop results of calls that ended before a time; return the names of blobs that nobody needs any more."""
        names, self._left_blobs = self._left_blobs, []
        for call_id in _take_before(self._with_results, ended_before):
            names += self._calls[call_id].expire()
        return names

    def forget(self, ended_before: float) -> None:
        """Forget calls that ended before a time."""
        for call_id in _take_before(self._ended, ended_before):
            del self._calls[call_id]


class _Line:
    """Calls of one function that go on, by sequence. Whatever is done to it costs little, however many they are."""

    def __init__(self) -> None:
        self._calls: dict[int, KeptCall] = {}
        self._sequences: list[int] = []  # in order; of some that have ended, too

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: KeptCall) -> None:
        sequence = call.record.sequence
        self._calls[sequence] = call
        insort(self._sequences, sequence)

    def remove(self, call: KeptCall) -> None:
        del self._calls[call.record.sequence]
        if len(self._sequences) > 2 * len(self._calls) + 8:
            self._sequences = [sequence for sequence in self._sequences if sequence in self._calls]

    def after(self, sequence: int) -> Iterator[KeptCall]:
        for at in range(bisect_right(self._sequences, sequence), len(self._sequences)):
            call = self._calls.get(self._sequences[at])
            if call is not None:
                yield call


def _take_before(ended: deque[tuple[float, str]], time: float) -> Iterator[str]:
    while ended and ended[0][0] < time:
        yield ended.popleft()[1]
