"""When schedules are due: across changes of the clock, months of any length, and long absences."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from swell.model import ScheduleSpec
from swell.policy.schedule import COUNT_MAX, missed_runs, next_run, schedule_problem, schedule_text

BERLIN = "Europe/Berlin"  # 2026: an hour forward on March 29 at 2:00, and back on October 25 at 3:00
NEW_YORK = "America/New_York"


def at(text: str, zone: str = "UTC", *, fold: int = 0) -> float:
    """Return a time on the clock of a zone; with `fold` the second of two that read the same."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def clock(seconds: float | None, zone: str = "UTC") -> str:
    return "never" if seconds is None else datetime.fromtimestamp(seconds, ZoneInfo(zone)).strftime("%m-%d %H:%M")


def cron(line: str, zone: str = "UTC") -> ScheduleSpec:
    return ScheduleSpec("cron", line, zone)


def period(**units: float) -> ScheduleSpec:
    return ScheduleSpec("period", **units)


def runs(schedule: ScheduleSpec, since: str, count: int, zone: str = "UTC") -> list[str]:
    """Return when the first runs after a time are, on the clock of a zone."""
    began = due = at(since, zone)
    found: list[str] = []
    for _ in range(count):
        due = next_run(schedule, due, zone, since=began)
        found.append(clock(due, zone))
    return found


# ---------------------------------------------------------------- cron


def test_a_cron_line_is_due_at_the_next_minute_that_fits() -> None:
    assert runs(cron("*/15 9 * * *"), "2026-05-04 09:20", 3) == ["05-04 09:30", "05-04 09:45", "05-05 09:00"]
    assert runs(cron("0 8 * * 1-5"), "2026-05-08 08:00", 1) == ["05-11 08:00"], "not at once again, nor at the weekend"


def test_a_cron_line_is_read_in_its_own_zone() -> None:
    noon = cron("0 12 * * *", NEW_YORK)
    assert clock(next_run(noon, at("2026-01-10 10:00"), BERLIN, since=0.0)) == "01-10 17:00"
    assert clock(next_run(noon, at("2026-07-10 10:00"), BERLIN, since=0.0)) == "07-10 16:00"


def test_a_time_that_a_change_of_the_clock_leaves_out_is_made_up_for() -> None:
    assert runs(cron("30 2 * * *", BERLIN), "2026-03-27 12:00", 3, BERLIN) == [
        "03-28 02:30",
        "03-29 03:00",
        "03-30 02:30",
    ]


def test_a_time_that_comes_twice_is_due_once() -> None:
    assert runs(cron("30 2 * * *", BERLIN), "2026-10-24 12:00", 2, BERLIN) == ["10-25 02:30", "10-26 02:30"]


def test_what_is_due_every_hour_is_due_in_each_hour_that_there_is() -> None:
    hourly = cron("0 * * * *", BERLIN)
    began = at("2026-03-29 00:30", BERLIN)
    first = next_run(hourly, began, BERLIN, since=began)
    assert [first + 3_600 * i for i in range(4)] == _following(hourly, began, 4), (
        "four hours in a row, though one is missing on the clock"
    )
    began = at("2026-10-25 00:30", BERLIN)
    assert [clock(due, BERLIN) for due in _following(hourly, began, 4)] == [
        "10-25 01:00",
        "10-25 02:00",
        "10-25 02:00",
        "10-25 03:00",
    ]


def _following(schedule: ScheduleSpec, after: float, count: int) -> list[float]:
    found: list[float] = []
    for _ in range(count):
        due = next_run(schedule, after, BERLIN, since=0.0)
        assert due is not None
        found.append(due)
        after = due
    return found


@pytest.mark.parametrize("line", ["0 0 30 2 *", "0 0 31 4,6,9,11 *"])
def test_a_line_that_is_never_due_is_refused(line: str) -> None:
    assert line in schedule_problem(cron(line), at("2026-05-04 00:00"))


def test_the_29th_of_february_is_due_in_leap_years() -> None:
    leap = cron("0 0 29 2 *")
    assert schedule_problem(leap, at("2026-05-04 00:00")) == ""
    assert next_run(leap, at("2026-05-04 00:00"), "UTC", since=0.0) == at("2028-02-29 00:00")


