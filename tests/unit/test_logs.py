"""How a server's own log is written: as JSON, or escaped for people."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime
from pathlib import Path

from swell.logs import JsonLines, Lines


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


HOSTILE = "peer\x1b[2J\nERROR forged\x9b\u202e"


def test_what_a_peer_says_of_itself_is_one_line_for_people() -> None:
    shown = Lines("%(levelname)s %(message)s").format(record("closing connection: %s", HOSTILE))
    assert shown == r"WARNING closing connection: peer\x1b[2J\nERROR forged\x9b\u202e"


def test_only_a_traceback_has_further_lines() -> None:
    made = record("a defect")
    error = ValueError(f"one\n{HOSTILE}")
    made.exc_info = (ValueError, error, None)
    shown = Lines("%(message)s").format(made)
    assert "\x1b" not in shown
    assert "\x9b" not in shown
    assert shown.splitlines()[1:3] == ["ValueError: one", r"peer\x1b[2J"]


def test_in_json_it_means_what_was_said() -> None:
    shown = JsonLines().format(record("closing connection: %s", HOSTILE))
    assert shown.isascii()
    assert json.loads(shown)["event"] == f"closing connection: {HOSTILE}"
