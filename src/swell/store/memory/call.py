"""One spawned call in memory.

This module must not know other calls, or when anything expires.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from swell.model import OutputStatus
from swell.records import (
    AttemptRecord,
    CallRecord,
    LoadedCall,
    LoadedSpans,
    OutputsRecord,
    SpanRecord,
    StoredCall,
    StoredOutput,
    Trace,
)
from swell.store.blob_references import names_in_run, names_in_span
from swell.store.memory.sorted_map import SortedMap
from swell.store.result_runs import CallResults, ResultRun
from swell.store.window import ReadBudget, read_window

__all__ = ["MemoryCall"]


class MemoryCall:
    """The records of one call."""

    __slots__ = (
        "_attempts",
        "_results",
        "_spans",
        "accepted",
        "ended_at",
        "expired",
        "record",
        "sealed",
        "terminated",
    )

    def __init__(self, record: CallRecord) -> None:
        self.record = record
        self.accepted = record.accepted
        self.sealed = record.sealed
        self.ended_at: float | None = None
        self.terminated: str | None = None  #: the text that inputs without a result have once the call was cancelled
        self.expired = False
        # None while empty, to save memory: there may be very many calls.
        self._spans: SortedMap[SpanRecord] | None = None
        self._attempts: dict[int, AttemptRecord] | None = None
        self._results: CallResults | None = None

    # ------------------------------------------------------------ write

    def add_span(self, span: SpanRecord) -> None:
        """Keep inputs."""
        if self._spans is None:
            self._spans = SortedMap()
        self._spans.add(span.first, span)

    def drop_spans(self, firsts: list[int]) -> None:
        """Drop spans whose inputs all have results, and the attempts of those inputs."""
        for first in firsts:
            span = self._spans.pop(first) if self._spans is not None else None
            if span is not None and self._attempts:
                for index in self._attempts.keys() & range(first, first + len(span.ends)):
                    del self._attempts[index]

    def add_outputs(self, record: OutputsRecord) -> None:
        """Keep results of inputs that have none yet."""
        if self._results is None:
            self._results = CallResults()
        self._results.add(ResultRun.of(record))

    def note_attempt(self, attempt: AttemptRecord) -> None:
        """Keep the attempts of an input so far."""
        if self._attempts is None:
            self._attempts = {}
        self._attempts[attempt.index] = attempt

    def end(self, num_inputs: int, ended_at: float, terminated: str | None = None) -> list[str]:
        """End the call, and return the names of the blobs of its inputs, which are no longer needed."""
        self.accepted, self.sealed, self.ended_at, self.terminated = num_inputs, True, ended_at, terminated
        spans, self._spans, self._attempts = self._spans, None, None
        return [name for span in spans.since(0) for name in names_in_span(span)] if spans is not None else []

    def expire(self) -> list[str]:
        """Drop the results, and return the names of their blobs."""
        results, self._results, self.expired = self._results, None, True
        return [name for run in results for name in names_in_run(run)] if results is not None else []

    # ------------------------------------------------------------ read

    @property
    def waiting(self) -> int:
        """Inputs without a result."""
        return self.accepted - self._done

    @property
    def _done(self) -> int:
        return self._results.count if self._results is not None else 0

    def _runs(self, first: int, last: int) -> Iterator[ResultRun]:
        return self._results.within(first, last) if self._results is not None else iter(())

    def stored(self) -> StoredCall:
        """Return the call as its records describe it."""
        record = self.record
        return StoredCall(
            call_id=record.call_id,
            sequence=record.sequence,
            function_id=record.function_id,
            function_name=record.function_name,
            method=record.method,
            parent=record.parent,
            opened_at=record.opened_at,
            accepted=self.accepted,
            sealed=self.sealed,
            done=self._done if self.ended_at is None else 0,
            ended_at=self.ended_at,
            expired=self.expired,
        )

    def outputs(self, first: int, last: int) -> Iterator[StoredOutput]:
        """Yield the results of inputs first..last-1."""
        at = first
        for run in self._runs(first, last):
            yield from self._terminated(at, run.first)
            yield from run.outputs(first, last)
            at = run.last
        yield from self._terminated(at, min(last, self.accepted))

    def _terminated(self, first: int, last: int) -> Iterator[StoredOutput]:
        if self.terminated is not None and not self.expired:
            payload = self.terminated.encode()
            for index in range(first, last):
                yield StoredOutput(index, OutputStatus.TERMINATED, payload)

    def trace(self, index: int) -> Trace | None:
        """Return the trace of an input with a result."""
        return next((run.trace(index) for run in self._runs(index, index + 1)), None)

    def load(self, budget: ReadBudget) -> LoadedCall:
        """Return what a server needs to resume the call."""
        spans = self.load_spans(0, budget)
        attempts = [
            attempt
            for index, attempt in sorted((self._attempts or {}).items())
            if not any(self._runs(index, index + 1))
        ]
        return LoadedCall(self.stored(), spans, attempts)

    def load_spans(self, first: int, budget: ReadBudget) -> LoadedSpans:
        """Return spans that begin at input `first` or later."""
        spans = self._spans.since(first) if self._spans is not None else iter(())
        head = next(spans, None)
        start = head.first if head is not None else self.accepted
        runs = ((run.first, run.count) for run in self._runs(start, self.accepted))
        ahead = chain([head] if head is not None else [], spans)
        return read_window(self.record.call_id, first, self.accepted, budget, spans=ahead, runs=runs)
