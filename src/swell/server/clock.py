"""The engine's time: seconds since the epoch that never go back, whatever happens to the clock on the wall.

People read them and schedules are due by them; the engine compares them. This module must not know what is timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["EngineClock", "since_boot"]

NAP_MAX_S = 15.0  #: timers do not run while the machine sleeps: none is set for longer, so that none is late by more
STEP_S = 1.0  #: a difference to the clock on the wall that is followed; less is its ordinary drift


def since_boot() -> float:
    """Return the seconds since the machine was started, sleep included. No one can set this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class EngineClock:
    """Follows the time since the machine was started from the epoch on.

    Args:
        wall: the clock on the wall, in seconds since the epoch; anybody may set it.
        running: a clock that nobody can set, and that does not stand still while the machine sleeps.
    """

    def __init__(self, wall: Callable[[], float] = time.time, running: Callable[[], float] = since_boot) -> None:
        self._wall = wall
        self._running = running
        self._epoch = wall() - running()

    def now(self) -> float:
        """Return the time."""
        return self._epoch + self._running()

    def catch_up(self) -> None:
        """Follow the clock on the wall if that was put forward. One that was put back is not followed: time goes on."""
        ahead_s = self._wall() - self.now()
        if ahead_s > STEP_S:
            self._epoch += ahead_s

    def wait_for(self, at: float) -> float:
        """Return how long to wait for a time, at most; it may have to be waited for again."""
        return min(NAP_MAX_S, max(0.0, at - self.now()))
