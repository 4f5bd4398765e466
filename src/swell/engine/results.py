"""How inputs end: their results go to whoever waits, and those of spawned calls are written down first.

A result is decided elsewhere; here it is recorded, told and counted, exactly once. This module must not know containers
or deliveries, nor why an input has ended.
"""

from __future__ import annotations

from collections.abc import Sequence

from swell.engine.call import Call
from swell.engine.diary import What
from swell.engine.events import DropBlobs
from swell.engine.ledger import Ledger
from swell.engine.pool import Pool
from swell.engine.span import Segment
from swell.model import OutputStatus
from swell.records import CallEnded, OutputsRecord, SpansDone, Trace
from swell.wire.messages import Outputs

__all__ = ["Results", "Settled"]

SUCCESS = OutputStatus.SUCCESS

Settled = tuple[int, OutputStatus, bytes, bool]  #: index, status, payload, is the payload a reference to a blob


class Results:
    """Ends inputs."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    # ------------------------------------------------------------ inputs one by one

    def settle(self, call: Call, segment: Segment, settled: Sequence[Settled], now: float) -> None:
        """End inputs that no container holds (they were pending, or are void where they run)."""
        self.publish(call, settled, now)
        self.done(call, segment, [entry[0] for entry in settled], now)

    def succeeded(
        self,
        call: Call,
        segment: Segment,
        first: int,
        message: Outputs,
        payload: bytes,
        trace: Trace,
    ) -> None:
        """End a run of inputs that all succeeded, at the cost of one; `message` carries their results."""
        count = message.parts[0][1]
        call.diary.note(trace.ended_at, What.SUCCEEDED, first, count, trace.container_id)
        if call.kind.is_async:
            self._record(call, OutputsRecord(call.id, first, count, message.ends, payload, [], message.blobs, trace))
        else:
            self._ledger.tell(call.client, message, payload)
        self.done(call, segment, range(first, first + count), trace.ended_at)

    # ------------------------------------------------------------ all that waits

    def fail_pending(self, pool: Pool, status: OutputStatus, payload: bytes, now: float) -> None:
        """End everything that waits in a pool."""
        for call in [*pool.backlog.calls(), *pool.thin.values()]:
            self.end_pending(call, status, payload, now)

    def end_pending(self, call: Call, status: OutputStatus, payload: bytes, now: float) -> None:
        """End everything of a call that waits."""
        for span in call.pool.backlog.remove(call):
            call.add_pending(-len(span))
            if call.kind.is_async:
                self._end_alike(call, span.first, len(span), status, payload, now)
                self.done(call, span.segment, range(span.first, span.last), now)
            else:
                settled = [(index, status, payload, False) for index in range(span.first, span.last)]
                self.settle(call, span.segment, settled, now)
        if call.stored:
            self._end_stored(call, status, payload, now)
        self._ledger.touch(call.pool)

    def _end_stored(self, call: Call, status: OutputStatus, payload: bytes, now: float) -> None:
        """End those inputs of a call that wait in the store alone."""
        count, call.stored = call.stored, 0
        call.add_pending(-count)
        first = call.tail
        for ended, many in [*call.ahead, (call.accepted, 0)]:  # they kept their results over a restart
            if ended > first:
                self._end_alike(call, first, ended - first, status, payload, now)
            first = max(first, ended + many)
        call.tail, call.ahead = call.accepted, []
        for index in list(call.held_until):
            call.failures.pop(index, None)
            call.crashes.pop(index, None)
        call.held_until.clear()
        call.pool.thin.pop(call.id, None)
        call.add_done(count)
        self.end_if_finished(call, now)

    def _end_alike(self, call: Call, first: int, count: int, status: OutputStatus, payload: bytes, now: float) -> None:
        """Record one and the same end for many inputs, however many they are, and tell those who watch them."""
        call.diary.note(now, What.FAILED, first, count, "", status)
        failures = [(0, int(status))] if status is not SUCCESS else []
        self._record(call, OutputsRecord(call.id, first, count, [], payload, failures, [], Trace(now, None, now)))

    # ------------------------------------------------------------ inside

    def publish(self, call: Call, settled: Sequence[Settled], now: float, container_id: str = "") -> None:
        """Tell some results of one call, or write them down."""
        for index, status, _, _ in settled:
            what = What.SUCCEEDED if status is SUCCESS else What.FAILED
            call.diary.note(now, what, index, 1, container_id, status)
        if call.kind.is_async:
            for run in _runs(settled):
                self._record(call, _as_record(call.id, run, Trace(call.diary.opened_at, None, now, container_id)))
        else:
            self._ledger.tell(call.client, *_as_outputs(call.id, settled))

    def _record(self, call: Call, record: OutputsRecord) -> None:
        """Write results down, and tell those who watch for them."""
        self._ledger.persist(record)
        for watcher in call.watchers:
            first, last = max(watcher.first, record.first), min(watcher.last, record.first + record.count)
            if first < last:
                self._ledger.tell(watcher.client, *_cut(record, first, last))

    def done(self, call: Call, segment: Segment, indexes: Sequence[int] | range, now: float) -> None:
        """Count inputs whose end has been told, and let go of what is kept of them."""
        call.add_done(len(indexes))
        segment.left -= len(indexes)
        if segment.blobs:
            carried = [(call.id, index) for index in indexes if index in segment.blobs]
            if carried:
                self._ledger.emit(DropBlobs(carried, call.kind.is_async))
        if call.failures or call.crashes or call.streams:
            for index in indexes:
                call.failures.pop(index, None)
                call.crashes.pop(index, None)
                call.streams.pop(index, None)
        if not segment.left and call.kind.is_async:
            call.pool.bytes_at_hand -= len(segment.payload)
            if not call.finished:
                self._ledger.persist(SpansDone(call.id, [segment.first]))
        self.end_if_finished(call, now)

    def end_if_finished(self, call: Call, now: float) -> None:
        """Forget a call to which nothing more can happen."""
        if call.finished and call.id in self._ledger.calls:
            if call.kind.is_async:
                self._ledger.persist(CallEnded(call.id, call.accepted, now))
            call.diary.ended_at, call.diary.num_inputs = now, call.accepted
            self._ledger.diaries.keep_call(call.diary)
            self._ledger.unbind(call)
            self._ledger.touch(call.pool)  # its pool may have waited for this


def _as_outputs(call_id: str, settled: Sequence[Settled]) -> tuple[Outputs, bytes]:
    """Return the message and payload that carry some results of one call."""
    parts: list[tuple[int, int]] = []
    ends: list[int] = []
    size = 0
    for index, _, payload, _ in settled:
        if parts and parts[-1][0] + parts[-1][1] == index:
            parts[-1] = (parts[-1][0], parts[-1][1] + 1)
        else:
            parts.append((index, 1))
        size += len(payload)
        ends.append(size)
    failures = [(i, int(entry[1])) for i, entry in enumerate(settled) if entry[1] is not SUCCESS]
    blobs = [i for i, entry in enumerate(settled) if entry[3]]
    return Outputs(call_id, parts, ends, failures, blobs), b"".join(entry[2] for entry in settled)


def _runs(settled: Sequence[Settled]) -> list[list[Settled]]:
    """Return results in runs of consecutive inputs."""
    runs: list[list[Settled]] = []
    for entry in settled:
        if runs and runs[-1][-1][0] + 1 == entry[0]:
            runs[-1].append(entry)
        else:
            runs.append([entry])
    return runs


def _as_record(call_id: str, run: Sequence[Settled], trace: Trace) -> OutputsRecord:
    outputs, payload = _as_outputs(call_id, run)
    return OutputsRecord(call_id, run[0][0], len(run), outputs.ends, payload, outputs.failures, outputs.blobs, trace)


def _cut(record: OutputsRecord, first: int, last: int) -> tuple[Outputs, bytes]:
    """Return the message and payload that carry results first..last-1 of a record."""
    start, stop, count = first - record.first, last - record.first, last - first
    if not record.ends:  # all alike
        size = len(record.payload)
        failures = [(i, record.failures[0][1]) for i in range(count)] if record.failures else []
        ends = [size * (i + 1) for i in range(count)]
        return Outputs(record.call_id, [(first, count)], ends, failures), record.payload * count
    base = record.ends[start - 1] if start else 0
    ends = [end - base for end in record.ends[start:stop]]
    failures = [(i - start, status) for i, status in record.failures if start <= i < stop]
    blobs = [i - start for i in record.blobs if start <= i < stop]
    payload = record.payload[base : record.ends[stop - 1]]
    return Outputs(record.call_id, [(first, count)], ends, failures, blobs), payload
