"""Numbers as users write them on the command line, with the bounds of what can be handled at all.

This module must not know what a number is for.
"""

from __future__ import annotations

import math
from typing import Any

import click

from swell.bounds import INTEGER_MAX, SECONDS_MAX

__all__ = ["Seconds", "WholeNumber"]


class WholeNumber(click.IntRange):
    """An integer of at least `min`, and of no more than a message may carry."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take in what the user wrote."""
        number = super().convert(value, param, ctx)
        if number > INTEGER_MAX:
            self.fail(f"{value} is more than {INTEGER_MAX:,}.", param, ctx)
        return number


class Seconds(click.FloatRange):
    """A length of time that somebody may wait for, of at least `min` and at most three hundred years."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Take in what the user wrote."""
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds) or seconds > SECONDS_MAX:  # no range excludes what is neither below nor above anything
            self.fail(f"{value} is not a number of seconds up to {SECONDS_MAX:,.0f}.", param, ctx)
        return seconds
