"""Points in time as users write them, and times as they read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import click
import pytest

from swell.cli.show.times import TimeParam, duration_text, local, parse_time, time_text

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "ago_s"),
    [("45s", 45), ("30m", 1_800), ("2h", 7_200), ("1d", 86_400), ("1w", 604_800), ("1h30m", 5_400), ("0.5h", 1_800)],
)
def test_how_long_ago(text: str, ago_s: float) -> None:
    assert parse_time(text, NOW) == NOW - ago_s


def test_a_date_and_time_with_its_zone() -> None:
    wanted = datetime(2026, 5, 1, 12, 30, tzinfo=UTC).timestamp()
    assert parse_time("2026-05-01T12:30:00Z", NOW) == wanted
    assert parse_time("2026-05-01 14:30+02:00", NOW) == wanted


def test_without_a_zone_it_is_that_of_this_machine() -> None:
    assert parse_time("2026-05-01", NOW) == datetime(2026, 5, 1).timestamp()
    assert parse_time("2026-05-01T14:30", NOW) == datetime(2026, 5, 1, 14, 30).timestamp()


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-5m", "5y", "yesterday", "2026-13-01", "0001-01-01", "1h 30m"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"is no time: write how long ago, as in 45s"):
        TimeParam().convert(text, None, None)


def test_times_are_shown_with_their_zone() -> None:
    at = datetime(2026, 5, 1, 14, 3, 59, 900_000, tzinfo=timezone(timedelta(hours=2)))
    assert time_text(at) == "2026-05-01 14:03:59+02:00"
    assert local(NOW).timestamp() == NOW
    assert local(NOW).tzinfo is not None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0001, "0 s"),
        (0.0123, "0.0123 s"),
        (1.2345, "1.23 s"),
        (9.999, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3_600, "1 h"),
        (11_530, "3 h 12 min"),
        (2 * 86_400 + 4 * 3_600 + 59, "2 d 4 h"),
    ],
)
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
