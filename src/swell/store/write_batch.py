"""What one transaction is to write: many records folded into few rows.

A span that came and went since the last commit is not written at all, a call that grew three times is written once, and
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
from swell.store.record_kinds import AppFact, CallFact
from swell.store.result_runs import Results, Run, join

__all__ = ["Draft"]


class Draft:
    """Records taken since the last commit. Those about apps are few, and stay as they are."""

    def __init__(self) -> None:
        self.apps: list[AppFact] = []
        self.calls: dict[str, CallRecord] = {}  #: that begin
        self.grown: dict[str, CallGrown] = {}
        self.ended: dict[str, CallEnded] = {}
        self.attempts: dict[tuple[str, int], AttemptRecord] = {}
        self.done: list[tuple[str, int]] = []  #: spans that were written before: call id and first input
        self._spans: dict[str, dict[int, SpanRecord]] = {}
        self._results: dict[str, Results] = {}
        self.size_bytes = 0  #: of payloads

    def take(self, record: CallFact) -> None:
        """Take a record about a call. After its end there is nothing to say about one."""
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
                    results = self._results[call_id] = Results()
                results.add(Run.of(record))
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
        # Those that carry blobs are written, so that the blobs are not forgotten with them.
        carrying = {first: span for first, span in spans.items() if span.blobs}
        if carrying:
            self._spans[record.call_id] = carrying

    @property
    def has_calls(self) -> bool:
        """True if there is anything to write about calls."""
        return bool(
            self.calls or self.grown or self._spans or self._results or self.attempts or self.done or self.ended
        )

    def spans(self) -> Iterator[SpanRecord]:
        """Yield the spans to write."""
        for spans in self._spans.values():
            yield from spans.values()

    def runs(self) -> Iterator[tuple[str, Run]]:
        """Yield the results to write, each with its call's id."""
        for call_id, results in self._results.items():
            for run in join(list(results)):
                yield call_id, run
