"""Publish results: send them to the clients that wait for them; record those of spawned calls first.

A result is decided elsewhere; here it is recorded, sent and counted, exactly once. This module must not know containers
or deliveries, nor why an input has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from swell.engine.events import DropBlobs, SendRecorded, SendToClient
from swell.engine.state.call import Call
from swell.engine.state.engine_state import EngineState
from swell.engine.state.history import EventKind
from swell.engine.state.pool import Pool
from swell.engine.state.span import Segment, Span
from swell.items import PackedItems, pack
from swell.model import CallKind, OutputStatus
from swell.records import CallEnded, OutputsRecord, SpansDone, Trace
from swell.wire.messages import Outputs

__all__ = ["Outcome", "ResultPublisher"]

SUCCESS = OutputStatus.SUCCESS
ALIKE_BYTES_MAX = 1 << 20  #: of equal results in one message: they are one record, however many they are


class Outcome(Struct, frozen=True, gc=False):
    """How one input has ended."""

    index: int
    status: OutputStatus
    payload: bytes
    has_blob: bool = False  #: the payload is a reference to one
    delivered_at: float | None = None  #: when it left for the container in which it has ended; None if in none
    container_id: str = ""


class SucceededRun(Struct, frozen=True, gc=False):
    """Consecutive inputs of one segment that were delivered together and have all succeeded."""

    segment: Segment
    first: int
    count: int
    delivered_at: float


class ResultPublisher:
    """Ends inputs: records their results, sends them, and counts."""

    def __init__(self, state: EngineState) -> None:
        self._state = state

    # ------------------------------------------------------------ inputs one by one

    def end(self, call: Call, segment: Segment, outcomes: Sequence[Outcome], now: float) -> None:
        """End inputs that no container holds (they were pending, or are revoked where they run)."""
        self.publish(call, outcomes, now)
        self.done(call, segment, [outcome.index for outcome in outcomes], now)

    def end_silently(self, call: Call, segment: Segment, outcome: Outcome, now: float) -> None:
        """End an input without sending a result: its caller has seen its end already."""
        self._note(call, (outcome,), now)
        self.done(call, segment, (outcome.index,), now)

    def succeeded(
        self,
        call: Call,
        runs: Sequence[SucceededRun],
        message: Outputs,
        payload: bytes,
        *,
        container_id: str,
        now: float,
    ) -> None:
        """End runs of inputs that all succeeded, at a cost per run; `message` carries the results of all."""
        for run in runs:
            call.history.note(now, EventKind.SUCCEEDED, run.first, run.count, container_id)
            call.pool.measures.count_ended(SUCCESS, run.count)
        if call.kind.is_async:
            items, at = message.items(payload), 0
            for run in runs:
                trace = Trace(call.history.opened_at, run.delivered_at, now, container_id)
                self._record(call, OutputsRecord.of(call.id, run.first, items.slice(at, run.count), trace))
                at += run.count
        else:
            self._state.send_to_caller(call, message, payload)
        for run in runs:
            self.done(call, run.segment, range(run.first, run.first + run.count), now)

    # ------------------------------------------------------------ all that waits

    def fail_pending(self, pool: Pool, status: OutputStatus, payload: bytes, now: float) -> None:
        """End all inputs that wait in a pool."""
        for call in [*pool.backlog.calls(), *(call for call in pool.window.tails.values() if call.stored)]:
            self.end_pending(call, status, payload, now)

    def fail_requests(self, pool: Pool, status: OutputStatus, payload: bytes, now: float) -> None:
        """End the requests over HTTP that wait in a pool."""
        for call in pool.backlog.calls() if pool.web_methods else ():
            if call.kind is CallKind.WEB:
                self.end_pending(call, status, payload, now)

    def end_pending(self, call: Call, status: OutputStatus, payload: bytes, now: float) -> None:
        """End all inputs of a call that wait."""
        spans = call.pool.backlog.remove(call)
        for first, last in _joined(spans):
            self._end_alike(call, range(first, last), status, payload, now)
        for span in spans:
            call.add_pending(-len(span))
            self.done(call, span.segment, range(span.first, span.last), now)
        if call.stored:
            self._end_stored(call, status, payload, now)
        self._state.mark_dirty(call.pool)

    def _end_stored(self, call: Call, status: OutputStatus, payload: bytes, now: float) -> None:
        """End those inputs of a call that wait in the store alone."""
        first = call.end_stored()
        # Some of them may have results from before a restart. Those stay, so watchers are served from the store.
        self._write_alike(call, range(first, call.accepted), status, payload, now)
        for watcher in call.watchers:
            start, stop = max(watcher.first, first), min(watcher.last, call.accepted)
            if start < stop:
                self._state.emit(SendRecorded(watcher.client, call.id, start, stop, request=watcher.request))
        call.pool.window.drop_refill(call)
        self.end_if_finished(call, now)

    def _end_alike(self, call: Call, indexes: range, status: OutputStatus, payload: bytes, now: float) -> None:
        """End many inputs alike: in one record, however many they are, if they are of a spawned call."""
        if call.kind.is_async:
            self._tell_watchers(call, self._write_alike(call, indexes, status, payload, now))
            return
        self._note_alike(call, indexes, status, now)
        step = max(1, ALIKE_BYTES_MAX // max(1, len(payload)))
        for first in range(indexes.start, indexes.stop, step):
            told = range(first, min(first + step, indexes.stop))
            self._state.send_to_caller(call, *_as_equal_outputs(call.id, told, status, payload))

    def _write_alike(
        self, call: Call, indexes: range, status: OutputStatus, payload: bytes, now: float
    ) -> OutputsRecord:
        first, count = indexes.start, len(indexes)
        self._note_alike(call, indexes, status, now)
        failures = [(0, int(status))] if status is not SUCCESS else []
        record = OutputsRecord(
            call_id=call.id,
            first=first,
            count=count,
            ends=[],
            payload=payload,
            failures=failures,
            blobs=[],
            trace=Trace(now, None, now),
        )
        self._state.persist(record)
        return record

    @staticmethod
    def _note_alike(call: Call, indexes: range, status: OutputStatus, now: float) -> None:
        call.history.note(now, EventKind.FAILED, indexes.start, len(indexes), detail=status)
        call.pool.measures.count_ended(status, len(indexes))

    # ------------------------------------------------------------ inside

    def publish(self, call: Call, outcomes: Sequence[Outcome], now: float) -> None:
        """Send results of one call to its caller; record those of a spawned call."""
        self._note(call, outcomes, now)
        if call.kind.is_async:
            for run in _runs(outcomes):
                trace = Trace(call.history.opened_at, run[0].delivered_at, now, run[0].container_id)
                self._record(call, OutputsRecord.of(call.id, run[0].index, _packed(run), trace))
        else:
            self._state.send_to_caller(call, *_as_outputs(call.id, outcomes))

    @staticmethod
    def _note(call: Call, outcomes: Sequence[Outcome], now: float) -> None:
        for outcome in outcomes:
            what = EventKind.SUCCEEDED if outcome.status is SUCCESS else EventKind.FAILED
            call.history.note(now, what, outcome.index, 1, outcome.container_id, detail=outcome.status)
        call.pool.measures.count_each(outcome.status for outcome in outcomes)

    def _record(self, call: Call, record: OutputsRecord) -> None:
        """Record results, and send them to those who watch the call."""
        self._state.persist(record)
        self._tell_watchers(call, record)

    def _tell_watchers(self, call: Call, record: OutputsRecord) -> None:
        for watcher in call.watchers:
            first, last = max(watcher.first, record.first), min(watcher.last, record.first + record.count)
            step = _told_at_once(record)
            for start in range(first, last, step):
                told = _cut(record, start, min(start + step, last))
                self._state.emit(SendToClient(watcher.client, *told, is_kept=True))

    def done(self, call: Call, segment: Segment, indexes: range | list[int] | tuple[int, ...], now: float) -> None:
        """Count inputs whose results were sent, and drop their payload, blobs and failures."""
        call.end(indexes)
        if segment.blobs:
            carried = [(call.id, index) for index in indexes if index in segment.blobs]
            if carried:
                self._state.emit(DropBlobs(carried, call.kind.is_async))
        if not segment.end(len(indexes)) and call.kind.is_async:
            call.pool.window.remove_bytes(len(segment.items.payload))
            if not call.finished and not call.cancelled:  # else its end, which follows, says as much
                self._state.persist(SpansDone(call.id, [segment.first]))
        self.end_if_finished(call, now)

    def end_if_finished(self, call: Call, now: float) -> None:
        """Forget a call to which nothing more can happen."""
        if call.finished and call.id in self._state.calls:
            if call.kind.is_async:
                self._state.persist(CallEnded(call.id, call.accepted, now))
                self._note_end(call)
            if call.wants_lease and not call.cancelled:
                call.pool.leases.want(call.client)
            call.history.end(now, call.accepted)
            self._state.histories.keep_call(call.history)
            self._state.unbind(call)
            self._state.mark_dirty(call.pool)  # its pool may have waited for this

    def _note_end(self, call: Call) -> None:
        """Mark what the store is reading of a call at this moment as outdated."""
        call.pool.window.note_end(call)
        self._state.note_ended(call.id)


def _as_outputs(call_id: str, outcomes: Sequence[Outcome]) -> tuple[Outputs, bytes]:
    """Return the message and payload that carry some results of one call."""
    parts: list[tuple[int, int]] = []
    for outcome in outcomes:
        if parts and parts[-1][0] + parts[-1][1] == outcome.index:
            parts[-1] = (parts[-1][0], parts[-1][1] + 1)
        else:
            parts.append((outcome.index, 1))
    items = _packed(outcomes)
    return Outputs.of(call_id, parts, items), items.payload


def _as_equal_outputs(call_id: str, indexes: range, status: OutputStatus, payload: bytes) -> tuple[Outputs, bytes]:
    """Return the message and payload that carry results of consecutive inputs that failed alike."""
    count, size = len(indexes), len(payload)
    ends = list(range(size, size * count + 1, size)) if size else [0] * count
    failures = [(i, int(status)) for i in range(count)]
    return Outputs(call_id, [(indexes.start, count)], ends, failures), payload * count


def _packed(outcomes: Sequence[Outcome]) -> PackedItems[bytes]:
    return pack(
        [outcome.payload for outcome in outcomes],
        blobs=[i for i, outcome in enumerate(outcomes) if outcome.has_blob],
        failures=[(i, int(outcome.status)) for i, outcome in enumerate(outcomes) if outcome.status is not SUCCESS],
    )


def _joined(spans: Iterable[Span]) -> list[tuple[int, int]]:
    """Return (first, last) of the inputs of some spans, in as few runs as there can be."""
    runs: list[tuple[int, int]] = []
    for span in sorted(spans, key=lambda span: span.first):
        if runs and runs[-1][1] == span.first:
            runs[-1] = (runs[-1][0], span.last)
        else:
            runs.append((span.first, span.last))
    return runs


def _runs(outcomes: Sequence[Outcome]) -> list[list[Outcome]]:
    """Return results in runs of consecutive inputs that left together."""
    runs: list[list[Outcome]] = []
    for outcome in outcomes:
        before = runs[-1][-1] if runs else None
        if before is not None and before.index + 1 == outcome.index and before.delivered_at == outcome.delivered_at:
            runs[-1].append(outcome)
        else:
            runs.append([outcome])
    return runs


def _told_at_once(record: OutputsRecord) -> int:
    """Return how many results of a record fit one message: all of those that came in one."""
    return record.count if record.ends else max(1, ALIKE_BYTES_MAX // max(1, len(record.payload)))


def _cut(record: OutputsRecord, first: int, last: int) -> tuple[Outputs, bytes]:
    """Return the message and payload that carry results first..last-1 of a record."""
    start, count = first - record.first, last - first
    if not record.ends:  # all alike
        failures = [(i, record.failures[0][1]) for i in range(count)] if record.failures else []
        items = pack([record.payload] * count, failures=failures)
        return Outputs.of(record.call_id, [(first, count)], items), items.payload
    items = record.items.slice(start, count)
    return Outputs.of(record.call_id, [(first, count)], items), items.payload
