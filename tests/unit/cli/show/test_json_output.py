"""What programs read: times in ISO 8601, lists that may be empty, one line for each document of a stream."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from swell.cli.show.json_output import print_json, print_json_line

AT = datetime(2026, 5, 1, 14, 3, 59, 500_000, tzinfo=UTC)


def test_values_are_plain(capsys: pytest.CaptureFixture[str]) -> None:
    print_json([{"app_id": "ap-1", "running": 1_234, "start_time": AT, "tag": None, "live": True}])
    assert json.loads(capsys.readouterr().out) == [
        {
            "app_id": "ap-1",
            "running": 1_234,
            "start_time": "2026-05-01T14:03:59.500000+00:00",
            "tag": None,
            "live": True,
        }
    ]


def test_without_rows_programs_read_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    print_json([])
    assert json.loads(capsys.readouterr().out) == []


def test_a_stream_has_a_line_for_each_document(capsys: pytest.CaptureFixture[str]) -> None:
    print_json_line({"text": "one\ntwo"})
    print_json_line({"at": AT})
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == [{"text": "one\ntwo"}, {"at": "2026-05-01T14:03:59.500000+00:00"}]
