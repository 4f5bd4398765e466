"""A write batch: many records, few rows."""

from __future__ import annotations

from swell.records import (
    AttemptRecord,
    CallEnded,
    CallGrown,
    CallRecord,
    OutputsRecord,
    SpanRecord,
    SpansDone,
)
from swell.store.write_batch import WriteBatch


def batch_of(
    *records: CallRecord | CallGrown | SpanRecord | SpansDone | OutputsRecord | AttemptRecord | CallEnded,
) -> WriteBatch:
    batch = WriteBatch()
    for record in records:
        batch.take(record)
    return batch


def begun(name: str = "fc-1", accepted: int = 0) -> CallRecord:
    return CallRecord(
        call_id=name,
        sequence=1,
        function_id="fu-1",
        function_name="f",
        method="",
        parent="",
        opened_at=50.0,
        accepted=accepted,
    )


def result(first: int, payload: bytes = b"x", name: str = "fc-1") -> OutputsRecord:
    return OutputsRecord(name, first, 1, [len(payload)], payload)


def test_a_call_that_begins_and_grows_is_one_row() -> None:
    batch = batch_of(begun(accepted=1), CallGrown("fc-1", 2, sealed=False), CallGrown("fc-1", 3, sealed=True))
    assert [(call.accepted, call.sealed) for call in batch.calls.values()] == [(3, True)]
    assert batch.grown == {}


def test_a_call_that_grows_twice_is_written_once() -> None:
    batch = batch_of(CallGrown("fc-1", 2, sealed=False), CallGrown("fc-1", 3, sealed=True))
    assert list(batch.grown.values()) == [CallGrown("fc-1", 3, sealed=True)]


def test_spans_that_come_and_go_are_not_written() -> None:
    spans = [SpanRecord("fc-1", first, [1, 2], b"xy") for first in (0, 2, 4)]
    batch = batch_of(*spans, AttemptRecord("fc-1", 3, 1, 0, 0.0), SpansDone("fc-1", [2, 6]))
    assert list(batch.spans()) == [spans[0], spans[2]]
    assert batch.done == [("fc-1", 6)]
    assert batch.attempts == {}


def test_of_a_call_that_comes_and_goes_nothing_is_written_but_what_is_kept() -> None:
    carrying = SpanRecord("fc-1", 1, [9], b"fc-1.1.in", [1])
    batch = batch_of(
        begun(accepted=2),
        SpanRecord("fc-1", 0, [1], b"x"),
        carrying,
        result(0),
        result(1),
        CallEnded("fc-1", 2, 60.0),
        result(2, b"after the end"),
    )
    assert list(batch.spans()) == [carrying]  # or its blob would be forgotten
    assert [(run.first, run.count) for _, run in batch.runs()] == [(0, 2)]
    assert list(batch.ended) == ["fc-1"]


def test_results_of_neighbours_are_one_row_however_they_come() -> None:
    batch = batch_of(
        result(4, b"4"), result(0, b"0"), result(5, b"5"), result(1, b"1"), result(0, b"later"), result(0, name="fc-2")
    )
    runs = [(call_id, run.first, run.count, run.payload) for call_id, run in batch.runs()]
    assert runs == [("fc-1", 0, 2, b"01"), ("fc-1", 4, 2, b"45"), ("fc-2", 0, 1, b"x")]


def test_a_draft_knows_its_size() -> None:
    assert batch_of(SpanRecord("fc-1", 0, [5], bytes(5)), result(0, bytes(7))).size_bytes == 12
