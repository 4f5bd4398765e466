"""What all documents have in common: their base, and their times.

A document is made from a row of the server's answer by the function beside it, and nowhere else. It goes out in three
ways, with the same fields: over the HTTP API with times in UTC, as RFC 3339 writes them; by `--json` with times in the
zone of the terminal; and in the dashboard's stream with times in seconds since the epoch, as charts compute with them.
This module must not know a noun.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta, Struct

__all__ = ["Document", "Moment", "moment", "plain", "seconds"]

Moment = Annotated[datetime, Meta(tz=True)]


class Document(Struct, frozen=True):
    """Base of all documents. Their fields are given by name: many are numbers that look alike."""


def moment(at: float | None) -> datetime | None:
    """Return seconds since the epoch as a time; None and 0 mean that there is none."""
    return datetime.fromtimestamp(at, UTC) if at else None


def seconds(at: datetime) -> float:
    """Return a time in seconds since the epoch."""
    return at.timestamp()


def plain(document: Document, time: Callable[[datetime], object]) -> dict[str, Any]:
    """Return a document as dicts and lists, with its times as `time` writes them."""
    return cast("dict[str, Any]", _plain(msgspec.to_builtins(document, builtin_types=(datetime,)), time))


def _plain(value: Any, time: Callable[[datetime], object]) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each, time) for name, each in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_plain(each, time) for each in cast("list[Any]", value)]
    return time(value) if isinstance(value, datetime) else value
