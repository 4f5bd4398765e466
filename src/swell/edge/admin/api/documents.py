"""What the API answers with: JSON objects, for programs in any language.

Times are in UTC, as RFC 3339 writes them. This module must not know routes or messages.
"""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct

__all__ = ["ServerStatus", "moment"]


class Document(Struct, frozen=True):
    """Base of all answers."""


def moment(at: float | None) -> datetime | None:
    """Return seconds since the epoch as a time; None and 0 mean that there is none."""
    return datetime.fromtimestamp(at, UTC) if at else None


class ServerStatus(Document, frozen=True):
    """How the server is doing."""

    version: str
    started_at: datetime | None
    data_dir: str  #: empty for a server that keeps nothing
    web_url: str  #: where web endpoints answer; empty if nothing listens
    web_trouble: str  #: why not
    apps: int
    containers: int
    pending: int  #: inputs that wait
    running: int
    done: int  #: since the server started