@pytest.mark.parametrize("line", ["", "* * * *", "61 * * * *", "every day", "* * * * * * *"])
def test_a_line_that_cannot_be_read_is_refused_with_what_one_looks_like(line: str) -> None:
    why = schedule_problem(cron(line), 0.0)
    assert why.startswith(f"Cron({line!r}) cannot be read")
    assert "five fields" in why


@pytest.mark.parametrize("zone", ["Mars/Olympus", "Europe", "../etc/passwd", "a" * 300, "Europe/Berlin\0"])
def test_a_zone_that_does_not_exist_is_refused(zone: str) -> None:
    assert "is no time zone; write one such as 'Europe/Berlin'" in schedule_problem(cron("* * * * *", zone), 0.0)


# ---------------------------------------------------------------- periods


def test_hours_minutes_and_seconds_are_what_they_are() -> None:
    assert runs(period(hours=1, minutes=30), "2026-03-29 01:00", 2, BERLIN) == ["03-29 03:30", "03-29 05:00"]
    began = 1_000.25
    due = next_run(period(seconds=1.5), began, "UTC", since=began)
    assert due == 1_001.75


def test_days_keep_the_clock_time_in_both_directions() -> None:
    assert runs(period(days=1), "2026-03-28 09:00", 2, BERLIN) == ["03-29 09:00", "03-30 09:00"]
    assert runs(period(days=1), "2026-10-24 09:00", 2, BERLIN) == ["10-25 09:00", "10-26 09:00"]
    spring, autumn = at("2026-03-28 09:00", BERLIN), at("2026-10-24 09:00", BERLIN)
    assert next_run(period(days=1), spring, BERLIN, since=spring) == spring + 23 * 3_600
    assert next_run(period(days=1), autumn, BERLIN, since=autumn) == autumn + 25 * 3_600
    assert next_run(period(hours=24), spring, BERLIN, since=spring) == spring + 24 * 3_600


def test_a_clock_time_that_is_left_out_once_is_kept_on_the_other_days() -> None:
    assert runs(period(days=1), "2026-03-27 02:30", 4, BERLIN) == [
        "03-28 02:30",
        "03-29 03:30",
        "03-30 02:30",
        "03-31 02:30",
    ]


def test_a_clock_time_that_comes_twice_is_due_once() -> None:
    assert runs(period(days=1), "2026-10-24 02:30", 2, BERLIN) == ["10-25 02:30", "10-26 02:30"]


def test_months_keep_their_day_where_there_is_one() -> None:
    assert runs(period(months=1), "2026-01-31 08:00", 4) == ["02-28 08:00", "03-31 08:00", "04-30 08:00", "05-31 08:00"]
    assert runs(period(months=1), "2028-01-30 08:00", 2) == ["02-29 08:00", "03-30 08:00"]


def test_years_and_weeks() -> None:
    leap = at("2024-02-29 06:00")
    assert [
        clock(next_run(period(years=1), at(f"{year}-06-01 00:00"), "UTC", since=leap)) for year in range(2024, 2028)
    ] == [
        "02-28 06:00",
        "02-28 06:00",
        "02-28 06:00",
        "02-29 06:00",
    ]
    assert runs(period(weeks=2), "2026-05-04 06:00", 2) == ["05-18 06:00", "06-01 06:00"]


def test_units_add_up() -> None:
    assert runs(period(days=1, hours=2), "2026-05-04 06:00", 3) == ["05-05 08:00", "05-06 10:00", "05-07 12:00"]


def test_a_period_is_counted_from_its_beginning_whenever_it_is_asked_for() -> None:
    began = at("2026-01-01 00:00")
    for after in (began - 5.0, began, began + 3_599.9):
        assert next_run(period(hours=1), after, "UTC", since=began) == began + 3_600
    assert next_run(period(hours=1), began + 3_600, "UTC", since=began) == began + 7_200
    assert next_run(period(seconds=1), began + 31_536_000.5, "UTC", since=began) == began + 31_536_001


