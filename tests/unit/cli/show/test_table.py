"""Rows as aligned lines; the tables of a terminal are tested where there is one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from swell.cli.show.table import Column, print_table

COLUMNS = (
    Column("App ID", is_id=True),
    Column("Running"),
    Column("Start Time", missing="Pending"),
    Column("Tag", is_optional=True),
)
AT = datetime(2026, 5, 1, 14, 3, 59, 500_000, tzinfo=UTC)


def printed(capsys: pytest.CaptureFixture[str], rows: list[tuple[object, ...]]) -> str:
    print_table(COLUMNS, rows, nothing="No rows")
    return capsys.readouterr().out


def test_lines_are_aligned_and_end_with_their_last_cell(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, [("ap-1", 1_234, AT, "x"), ("ap-234", 0, None, "")])
    assert out.splitlines() == [
        "App ID  Running  Start Time           Tag",
        "ap-1    1,234    2026-05-01 14:03:59  x",
        "ap-234  0        Pending",
    ]


def test_an_optional_column_is_left_out_where_nobody_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Tag" not in printed(capsys, [("ap-1", 1, AT, ""), ("ap-2", 2, AT, None)])
    assert "Tag" in printed(capsys, [("ap-1", 1, AT, ""), ("ap-2", 2, AT, "y")])


def test_without_rows_people_read_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, []) == "No rows\n"
