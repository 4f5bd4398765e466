"""When a schedule is due next: calendar arithmetic on the times that it is handed.

A cron line is read in its own time zone. A period is counted from when it began: its years, months, weeks and days are
added to that date, once, twice and so on, in the zone of the machine, so that the clock time stays the same when that
zone changes its offset; hours, minutes and seconds are added as lengths of time. This module reads no clock, and must
not know functions or calls.

Calendars are imported where they are used: few functions have a schedule, and every server loads this module.
"""

from __future__ import annotations

from math import nextafter
from typing import TYPE_CHECKING, Final

from swell.model import ScheduleSpec

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["missed_runs", "next_run", "schedule_problem", "schedule_text"]

PERIOD_MIN_S: Final = 1.0  #: a shorter one is a loop, not a schedule
COUNT_MAX: Final = 10_000  #: missed runs of a cron line that are counted; beyond that it hardly matters

_UNITS: Final = ("years", "months", "weeks", "days", "hours", "minutes", "seconds")


def schedule_problem(schedule: ScheduleSpec, now: float) -> str:
    """Return why a schedule can never be due, naming the value and the fix; "" if it can."""
    if schedule.kind == "cron":
        return _cron_problem(schedule, now)
    if schedule.kind != "period":
        return f"unknown kind of schedule {schedule.kind!r}; use cron or period"
    negative = [unit for unit in _UNITS if getattr(schedule, unit) < 0]
    if negative:
        return f"Period({negative[0]}={getattr(schedule, negative[0])}) is negative"
    try:
        due = _period(schedule, now, 1, "UTC")
        _local(due, "UTC")
    except (OverflowError, ValueError):
        return f"{schedule_text(schedule)} is longer than a calendar reaches"
    return "" if due - now >= PERIOD_MIN_S else f"{schedule_text(schedule)} is shorter than {PERIOD_MIN_S:g} s"


def _cron_problem(schedule: ScheduleSpec, now: float) -> str:
    from cronsim import CronSimError

    try:
        _local(now, schedule.timezone)
    except (LookupError, ValueError, OSError):
        return f"Cron(timezone={schedule.timezone!r}) is no time zone; write one such as 'Europe/Berlin'"
    try:
        due = _cron(schedule, now)
    except CronSimError as error:
        return (
            f"Cron({schedule.cron_string!r}) cannot be read: {error}; it has five fields, as in '5 4 * * *': "
            "minute, hour, day of month, month, day of week"
        )
    return "" if due is not None else f"Cron({schedule.cron_string!r}) is never due"


def next_run(schedule: ScheduleSpec, after: float, timezone: str, *, since: float) -> float | None:
    """Return when a schedule is due for the first time after a time, in seconds since the epoch; None if never again.

    Args:
        schedule: a valid one.
        after: seconds since the epoch.
        timezone: in which days, weeks, months and years of a period are counted.
        since: when a period began, from which it is counted. So the 31st stays the last of each month that has no 31st,
            and a time that a change of the clock leaves out on one day is kept on the others.
    """
    if schedule.kind == "cron":
        return _cron(schedule, after)
    try:
        return _period(schedule, since, _times(schedule, since, after, timezone), timezone)
    except (OverflowError, ValueError):
        return None


def missed_runs(
    schedule: ScheduleSpec, due: float, now: float, timezone: str, *, since: float
) -> tuple[int, float | None]:
    """Return how often a schedule that was due at `due` has been due until now, and when it is due next."""
    if due > now:
        return 0, due
    if schedule.kind == "cron":
        return _missed_cron(schedule, due, now)
    try:
        missed = _times(schedule, since, now, timezone) - _times(schedule, since, nextafter(due, 0.0), timezone)
    except (OverflowError, ValueError):
        missed = 1  # the last that the calendar reaches
    return max(1, missed), next_run(schedule, now, timezone, since=since)


def schedule_text(schedule: ScheduleSpec) -> str:
    """Return a schedule as a user would write it."""
    if schedule.kind == "cron":
        zone = "" if schedule.timezone == "UTC" else f", timezone={schedule.timezone!r}"
        return f"Cron({schedule.cron_string!r}{zone})"
    parts = [f"{unit}={value:g}" for unit in _UNITS if (value := getattr(schedule, unit))]
    return f"Period({', '.join(parts)})"


def _local(at: float, timezone: str) -> datetime:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    return datetime.fromtimestamp(at, ZoneInfo(timezone or "UTC"))


def _cron(schedule: ScheduleSpec, after: float) -> float | None:
    from cronsim import CronSim

    due = next(CronSim(schedule.cron_string, _local(after, schedule.timezone)), None)
    return None if due is None else due.timestamp()


def _missed_cron(schedule: ScheduleSpec, due: float, now: float) -> tuple[int, float | None]:
    from cronsim import CronSim

    count = 1
    for following in CronSim(schedule.cron_string, _local(due, schedule.timezone)):
        at = following.timestamp()
        if at > now:
            return count, at
        if count == COUNT_MAX:
            return count, _cron(schedule, now)
        count += 1
    return count, None


def _period(schedule: ScheduleSpec, since: float, times: int, timezone: str) -> float:
    """Return when a period that began at `since` ends for the `times`-th time."""
    at = since
    if schedule.years or schedule.months or schedule.weeks or schedule.days:
        from dateutil.relativedelta import relativedelta

        dates = relativedelta(
            years=schedule.years * times,
            months=schedule.months * times,
            weeks=schedule.weeks * times,
            days=schedule.days * times,
        )
        # Aware datetimes are added on the wall clock, as wanted here.
        at = (_local(since, timezone) + dates).timestamp()
    return at + _clock_s(schedule) * times


def _times(schedule: ScheduleSpec, since: float, after: float, timezone: str) -> int:
    """Return the number of the first end, after `after`, of a period that began at `since`."""
    days = schedule.years * 365.2425 + schedule.months * 30.436875 + schedule.weeks * 7 + schedule.days
    times = max(1, int((after - since) / (days * 86_400 + _clock_s(schedule))))  # an estimate
    while times > 1 and _period(schedule, since, times - 1, timezone) > after:
        times -= 1
    while _period(schedule, since, times, timezone) <= after:
        times += 1
    return times


def _clock_s(schedule: ScheduleSpec) -> float:
    return schedule.hours * 3_600 + schedule.minutes * 60 + schedule.seconds
