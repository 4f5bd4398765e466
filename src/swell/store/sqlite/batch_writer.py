"""Write records to SQLite: one write batch at a time, in one statement, or a row at a time where that is less work.

This module must not know threads, or when to commit.
"""

from __future__ import annotations

from collections.abc import Iterable

import apsw
from msgspec import Struct, json, msgpack

from swell.model import Deployment
from swell.records import (
    AppRecord,
    BundleRecord,
    CallRecord,
    CallsCancelled,
    ContainerRecord,
    FunctionGone,
    FunctionRecord,
    Record,
    SpanRecord,
)
from swell.store.record_kinds import AnyAppRecord
from swell.store.result_runs import ResultRun, gaps
from swell.store.sqlite.database import Database
from swell.store.write_batch import WriteBatch

__all__ = ["BatchWriter"]


class BatchWriter:
    """Folds records into write batches and writes them, in a transaction that begins with the first write."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._batch: WriteBatch | None = None
        database.run("create_batches")
        database.run("create_spawns")
        self.size_bytes = 0  #: of the payloads written since the last commit

    def take(self, record: Record) -> None:
        """Take a record."""
        if isinstance(record, CallsCancelled):
            self.write()  # it concerns all calls recorded so far
            self._database.begin()
            self._cancel(record)
            return
        if self._batch is None:
            self._batch = WriteBatch()
        if isinstance(record, AnyAppRecord):
            self._batch.apps.append(record)
        else:
            self._batch.take(record)

    def write(self) -> None:
        """Write the records taken so far, so that reads see them. The next commit makes them durable."""
        if self._batch is not None:
            self._database.begin()
            self._write()

    def commit(self, frame: int = 0) -> None:
        """Make all records taken so far durable.

        Args:
            frame: the last one of the journal that these records belong to; 0: they belong to none.
        """
        if frame:
            self._database.begin()
            self._database.run("note_frame", frame=frame)
        if self._batch is not None:
            self._write()  # unless a transaction has begun, a last statement is one of its own
        self._database.commit()
        self.size_bytes = 0

    def _write(self) -> None:
        batch, self._batch = self._batch, None
        assert batch is not None
        self.size_bytes += batch.size_bytes
        spawn, has_others = batch.take_spawn(), batch.has_calls
        if batch.apps or (spawn and has_others):
            self._database.begin()
        for record in batch.apps:
            self._write_app(record)
        if spawn:
            self._write_spawn(*spawn)
        if has_others:
            self._write_calls(batch)

    # ------------------------------------------------------------ calls

    def _write_spawn(self, call: CallRecord, span: SpanRecord) -> None:
        ends, blobs = msgpack.encode(span.ends), msgpack.encode(span.blobs) if span.blobs else None
        of_call = (
            call.sequence,
            call.call_id,
            call.function_id,
            call.function_name,
            call.method,
            call.parent,
            call.opened_at,
            call.accepted,
            call.sealed,
        )
        self._database.add("write_spawn", (*of_call, span.first, len(span.ends), ends, blobs, span.payload))

    def _write_calls(self, batch: WriteBatch) -> None:
        spans, runs = list(batch.spans()), list(batch.runs())
        try:
            self._write_rows(batch, spans, runs)
        except apsw.ConstraintError as error:
            if str(error) != "overlap":
                raise
            # Some inputs have results already, and the first result counts: write only the parts of runs that are new.
            new = [(call_id, part) for call_id, run in runs for part in self._new_parts(call_id, run)]
            self._write_rows(batch, spans, new)

    def _write_rows(self, batch: WriteBatch, spans: list[SpanRecord], runs: list[tuple[str, ResultRun]]) -> None:
        packed = _BatchBytes()
        self._database.run(
            "write_batch",
            calls=_json(batch.calls.values()),
            grown=_json(batch.grown.values()),
            spans=_json(packed.add_span(span) for span in spans),
            outputs=_json(packed.add_run(call_id, run) for call_id, run in runs),
            attempts=_json(batch.attempts.values()),
            done=_json(batch.done),
            ended=_json(batch.ended.values()),
            bytes=packed.bytes,
        )

    def _new_parts(self, call_id: str, run: ResultRun) -> list[ResultRun]:
        known = self._database.rows("runs_within", call_id=call_id, first=run.first, last=run.last)
        return [run.cut(first, last) for first, last in gaps(known, run.first, run.last)]

    def _cancel(self, record: CallsCancelled) -> None:
        values = {"ended_at": record.ended_at, "text": record.text}
        if record.function_ids is None:
            self._database.run("cancel_calls_of_no_function", **values)
        else:
            function_ids = json.encode(record.function_ids).decode()
            self._database.run("cancel_calls_of", function_ids=function_ids, **values)

    # ------------------------------------------------------------ apps

    def _write_app(self, record: AnyAppRecord) -> None:
        run, encoded = self._database.run, msgpack.encode(record)
        match record:
            case AppRecord():
                run(
                    "put_app",
                    app_id=record.app_id,
                    version=record.version,
                    created_at=record.created_at,
                    stopped_at=record.stopped_at,
                    record=encoded,
                )
            case Deployment():
                bundle = record.environment.bundle
                run("put_deployment", app_id=record.app_id, version=record.version, bundle=bundle, record=encoded)
            case BundleRecord():
                run("put_bundle", digest=record.digest, data=record.data)
            case FunctionRecord():
                app_id, version = record.app_id, record.version
                run("put_function", function_id=record.function_id, app_id=app_id, version=version, record=encoded)
            case FunctionGone():
                run("delete_function", function_id=record.function_id)
            case ContainerRecord():
                app_id, ended_at = record.app_id, record.ended_at
                run("put_container", container_id=record.container_id, app_id=app_id, ended_at=ended_at, record=encoded)


class _Row(Struct, frozen=True, gc=False):
    """A span or a run, and where its bytes lie: from offset `at` on (SQL counts from 1), so many of each kind."""

    call_id: str
    first: int
    count: int
    at: int
    shape: int
    blobs: int
    payload: int


class _BatchBytes:
    """The bytes of all rows of a write batch, one after another."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._at = 1

    @property
    def bytes(self) -> bytes:
        return b"".join(self._pieces)

    def add_span(self, span: SpanRecord) -> _Row:
        return self._add(span.call_id, span, len(span.ends), span.ends)

    def add_run(self, call_id: str, run: ResultRun) -> _Row:
        shape = (run.ends, run.failures, run.traces)
        return self._add(call_id, run, run.count, shape)

    def _add(self, call_id: str, of: SpanRecord | ResultRun, count: int, shape: object) -> _Row:
        shape_bytes, blobs_bytes = msgpack.encode(shape), msgpack.encode(of.blobs) if of.blobs else b""
        row = _Row(
            call_id=call_id,
            first=of.first,
            count=count,
            at=self._at,
            shape=len(shape_bytes),
            blobs=len(blobs_bytes),
            payload=len(of.payload),
        )
        self._pieces += (shape_bytes, blobs_bytes, of.payload)
        self._at += row.shape + row.blobs + row.payload
        return row


def _json(rows: Iterable[object]) -> str:
    return json.encode(list(rows)).decode()
