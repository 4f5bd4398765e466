"""The engine's time: seconds since the epoch that never go back, whatever happens to the wall clock.

People read them, schedules are due by them, the engine compares them. This module must not know what is timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["EngineClock", "since_boot"]

NAP_MAX_S = (
    15.0  #: timers stand still while the machine sleeps: none is set for longer, so that none is later than that
)
STEP_S = 1.0  #: a difference to the wall clock that is followed; less is ordinary drift


def since_boot() -> float:
    """Return the seconds since the machine booted, sleep included. This clock cannot be set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class EngineClock:
    """Adds the time since the machine booted to the moment of its boot.

    Args:
        wall: the wall clock, in seconds since the epoch; it may be set at any time.
        running: a clock that cannot be set, and that goes on while the machine sleeps.
    """

    def __init__(self, wall: Callable[[], float] = time.time, running: Callable[[], float] = since_boot) -> None:
        self._wall = wall
        self._running = running
        self._epoch = wall() - running()

    def now(self) -> float:
        """Return the time."""
        return self._epoch + self._running()

    def catch_up(self) -> None:
        """Follow the wall clock if it was set forward. One that was set back is not followed: time goes on."""
        ahead_s = self._wall() - self.now()
        if ahead_s > STEP_S:
            self._epoch += ahead_s

    def wait_for(self, at: float) -> float:
        """Return how long to wait for a time, at most; it may have to be waited for again."""
        return min(NAP_MAX_S, max(0.0, at - self.now()))
