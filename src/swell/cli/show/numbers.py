"""Parameters of commands that are numbers, with the bounds of what a message can carry.

This module must not know what a number is for.
"""

from __future__ import annotations

import math
from typing import Any

import click

from swell.bounds import INTEGER_MAX, SECONDS_MAX

__all__ = ["Seconds", "WholeNumber"]


class WholeNumber(click.IntRange):
    """An integer of at least `min`, and at most what a message can carry."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it."""
        number = super().convert(value, param, ctx)
        if number > INTEGER_MAX:
            self.fail(f"{value} is more than {INTEGER_MAX:,}.", param, ctx)
        return number


class Seconds(click.FloatRange):
    """A duration of at least `min` and at most three hundred years."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it."""
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds) or seconds > SECONDS_MAX:  # NaN is inside every range
            self.fail(f"{value} is not a number of seconds up to {SECONDS_MAX:,.0f}.", param, ctx)
        return seconds
