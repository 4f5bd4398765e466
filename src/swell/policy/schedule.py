"""When a schedule is due next: calendar arithmetic on the times that it is handed.

A cron line is read in its own time zone. A period adds its years, months, weeks and days to the date, in the zone of the
machine, so that the clock time stays the same when that zone changes its offset; hours, minutes and seconds are added as
what they are. This module reads no clock, and must not know functions or calls.

Calendars are imported where they are used: few functions have a schedule, and every server loads this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from swell.model import ScheduleSpec

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["missed_runs", "next_run", "schedule_text", "schedule_unsoundness"]

PERIOD_MIN_S: Final = 1.0  #: a shorter one is a loop, not a schedule
COUNT_MAX: Final = 10_000  #: missed runs that are counted; beyond that it hardly matters

_UNITS: Final = ("years", "months", "weeks", "days", "hours", "minutes", "seconds")


def schedule_unsoundness(schedule: ScheduleSpec, now: float) -> str:
    """Return why a schedule can never be due, naming the value and the fix; "" if it can."""
    if schedule.kind == "cron":
        return _cron_unsoundness(schedule, now)
    if schedule.kind != "period":
        return f"{schedule.kind!r} is no kind of schedule"
    negative = [unit for unit in _UNITS if getattr(schedule, unit) < 0]
    if negative:
        return f"Period({negative[0]}={getattr(schedule, negative[0])}) is negative"
    try:
        after_s = _period(schedule, now, "UTC") - now
    except (OverflowError, ValueError):
        return f"{schedule_text(schedule)} is longer than a calendar reaches"
    return "" if after_s >= PERIOD_MIN_S else f"{schedule_text(schedule)} is shorter than {PERIOD_MIN_S:g} s"


def _cron_unsoundness(schedule: ScheduleSpec, now: float) -> str:
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


def next_run(schedule: ScheduleSpec, after: float, timezone: str) -> float | None:
    """Return when a schedule is due for the first time after a time, in seconds since the epoch; None if never again.

    For a period, `after` is when it was due last, or when it began.

    Args:
        schedule: a sound one.
        after: seconds since the epoch.
        timezone: in which days, weeks, months and years of a period are counted.
    """
    if schedule.kind == "cron":
        return _cron(schedule, after)
    try:
        return _period(schedule, after, timezone)
    except (OverflowError, ValueError):
        return None


def missed_runs(schedule: ScheduleSpec, due: float, now: float, timezone: str) -> tuple[int, float | None]:
    """Return how often a schedule that was due at `due` has been due until now, and when it is due next."""
    count, at = 0, due
    while at <= now and count < COUNT_MAX:
        count += 1
        following = next_run(schedule, at, timezone)
        if following is None:
            return count, None
        at = following
    if at <= now:  # very many: go on from here, in step where steps are equal
        step = _step_s(schedule)
        at = at + step * (int((now - at) / step) + 1) if step else next_run(schedule, now, timezone) or now
    return count, at


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


def _period(schedule: ScheduleSpec, after: float, timezone: str) -> float:
    at = after
    if schedule.years or schedule.months or schedule.weeks or schedule.days:
        from dateutil.relativedelta import relativedelta

        dates = relativedelta(years=schedule.years, months=schedule.months, weeks=schedule.weeks, days=schedule.days)
        # The arithmetic of aware datetimes is that of the wall clock, which is what is wanted here.
        at = (_local(after, timezone) + dates).timestamp()
    return at + _clock_s(schedule)


def _clock_s(schedule: ScheduleSpec) -> float:
    return schedule.hours * 3_600 + schedule.minutes * 60 + schedule.seconds


def _step_s(schedule: ScheduleSpec) -> float:
    """Return the length of a period whose steps are all equal; 0 if they are not."""
    if schedule.kind == "cron" or schedule.years or schedule.months or schedule.weeks or schedule.days:
        return 0.0
    return _clock_s(schedule)
