"""Lines of logs as documents. This module must not know where they are kept, or who follows them."""

from __future__ import annotations

from swell.documents.document import Document, Moment, moment
from swell.names import shown_name
from swell.wire.queries import LogEntry

__all__ = ["LogLine", "LogLines", "log_lines"]


class LogLine(Document, frozen=True, kw_only=True):
    """A line that a container wrote."""

    at: Moment | None
    function_name: str
    container_id: str
    stream: str  #: "stdout", "stderr" or "system"
    text: str
    call_ids: list[str]  #: of the inputs that ran then


class LogLines(Document, frozen=True, kw_only=True):
    """Lines, in the order in which they were written."""

    lines: list[LogLine]


def log_lines(entry: LogEntry, payload: bytes) -> list[LogLine]:
    """Return the lines of an entry, whose text is the payload."""
    at, name = moment(entry.at), shown_name(entry.function_name)
    return [
        LogLine(
            at=at,
            function_name=name,
            container_id=entry.container_id,
            stream=entry.stream,
            text=line,
            call_ids=entry.call_ids,
        )
        for line in payload.decode("utf-8", "replace").removesuffix("\n").split("\n")
    ]
