"""Reads of spawned calls.

This module must not know how rows are written, or threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, Final

from msgspec import json, msgpack

from swell.model import OutputStatus
from swell.records import (
    AttemptRecord,
    LoadedCall,
    LoadedSpans,
    SpanRecord,
    StoredCall,
    StoredOutput,
    Trace,
    Waiting,
    Window,
)
from swell.store.result_runs import ResultRun, gaps
from swell.store.sqlite.database import Database
from swell.store.window import ReadBudget, read_window

__all__ = [
    "as_run",
    "as_span",
    "load_call",
    "load_calls",
    "load_spans",
    "read_call",
    "read_last_sequence",
    "read_outputs",
    "read_trace",
    "read_waiting",
]

NUMBERS: Final = msgpack.Decoder(list[int])
SHAPE: Final = msgpack.Decoder(tuple[list[int], list[tuple[int, int]], list[tuple[int, Trace | None]]])


def read_call(database: Database, call_id: str) -> StoredCall | None:
    """Read the record of a call."""
    row = database.row("call", call_id=call_id)
    return _as_call(row) if row is not None else None


def read_outputs(database: Database, call_id: str, first: int, last: int) -> list[StoredOutput]:
    """Read the results of inputs first..last-1, including those that the cancellation of a call implies."""
    place = database.row("call_place", call_id=call_id)
    if place is None:
        return []
    call, accepted, terminated, expired = place
    runs = [run for run in _runs(database, call, first, last) if run.last > first]
    found = [output for run in runs for output in run.outputs(first, last)]
    if terminated is not None and not expired:
        payload = terminated.encode()
        missing = gaps([(run.first, run.count) for run in runs], first, min(last, accepted))
        found += [
            StoredOutput(i, OutputStatus.TERMINATED, payload) for start, end in missing for i in range(start, end)
        ]
        found.sort(key=lambda output: output.index)
    return found


def read_trace(database: Database, call_id: str, index: int) -> Trace | None:
    """Read the trace of an input with a result."""
    place = database.row("call_place", call_id=call_id)
    runs = _runs(database, place[0], index, index + 1) if place is not None else ()
    return next((run.trace(index) for run in runs if run.last > index), None)


def load_call(database: Database, call_id: str, window: Window) -> LoadedCall | StoredCall | None:
    """Read a call; with its first window of inputs if it has not ended."""
    call = read_call(database, call_id)
    if call is None or call.ended_at is not None:
        return call
    spans = _read_window(database, call_id, call.sequence, 0, call.accepted, budget=ReadBudget(window))
    return LoadedCall(call, spans, _attempts(database, [call.sequence]).get(call_id, []))


def load_calls(database: Database, function_id: str, after: int, calls_max: int, window: Window) -> list[LoadedCall]:
    """Read the unfinished calls of a function with a sequence above `after`, in order."""
    budget = ReadBudget(window)
    loaded: list[tuple[StoredCall, LoadedSpans]] = []
    is_more = True
    while is_more:
        # One query for all calls, since most have a single span. A call with results leaves it: very many of its spans
        # may be done.
        is_more = False
        rows = database.rows("calls_going_on", function_id=function_id, after=after)
        for _, of_call in groupby(rows, itemgetter(1)):
            row = next(of_call)
            call = _as_call((*row[:10], None, False))
            if call.done:
                spans = _read_window(database, call.call_id, call.sequence, 0, call.accepted, budget=budget)
            else:
                own = (as_span(call.call_id, *one[10:]) for one in chain([row], of_call) if one[10] is not None)
                spans = read_window(call.call_id, 0, call.accepted, budget, spans=own, runs=iter(()))
            loaded.append((call, spans))
            after = call.sequence
            is_more = call.done > 0
            if is_more or len(loaded) == calls_max or budget.is_spent:
                break
        if len(loaded) == calls_max or budget.is_spent:
            break
    attempts = _attempts(database, [call.sequence for call, _ in loaded])
    return [LoadedCall(call, spans, attempts.get(call.call_id, [])) for call, spans in loaded]


def load_spans(database: Database, call_id: str, first: int, window: Window) -> LoadedSpans:
    """Read spans of a call that begin at input `first` or later."""
    place = database.row("call_place", call_id=call_id)
    if place is None:
        return LoadedSpans(call_id, [], [], first)
    return _read_window(database, call_id, place[0], first, place[1], budget=ReadBudget(window))


def read_waiting(database: Database) -> dict[str, Waiting]:
    """Read the waiting calls and inputs, by function."""
    return {function_id: Waiting(calls, inputs) for function_id, calls, inputs in database.rows("waiting")}


def read_last_sequence(database: Database) -> int:
    """Read the highest sequence that a call ever had."""
    return database.row("last_sequence")[0]


# ---------------------------------------------------------------- rows


def as_run(first: int, count: int, shape: bytes, blobs: bytes | None, payload: bytes) -> ResultRun:
    """Return the run of a row of `outputs`."""
    ends, failures, traces = SHAPE.decode(shape)
    return ResultRun(
        first=first,
        count=count,
        ends=ends,
        payload=payload,
        failures=failures,
        blobs=NUMBERS.decode(blobs) if blobs else [],
        traces=traces,
    )


def as_span(call_id: str, first: int, ends: bytes, blobs: bytes | None, payload: bytes) -> SpanRecord:
    """Return the span of a row of `spans`."""
    return SpanRecord(call_id, first, NUMBERS.decode(ends), payload, NUMBERS.decode(blobs) if blobs else [])


def _as_call(row: tuple[Any, ...]) -> StoredCall:
    values = list(row)
    values[8], values[11] = bool(row[8]), bool(row[11])  # sealed and expired: SQL has numbers only
    return StoredCall(*values)


def _runs(database: Database, call: int, first: int, last: int) -> Iterator[ResultRun]:
    return (as_run(*row) for row in database.rows("outputs", call=call, first=first, last=last))


def _read_window(
    database: Database, call_id: str, call: int, first: int, accepted: int, *, budget: ReadBudget
) -> LoadedSpans:
    spans = (as_span(call_id, *row) for row in database.rows("spans", call=call, first=first))
    runs = database.rows("runs", call=call, first=first)
    return read_window(call_id, first, accepted, budget, spans=spans, runs=runs)


def _attempts(database: Database, sequences: list[int]) -> dict[str, list[AttemptRecord]]:
    """Read the attempts of inputs without a result, by call."""
    rows = database.rows("attempts", sequences=json.encode(sequences).decode())
    return {call_id: [AttemptRecord(*row) for row in of_call] for call_id, of_call in groupby(rows, itemgetter(0))}
