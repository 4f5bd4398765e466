"""Writing records: a draft at a time, in one statement.

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
    CallsCancelled,
    ContainerRecord,
    FunctionGone,
    FunctionRecord,
    Record,
    SpanRecord,
)
from swell.store.record_kinds import AppFact
from swell.store.result_runs import Run, gaps
from swell.store.sqlite.database import Database
from swell.store.write_batch import Draft

__all__ = ["Recorder"]


class Recorder:
    """Takes records and writes them, in a transaction that it begins when there is something to write."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._draft: Draft | None = None
        database.run("create_drafts")
        self.size_bytes = 0  #: of the payloads written since the last commit

    def take(self, record: Record) -> None:
        """Take a record."""
        if isinstance(record, CallsCancelled):
            self.write()  # it is about all calls so far
            self._database.begin()
            self._cancel(record)
            return
        if self._draft is None:
            self._draft = Draft()
        match record:
            case AppRecord() | Deployment() | BundleRecord() | FunctionRecord() | FunctionGone() | ContainerRecord():
                self._draft.apps.append(record)
            case _:
                self._draft.take(record)

    def write(self) -> None:
        """Write what was taken, so that it can be read. It is durable with the next commit."""
        if self._draft is not None:
            self._database.begin()
            self._write()

    def commit(self) -> None:
        """Make all that was taken durable."""
        if self._draft is not None:
            if self._draft.apps:
                self._database.begin()
            self._write()  # unless a transaction has begun, this one statement is a transaction
        self._database.commit()
        self.size_bytes = 0

    def _write(self) -> None:
        draft, self._draft = self._draft, None
        assert draft is not None
        self.size_bytes += draft.size_bytes
        for fact in draft.apps:
            self._write_app(fact)
        if draft.has_calls:
            self._write_calls(draft)

    # ------------------------------------------------------------ calls

    def _write_calls(self, draft: Draft) -> None:
        spans, runs = list(draft.spans()), list(draft.runs())
        try:
            self._write_rows(draft, spans, runs)
        except apsw.ConstraintError as error:
            if str(error) != "overlap":
                raise
            # Some inputs have results already, and those count. What is new is part of a run, or nothing.
            new = [(call_id, part) for call_id, run in runs for part in self._new_parts(call_id, run)]
            self._write_rows(draft, spans, new)

    def _write_rows(self, draft: Draft, spans: list[SpanRecord], runs: list[tuple[str, Run]]) -> None:
        parcel = _Parcel()
        self._database.run(
            "write_draft",
            calls=_json(draft.calls.values()),
            grown=_json(draft.grown.values()),
            spans=_json(parcel.add_span(span) for span in spans),
            outputs=_json(parcel.add_run(call_id, run) for call_id, run in runs),
            attempts=_json(draft.attempts.values()),
            done=_json(draft.done),
            ended=_json(draft.ended.values()),
            bytes=parcel.bytes,
        )

    def _new_parts(self, call_id: str, run: Run) -> list[Run]:
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

    def _write_app(self, fact: AppFact) -> None:
        run, record = self._database.run, msgpack.encode(fact)
        match fact:
            case AppRecord():
                run(
                    "put_app",
                    app_id=fact.app_id,
                    version=fact.version,
                    created_at=fact.created_at,
                    stopped_at=fact.stopped_at,
                    record=record,
                )
            case Deployment():
                bundle = fact.environment.bundle
                run("put_deployment", app_id=fact.app_id, version=fact.version, bundle=bundle, record=record)
            case BundleRecord():
                run("put_bundle", digest=fact.digest, data=fact.data)
            case FunctionRecord():
                app_id, version = fact.app_id, fact.version
                run("put_function", function_id=fact.function_id, app_id=app_id, version=version, record=record)
            case FunctionGone():
                run("delete_function", function_id=fact.function_id)
            case ContainerRecord():
                app_id, ended_at = fact.app_id, fact.ended_at
                run("put_container", container_id=fact.container_id, app_id=app_id, ended_at=ended_at, record=record)


class _Row(Struct, frozen=True, gc=False):
    """A span or a run, and where its bytes lie: from `at` on (SQL counts from 1), and how many of each kind."""

    call_id: str
    first: int
    count: int
    at: int
    shape: int
    blobs: int
    payload: int


class _Parcel:
    """The bytes of all rows of a draft, one after another."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._at = 1

    @property
    def bytes(self) -> bytes:
        return b"".join(self._pieces)

    def add_span(self, span: SpanRecord) -> _Row:
        return self._add(span.call_id, span.first, len(span.ends), span.ends, span.blobs, span.payload)

    def add_run(self, call_id: str, run: Run) -> _Row:
        shape = (run.ends, run.failures, run.traces)
        return self._add(call_id, run.first, run.count, shape, run.blobs, run.payload)

    def _add(self, call_id: str, first: int, count: int, shape: object, blobs: list[int], payload: bytes) -> _Row:
        shape_bytes, blobs_bytes = msgpack.encode(shape), msgpack.encode(blobs) if blobs else b""
        row = _Row(call_id, first, count, self._at, len(shape_bytes), len(blobs_bytes), len(payload))
        self._pieces += (shape_bytes, blobs_bytes, payload)
        self._at += len(shape_bytes) + len(blobs_bytes) + len(payload)
        return row


def _json(rows: Iterable[object]) -> str:
    return json.encode(list(rows)).decode()