@pytest.mark.parametrize(
    ("units", "text"),
    [
        ({"seconds": 0.5}, "Period(seconds=0.5) is shorter than 1 s"),
        ({}, "Period() is shorter than 1 s"),
        ({"seconds": float("nan")}, "Period(seconds=nan) is longer than a calendar reaches"),
        ({"seconds": float("inf")}, "Period(seconds=inf) is longer than a calendar reaches"),
        ({"hours": -1}, "Period(hours=-1) is negative"),
        ({"days": 1, "seconds": -0.5}, "Period(seconds=-0.5) is negative"),
        ({"years": 9_000}, "Period(years=9000) is longer than a calendar reaches"),
        ({"days": 10**12}, "Period(days=1e+12) is longer than a calendar reaches"),
        ({"hours": 10**18}, "Period(hours=1e+18) is longer than a calendar reaches"),
    ],
)
def test_periods_that_are_none_are_refused(units: dict[str, float], text: str) -> None:
    assert schedule_problem(period(**units), at("2026-05-04 00:00")) == text


def test_a_period_that_leaves_the_calendar_is_due_no_more() -> None:
    began = at("2026-05-04 00:00")
    long = period(years=5_000)
    assert schedule_problem(long, began) == ""
    first = next_run(long, began, "UTC", since=began)
    assert first == at("7026-05-04 00:00")
    assert next_run(long, first, "UTC", since=began) is None
    assert missed_runs(long, first, first, "UTC", since=began) == (1, None)


def test_what_is_neither_is_refused() -> None:
    assert schedule_problem(ScheduleSpec("moon"), 0.0) == "unknown kind of schedule 'moon'; use cron or period"


# ---------------------------------------------------------------- what was missed


def test_what_is_not_due_yet_was_not_missed() -> None:
    assert missed_runs(cron("* * * * *"), 120.0, 119.0, "UTC", since=0.0) == (0, 120.0)
    assert missed_runs(period(minutes=1), 120.0, 119.0, "UTC", since=0.0) == (0, 120.0)


@pytest.mark.parametrize("schedule", [cron("* * * * *"), period(minutes=1)])
def test_missed_runs_are_counted_and_the_next_one_is_to_come(schedule: ScheduleSpec) -> None:
    assert missed_runs(schedule, 120.0, 120.0, "UTC", since=0.0) == (1, 180.0)
    assert missed_runs(schedule, 120.0, 299.0, "UTC", since=0.0) == (3, 300.0)
    assert missed_runs(schedule, 120.0, 300.0, "UTC", since=0.0) == (4, 360.0)


def test_missed_months_are_counted_as_such() -> None:
    began, now = at("2026-01-31 08:00"), at("2026-06-15 00:00")
    due = next_run(period(months=1), began, "UTC", since=began)
    assert missed_runs(period(months=1), due, now, "UTC", since=began) == (4, at("2026-06-30 08:00"))


def test_of_very_many_missed_runs_the_count_has_a_bound_and_the_next_is_right() -> None:
    now = 60.0 * 1_000_000 + 7.0
    assert missed_runs(cron("* * * * *"), 60.0, now, "UTC", since=0.0) == (COUNT_MAX, 60.0 * 1_000_001)
    assert missed_runs(period(minutes=1), 60.0, now, "UTC", since=0.0) == (1_000_000, 60.0 * 1_000_001)


def test_a_time_that_the_schedule_does_not_know_counts_as_one() -> None:
    """As when the zone of the machine has changed since."""
    assert missed_runs(period(minutes=1), 130.0, 140.0, "UTC", since=0.0) == (1, 180.0)


# ---------------------------------------------------------------- in words


def test_schedules_in_words() -> None:
    assert schedule_text(cron("5 4 * * *")) == "Cron('5 4 * * *')"
    assert schedule_text(cron("5 4 * * *", BERLIN)) == "Cron('5 4 * * *', timezone='Europe/Berlin')"
    assert schedule_text(period(days=1, seconds=2.5)) == "Period(days=1, seconds=2.5)"
