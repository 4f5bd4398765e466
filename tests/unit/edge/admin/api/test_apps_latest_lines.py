"""The lines of a log that one answer has: the latest, so many, and not more than one answer may hold."""

from __future__ import annotations

from swell.documents.document import moment
from swell.documents.logs import LogLine
from swell.edge.admin.api.apps import LatestLines


def lines(*texts: str) -> list[LogLine]:
    return [
        LogLine(at=moment(0.0), function_name="f", container_id="ta-1", stream="stdout", text=text, call_ids=[])
        for text in texts
    ]


def kept(count_max: int, size_max: int, *texts: str) -> list[str]:
    latest = LatestLines(count_max, size_max)
    for line in lines(*texts):
        latest.add([line])
    return [line.text for line in latest.lines]


def test_the_latest_are_kept() -> None:
    assert kept(2, 100, "a", "b", "c") == ["b", "c"]


def test_they_have_a_size_together() -> None:
    assert kept(10, 5, "aa", "bb", "cc") == ["bb", "cc"]
    assert kept(10, 5, "aaaaaaaa") == ["aaaaaaaa"], "one is kept in any case"
    assert kept(10, 5, "aaaaaaaa", "b") == ["b"]
