"""Schedules, on which the server runs a deployed Function: `Cron` and `Period`.

Declares only, and computes no time. This module must not know functions or apps.
"""

from __future__ import annotations

from typing import Any, cast

from swell.errors import InvalidError
from swell.model import ScheduleSpec

__all__ = ["Cron", "Period", "Schedule"]


class Cron:
    """Run at the times of a cron line.

    Args:
        cron_string: Five fields: minute, hour, day of month, month, day of week. Checked at deploy.
        timezone: IANA name of the time zone of the fields.

    Example:
        `@app.function(schedule=swell.Cron("5 4 * * *"))` runs at 4:05 UTC every day.
    """

    def __init__(self, cron_string: str, timezone: str = "UTC") -> None:
        self.cron_string = cron_string
        self.timezone = timezone

    def spec(self) -> ScheduleSpec:
        """Return the schedule as it is sent and stored.

        Raises:
            InvalidError: an argument is not a str.
        """
        if not isinstance(self.cron_string, str) or not isinstance(self.timezone, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(f"{self!r}: both arguments must be str")
        return ScheduleSpec("cron", self.cron_string, self.timezone)

    def __repr__(self) -> str:
        return f"Cron({self.cron_string!r}, timezone={self.timezone!r})"


class Period:
    """Run repeatedly, counted from the deployment. `days=1` keeps the time of day: it is not always 86,400 s.

    Args:
        years: Calendar years between two runs.
        months: Calendar months.
        weeks: Weeks of seven calendar days.
        days: Calendar days.
        hours: Hours.
        minutes: Minutes.
        seconds: Seconds; the one unit that may be fractional.

    Example:
        `@app.function(schedule=swell.Period(hours=4, minutes=30))`
    """

    def __init__(
        self,
        *,
        years: int = 0,
        months: int = 0,
        weeks: int = 0,
        days: int = 0,
        hours: int = 0,
        minutes: int = 0,
        seconds: float = 0,
    ) -> None:
        self.parts: dict[str, float] = {
            "years": years,
            "months": months,
            "weeks": weeks,
            "days": days,
            "hours": hours,
            "minutes": minutes,
            "seconds": seconds,
        }

    def spec(self) -> ScheduleSpec:
        """Return the schedule as it is sent and stored.

        Raises:
            InvalidError: an argument is not a number, or a unit that must be whole is not.
        """
        for unit, value in self.parts.items():
            if type(value) is not int and not (unit == "seconds" and type(value) is float):
                raise InvalidError(f"{self!r}: {unit} must be a whole number")
        return ScheduleSpec("period", **cast("dict[str, Any]", self.parts))

    def __repr__(self) -> str:
        return f"Period({', '.join(f'{unit}={n!r}' for unit, n in self.parts.items() if n)})"


Schedule = Cron | Period
