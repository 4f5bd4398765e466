"""How a server's own log is written: as JSON, or escaped for people."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime
from pathlib import Path

import pytest

from swell.logs import KINDS_MAX, LINE_MAX, WINDOW_S, JsonLines, Lines, PeerLog


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


# ---------------------------------------------------------------- errors of peers


class Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def peer_log(per_minute: int) -> tuple[PeerLog, Kept, Clock]:
    lines, clock = Kept(), Clock()
    logger = logging.Logger("peers", logging.WARNING)
    logger.addHandler(lines)
    return PeerLog(logger, per_minute, clock), lines, clock


def test_a_flood_of_one_kind_is_a_few_lines_and_a_count() -> None:
    peers, lines, clock = peer_log(per_minute=3)
    for number in range(1_000):
        peers.warning("bad frame", "closing connection %d", number)
    assert lines.lines == ["closing connection 0", "closing connection 1", "closing connection 2"]
    clock.now += WINDOW_S
    peers.warning("bad frame", "closing connection %d", 1_000)
    assert lines.lines[3:] == ["closing connection 1000 (997 more like this were not logged)"]
    peers.warning("bad frame", "closing connection %d", 1_001)
    assert lines.lines[4:] == ["closing connection 1001"]


def test_kinds_do_not_silence_each_other() -> None:
    peers, lines, _ = peer_log(per_minute=1)
    peers.warning("bad frame", "first")
    peers.warning("bad frame", "second")
    peers.warning("bad token", "third")
    assert lines.lines == ["first", "third"]


def test_kinds_beyond_the_bound_are_counted_together() -> None:
    peers, lines, clock = peer_log(per_minute=1)
    for number in range(10 * KINDS_MAX):
        peers.warning(f"kind {number}", "line %d", number)
    assert len(lines.lines) == KINDS_MAX + 1
    clock.now += WINDOW_S  # the former kinds make room
    peers.warning("fresh", "fresh")
    assert lines.lines[-1] == "fresh"


def test_words_of_a_peer_are_one_short_line() -> None:
    peers, lines, _ = peer_log(per_minute=9)
    peers.warning("said", "it said %s", "a\nCRITICAL all is lost\r\x1b[2J\x9b2J\u2028.")
    peers.warning("said", "it said %s", "x" * 10_000)
    assert lines.lines[0] == r"it said a\nCRITICAL all is lost\r\x1b[2J\x9b2J\u2028."
    assert len(lines.lines[1]) == LINE_MAX


def test_what_is_below_the_level_of_the_logger_does_not_use_up_the_number() -> None:
    peers, lines, _ = peer_log(per_minute=1)
    peers.log(logging.INFO, "bad frame", "not for this log")
    peers.warning("bad frame", "for this log")
    assert lines.lines == ["for this log"]


def test_of_defects_of_one_kind_one_a_minute_has_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    peers = PeerLog(logging.getLogger("swell.peers"), now=clock)

    def found(kind: str) -> bool:
        peers.log(logging.ERROR, kind, "a defect: %r", error := LookupError("x"), defect=error)
        return caplog.records[-1].exc_info is not None

    assert [found("reading"), found("reading"), found("writing")] == [True, False, True]
    clock.now += WINDOW_S
    assert [found("reading"), found("reading")] == [True, False]
