"""Calls as documents. This module must not know how they are made, or what came of their inputs."""

from __future__ import annotations

from typing import Literal

from msgspec.structs import asdict

from swell.documents.document import Document, Moment, moment
from swell.names import shown_name
from swell.wire.queries import CallReport
from swell.wire.stats import CallRow

__all__ = ["Call", "CallDetail", "CallList", "CallSummary", "Spawned", "call", "call_detail", "call_summary"]


class Call(Document, frozen=True, kw_only=True):
    """One call and how many of its inputs are where."""

    call_id: str
    app_name: str  #: empty if its app was stopped before the server started
    function_name: str
    kind: str  #: "remote", "map", "spawn" or "web"
    state: Literal["open", "ended"]
    opened_at: Moment | None
    ended_at: Moment | None
    num_inputs: int | None  #: null while more may come
    pending: int  #: inputs that wait
    running: int  #: inputs that containers have
    done: int  #: inputs that have ended


class CallDetail(Call, frozen=True, kw_only=True):
    """One call and where its inputs are."""

    parent: str  #: id of the input that made it; empty if none did


class CallSummary(Call, frozen=True, kw_only=True):
    """One call in a list."""

    function: str  #: "app.function", as before this had app_name and function_name; it goes with the next release


class CallList(Document, frozen=True, kw_only=True):
    """Calls, the latest first; those that go on before those that have ended."""

    calls: list[CallSummary]


class Spawned(Document, frozen=True, kw_only=True):
    """A call that was accepted; its results are kept for seven days, unless the server is set otherwise."""

    call_id: str


def call(row: CallRow | CallReport) -> Call:
    """Return one call."""
    return Call(
        call_id=row.call_id,
        app_name=row.app_name,
        function_name=shown_name(row.function_name),
        kind=row.kind,
        state="open" if row.ended_at is None else "ended",
        opened_at=moment(row.opened_at),
        ended_at=moment(row.ended_at),
        num_inputs=row.num_inputs,
        pending=row.pending,
        running=row.running,
        done=row.done,
    )


def call_detail(report: CallReport) -> CallDetail:
    """Return one call that was asked about."""
    return CallDetail(**asdict(call(report)), parent=report.parent)


def call_summary(row: CallRow) -> CallSummary:
    """Return one call of a list."""
    return CallSummary(**asdict(call(row)), function=row.function)
