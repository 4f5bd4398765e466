"""A write batch: the records of one transaction, folded into few rows.

A span that came and went since the last commit is never written, a call that grew three times is written once, and
results of neighbouring inputs become one row. This module must not know SQL, or when a commit is due.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import structs

from swell.records import (
    AttemptRecord,
    CallEnded,
    CallGrown,
    CallRecord,
    OutputsRecord,
    SpanRecord,
    SpansDone,
)
from swell.store.record_kinds import AnyAppRecord, AnyCallRecord
from swell.store.result_runs import CallResults, ResultRun, join

__all__ = ["WriteBatch"]


class WriteBatch:
    """The records taken since the last write. Records of apps are few, and are not folded."""

    def __init__(self) -> None:
        self.apps: list[AnyAppRecord] = []
        self.calls: dict[str, CallRecord] = {}  #: calls that begin
        self.grown: dict[str, CallGrown] = {}
        self.ended: dict[str, CallEnded] = {}
        self.attempts: dict[tuple[str, int], AttemptRecord] = {}
        self.done: list[tuple[str, int]] = []  #: spans written by an earlier batch, as (call id, first input)
        self._spans: dict[str, dict[int, SpanRecord]] = {}
        self._results: dict[str, CallResults] = {}
        self.size_bytes = 0  #: of payloads

    def take(self, record: AnyCallRecord) -> None:
        """Take a record of a call. Records that follow the end of their call are dropped."""
        call_id = record.call_id
        if call_id in self.ended:
            return
        match record:
            case SpanRecord():
                self._spans.setdefault(call_id, {}).setdefault(record.first, record)
                self.size_bytes += len(record.payload)
            case OutputsRecord():
                results = self._results.get(call_id)
                if results is None:
                    results = self._results[call_id] = CallResults()
                results.add(ResultRun.of(record))
                self.size_bytes += len(record.payload)
            case SpansDone():
                for first in record.firsts:
                    self._span_done(call_id, first)
            case CallRecord():
                self.calls.setdefault(call_id, record)
            case CallGrown():
                self._grow(record)
            case AttemptRecord():
                self.attempts[call_id, record.index] = record
            case CallEnded():
                self._end(record)

    def _grow(self, record: CallGrown) -> None:
        begun = self.calls.get(record.call_id)
        if begun is None:
            self.grown[record.call_id] = record
        else:
            self.calls[record.call_id] = structs.replace(begun, accepted=record.accepted, sealed=record.sealed)

    def _span_done(self, call_id: str, first: int) -> None:
        span = self._spans.get(call_id, {}).pop(first, None)
        if span is None:
            self.done.append((call_id, first))
        elif self.attempts:
            for index in range(first, first + len(span.ends)):
                self.attempts.pop((call_id, index), None)

    def _end(self, record: CallEnded) -> None:
        self.ended[record.call_id] = record
        spans = self._spans.pop(record.call_id, {})
        # A span with blobs is written all the same, so that expiry finds its blobs and deletes them.
        carrying = {first: span for first, span in spans.items() if span.blobs}
        if carrying:
            self._spans[record.call_id] = carrying

    @property
    def has_calls(self) -> bool:
        """True if the batch holds records of calls."""
        return bool(
            self.calls or self.grown or self._spans or self._results or self.attempts or self.done or self.ended
        )

    def take_spawn(self) -> tuple[CallRecord, SpanRecord] | None:
        """Take out the one call that begins, if all of its inputs are in one span."""
        if len(self.calls) != 1:
            return None
        [(call_id, call)] = self.calls.items()
        spans = self._spans.get(call_id, {})
        if len(spans) != 1:
            return None
        del self.calls[call_id], self._spans[call_id]
        return call, next(iter(spans.values()))

    def spans(self) -> Iterator[SpanRecord]:
        """Yield the spans to write."""
        for spans in self._spans.values():
            yield from spans.values()

    def runs(self) -> Iterator[tuple[str, ResultRun]]:
        """Yield the result runs to write, each with the id of its call."""
        for call_id, results in self._results.items():
            for run in join(list(results)):
                yield call_id, run
