"""When one pool must be looked at again, by reason. This module must not know what a look does, or what time it is."""

from __future__ import annotations

from enum import IntEnum
from math import inf

__all__ = ["Timer", "Timers"]


class Timer(IntEnum):
    """Why a pool is looked at by time. A number, because its hash is taken several times per event."""

    WORK = 1  #: inputs take longer than estimated
    TIMEOUT = 2  #: an input has run for as long as it may
    START = 3  #: a container has not started within its startup timeout
    DRAIN = 4  #: a container has not left within its grace
    RESIST = 5  #: a cancelled input has not stopped within its grace
    SCHEDULE = 6  #: the function's schedule is due
    RETRY = 7  #: a delayed input may run again
    BATCH = 8  #: a batch has waited long enough to leave incomplete
    BURST = 9  #: containers that start have been waited for long enough
    IDLE = 10  #: an idle container's scaledown window is over
    GROW = 11  #: the pause after failed starts is over
    PUT_AWAY = 12  #: an idle variant's scaledown window is over


class Timers:
    """The times at which a pool must be looked at. Each is a lower bound: looking too early does nothing."""

    __slots__ = ("at", "wake_at")

    def __init__(self) -> None:
        self.at: dict[Timer, float] = {}
        self.wake_at = inf  #: when the engine has been asked to wake the pool

    def arm(self, timer: Timer, at: float) -> None:
        """Look because of `timer` at `at`, or sooner if that was asked for before."""
        if at < self.at.get(timer, inf):
            self.at[timer] = at

    def due(self, now: float) -> list[Timer]:
        """Return the timers that have run out, for a pool that was woken; each stays armed until `disarm`."""
        self.wake_at = inf
        return [timer for timer, at in self.at.items() if at <= now]

    def disarm(self, timer: Timer) -> None:
        """Clear a timer that has run out, before its look, which may arm it again."""
        del self.at[timer]

    @property
    def next_at(self) -> float:
        """When the first timer runs out; infinity if none is armed."""
        return min(self.at.values(), default=inf)

    def sooner_wake(self) -> float | None:
        """Return when to wake the pool if that is sooner than was asked for until now, and take it as asked for."""
        at = min(self.at.values(), default=inf)
        if at >= self.wake_at:
            return None
        self.wake_at = at
        return at
