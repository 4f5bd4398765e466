"""How the processes of a server write their own log: as lines for people, or as one JSON object a line.

What containers write is not meant: that is kept by app, and shown by `swell app logs`. This module must not know what
is logged.
"""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from swell.escaping import json_document, many_lines, one_line

__all__ = ["JsonLines", "Lines", "begin_logging"]

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object: time, level, logger, event, and the fields that were given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        told: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        told |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json_document(msgspec.json.encode(told, enc_hook=str).decode())


class Lines(logging.Formatter):
    """Formats a record as a line for people: what a peer has said of itself is in it, so it is escaped.

    Only a traceback that follows has further lines.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line without the traceback."""
        return one_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        """Return the traceback."""
        return many_lines(super().formatException(ei))


def begin_logging(form: str, level: str, *, as_json: bool) -> None:
    """Write what this process logs to stderr, from now on.

    Args:
        form: Of a line for people, as `logging` formats it.
        level: The least level that is written, unless the environment says otherwise (SWELL_LOG_LEVEL).
        as_json: Write JSON instead.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if as_json else Lines(form))
    logging.basicConfig(level=os.environ.get("SWELL_LOG_LEVEL", level), handlers=[handler])
