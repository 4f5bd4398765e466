"""Writing records: from a draft into rows, with as few statements as there are kinds of rows.

This module must not know threads, or when to commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
)
from swell.store.draft import Draft
from swell.store.facts import AppFact
from swell.store.runs import Run, gaps
from swell.store.sqlite.database import Database

__all__ = ["Recorder"]


class Recorder:
    """Takes records and writes them, in a transaction that it begins when there is something to write."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._draft: Draft | None = None
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
        """Write what was taken. It is durable with the next commit."""
        draft, self._draft = self._draft, None
        if draft is None:
            return
        self._database.begin()
        self.size_bytes += draft.size_bytes
        for fact in draft.apps:
            self._write_app(fact)
        # What begins comes before what belongs to it, results before what says that inputs are not needed any more.
        self._run("insert_calls", list(draft.calls.values()))
        self._run("grow_calls", list(draft.grown.values()))
        self._write_spans(draft)
        self._write_runs(list(draft.runs()))
        self._run("upsert_attempts", list(draft.attempts.values()))
        self._run("delete_spans", draft.done)
        self._run("end_calls", list(draft.ended.values()))

    def commit(self) -> None:
        """Make all that was taken durable."""
        self.write()
        self._database.commit()
        self.size_bytes = 0

    def _run(self, name: str, rows: Sequence[Any], **more: Any) -> int:
        return self._database.run(name, rows=json.encode(rows).decode(), **more) if rows else 0

    # ------------------------------------------------------------ calls

    def _write_spans(self, draft: Draft) -> None:
        parcel = _Parcel()
        for span in draft.spans():
            blobs = msgpack.encode(span.blobs) if span.blobs else b""
            ends = msgpack.encode(span.ends)
            parcel.add(span.call_id, span.first, len(span.ends), ends, blobs, span.payload)
        self._run("insert_spans", parcel.rows, bytes=parcel.bytes)

    def _write_runs(self, runs: list[tuple[str, Run]]) -> None:
        if self._insert_runs(runs) < len(runs):
            # Some inputs have results already, or a call has ended: where only part of a run is new, that part is told.
            self._insert_runs([(call_id, new) for call_id, run in runs for new in self._new_parts(call_id, run)])

    def _insert_runs(self, runs: list[tuple[str, Run]]) -> int:
        parcel = _Parcel()
        for call_id, run in runs:
            blobs = msgpack.encode(run.blobs) if run.blobs else b""
            shape = msgpack.encode((run.ends, run.failures, run.traces))
            parcel.add(call_id, run.first, run.count, shape, blobs, run.payload)
        return self._run("insert_outputs", parcel.rows, bytes=parcel.bytes)

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
    """Rows of which each has three pieces of bytes, all in one value: a statement takes two, however many the rows."""

    def __init__(self) -> None:
        self.rows: list[_Row] = []
        self._pieces: list[bytes] = []
        self._at = 1

    @property
    def bytes(self) -> bytes:
        return b"".join(self._pieces)

    def add(self, call_id: str, first: int, count: int, shape: bytes, blobs: bytes, payload: bytes) -> None:
        self.rows.append(_Row(call_id, first, count, self._at, len(shape), len(blobs), len(payload)))
        self._pieces += (shape, blobs, payload)
        self._at += len(shape) + len(blobs) + len(payload)
