"""The engine's time: seconds since the epoch that never go back, whatever happens to the clock on the wall.

People read them and schedules are due by them; the engine compares them. This module must not know what is timed.
"""

from __future__ import annotations

import time

__all__ = ["EngineClock"]

NAP_MAX_S = 15.0  #: timers do not run while the machine sleeps: none is set for longer, so that none is late by more
STEP_S = 1.0  #: a difference to the clock on the wall that is followed; less is its ordinary drift


class EngineClock:
    """Follows the time since the machine was started, sleep included, from the epoch on."""

    def __init__(self) -> None:
        self._epoch = time.time() - _since_boot()

    def now(self) -> float:
        """Return the time."""
        return self._epoch + _since_boot()

    def catch_up(self) -> None:
        """Follow the clock on the wall if that was put forward; one that was put back is waited for."""
        ahead_s = time.time() - self.now()
        if ahead_s > STEP_S:
            self._epoch += ahead_s

    def wait_for(self, at: float) -> float:
        """Return how long to wait for a time, at most; it may have to be waited for again."""
        return min(NAP_MAX_S, max(0.0, at - self.now()))


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
