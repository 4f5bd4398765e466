"""Estimates how fast a count advances, and how long until it is complete.

Numbers and a given `now`, nothing else. This module must not know what is counted, clocks or terminals.
"""

from __future__ import annotations

from collections import deque
from typing import Final

__all__ = ["RateEstimator", "clock_text"]

WINDOW_S: Final = 10.0  #: the rate is the mean over the last so many seconds: steady, and still follows a change
SAMPLE_S: Final = 0.25


class RateEstimator:
    """Estimates the rate of a count that only grows.

    Args:
        now: Seconds on any clock that never goes back; the count is 0 then.
    """

    def __init__(self, now: float) -> None:
        self._samples = deque([(now, 0)])

    def add(self, now: float, done: int) -> None:
        """Add a sample of the count; many calls a second cost nothing."""
        if now - self._samples[-1][0] < SAMPLE_S:
            return
        self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[1][0] >= WINDOW_S:
            self._samples.popleft()

    def rate(self, now: float, done: int) -> float | None:
        """Return the advance in counts per second; None while there are too few samples."""
        since, before = self._samples[0]
        if now - since < SAMPLE_S or done <= before:
            return None
        return (done - before) / (now - since)

    def left_s(self, now: float, done: int, total: int | None) -> float | None:
        """Return the seconds until `done` is `total` at the present rate; None while the rate is unknown."""
        rate = self.rate(now, done)
        return None if rate is None or total is None else max(0, total - done) / rate


def clock_text(seconds: float) -> str:
    """Return a duration as a clock shows it: "0:07", "12:30", "1:02:03"."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
