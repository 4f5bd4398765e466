"""How a server's own log is written as JSON."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime
from pathlib import Path

from swell.logs import JsonLines


def record(text: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("swell.server", logging.WARNING, __file__, 1, text, arguments, None)
    vars(made).update(extra)
    return made


def test_a_line_is_one_object_with_its_fields() -> None:
    line = JsonLines().format(record("killing %s:\nnow", "ta-1", container_id="ta-1", path=Path("/x")))
    assert "\n" not in line
    told = json.loads(line)
    assert datetime.fromisoformat(told.pop("time")).utcoffset() is not None
    assert told == {
        "level": "warning",
        "logger": "swell.server",
        "event": "killing ta-1:\nnow",
        "container_id": "ta-1",
        "path": "/x",
    }


def test_an_exception_is_told_with_its_traceback() -> None:
    try:
        raise LookupError("as it must")
    except LookupError:
        made = record("a defect")
        made.exc_info = sys.exc_info()
    told = json.loads(JsonLines().format(made))
    assert told["exception"].endswith("LookupError: as it must")
