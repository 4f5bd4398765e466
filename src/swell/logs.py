"""How the processes of a server write their own log: as lines for people, or as one JSON object a line.

The output of containers does not come here: it is kept by app, and `swell app logs` shows it. This module must not know
the content of the log.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from swell.escaping import json_document, many_lines, one_line

__all__ = ["JsonLines", "Lines", "PeerLog", "begin_logging"]

WINDOW_S: Final = 60.0  #: lines of one kind are counted within this time
PER_MINUTE: Final = 10  #: lines of one kind that are written in that time
KINDS_MAX: Final = 64  #: kinds that are counted apart; further ones are counted together
LINE_MAX: Final = 500  #: characters of one line; longer ones are cut

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
    """Formats a record as a line for people, escaped because it may contain text from a peer.

    Only a traceback after it has further lines.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line without the traceback."""
        return one_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        """Return the traceback."""
        return many_lines(super().formatException(ei))


def begin_logging(form: str, level: str, *, as_json: bool) -> None:
    """Write the log of this process to stderr from now on.

    Args:
        form: Format of a line for people, as `logging` takes it.
        level: The lowest level that is written; the environment variable SWELL_LOG_LEVEL overrides it.
        as_json: Write JSON instead.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if as_json else Lines(form))
    logging.basicConfig(level=os.environ.get("SWELL_LOG_LEVEL", level), handlers=[handler])


class _Window:
    """Lines of one kind, counted from the first on."""

    __slots__ = ("began", "suppressed", "written")

    def __init__(self, began: float) -> None:
        self.began = began
        self.written = 0
        self.suppressed = 0


class PeerLog:
    """Logs the errors of peers: each is one short line, and a flood of them cannot fill the disk.

    A peer controls the number of its errors, and often their text. So lines are counted by kind: once a kind has
    reached its number within a minute, its further lines are only counted, and the next written line of that kind gives
    the count. Control characters are escaped, and long lines are cut. An error of a peer is logged without a traceback:
    that would only show the code that expects the error.

    Args:
        logger: writes the lines.
        per_minute: how many lines of one kind are written within a minute; at least 1.
        now: returns the time in seconds, from any fixed moment on.
    """

    def __init__(
        self, logger: logging.Logger, per_minute: int = PER_MINUTE, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._per_minute = per_minute
        self._now = now
        self._windows: dict[str, _Window] = {}

    def warning(self, kind: str, text: str, *args: object) -> None:
        """Log a warning, as `log` does."""
        self.log(logging.WARNING, kind, text, *args)

    def log(self, level: int, kind: str, text: str, *args: object, defect: BaseException | None = None) -> None:
        """Log a line, unless its kind has reached its number within the present minute.

        Args:
            level: as in `logging`.
            kind: what the line is counted as: a name that swell chose, such as "bad frame", never a peer's text.
            text: a format, as `logging` takes it.
            args: its arguments.
            defect: an error in swell: the first line of its kind within a minute has its traceback.
        """
        if not self._logger.isEnabledFor(level):
            return
        now = self._now()
        window = self._window(kind, now)
        suppressed = 0
        if now - window.began >= WINDOW_S:
            suppressed, window.suppressed = window.suppressed, 0
            window.began, window.written = now, 0
        if window.written >= self._per_minute:
            window.suppressed += 1
            return
        window.written += 1
        line = _one_line(text % args if args else text)
        if suppressed:
            line += f" ({suppressed:,} more like this were not logged)"
        self._logger.log(level, "%s", line, exc_info=defect if window.written == 1 else None)

    def _window(self, kind: str, now: float) -> _Window:
        window = self._windows.get(kind)
        if window is not None:
            return window
        if len(self._windows) >= KINDS_MAX:
            for old in [old for old, w in self._windows.items() if now - w.began >= WINDOW_S and not w.suppressed]:
                del self._windows[old]
        if len(self._windows) >= KINDS_MAX:
            kind = ""
        return self._windows.setdefault(kind, _Window(now))


def _one_line(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= LINE_MAX else f"{line[: LINE_MAX - 1]}…"
