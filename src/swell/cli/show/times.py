"""Parse and format times and durations.

This module must not know what happened then.
"""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Any, Final

import click

__all__ = ["TimeParam", "duration_text", "local", "parse_time", "time_text"]

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
_AGO: Final = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?[smhdw]){1,20}", re.ASCII)
_STEP: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])", re.ASCII)


class TimeParam(click.ParamType[float]):
    """A parameter of a command: a time as "30m" ago, or in ISO 8601; parsed to seconds since the epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse it."""
        if isinstance(value, float):
            return value
        try:
            return parse_time(value, time.time())
        except ValueError:
            self.fail(
                f"{value!r} is no time: write how long ago, as in 45s, 30m, 2h, 1d or 1h30m, or a date and time "
                "such as 2026-05-01T14:30:00",
                param,
                ctx,
            )


def parse_time(text: str, now: float) -> float:
    """Return the seconds since the epoch of "30m" (that long before `now`) or of a date and time, by default local.

    Raises:
        ValueError: the text is neither.
    """
    if _AGO.fullmatch(text):
        return now - sum(float(count) * _UNITS_S[unit] for count, unit in _STEP.findall(text))
    return datetime.fromisoformat(text).timestamp()


def local(at: float) -> datetime:
    """Return a time in the zone of this machine."""
    return datetime.fromtimestamp(at).astimezone()


def time_text(at: datetime) -> str:
    """Return a time as in "2026-05-01 14:03:59+02:00"."""
    return at.isoformat(" ", "seconds")


def duration_text(seconds: float) -> str:
    """Return a duration in its two largest units, as in "0.25 s", "45 s", "12 min 5 s", "2 d 4 h"."""
    if seconds < 10:
        return f"{seconds:.3g} s" if seconds >= 0.0005 else "0 s"
    whole = round(seconds)
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    first = next(index for index, (_, size) in enumerate(units) if whole >= size)
    name, size = units[first]
    text = f"{whole // size} {name}"
    if first + 1 < len(units):
        below, below_size = units[first + 1]
        text += f" {rest} {below}" if (rest := whole % size // below_size) else ""
    return text
