"""When one pool must be looked at again, by reason. This module must not know what a look does, or what time it is."""

from __future__ import annotations

from enum import IntEnum
from math import inf

from swell.engine.state.deadlines import Deadlines

__all__ = ["Timer", "Timers"]

TAKEN_MAX = 256  #: containers looked at in one step, so that none takes long; the others follow at once


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
    GROW = 11  #: the pause after failed starts is over, or the first starts were waited for long enough
    PUT_AWAY = 12  #: an idle variant's scaledown window is over
    LATE = 13  #: a container has more to do than it should have by now
    LEASE = 14  #: a call lease may be idle, or is not closed though it was recalled
    RECALL = 15  #: a call lease is old enough to be recalled for inputs that wait


class Timers:
    """The times at which a pool must be looked at. Each is a lower bound: looking too early does nothing.

    Some timers are of single containers: of these, `watch` notes the time of each, and `take_due` finds those to look
    at, so that a look costs nothing for the others.
    """

    __slots__ = ("_of_containers", "at", "wake_at")

    def __init__(self) -> None:
        self.at: dict[Timer, float] = {}
        self.wake_at = inf  #: when the engine has been asked to wake the pool
        self._of_containers: dict[Timer, Deadlines] = {}

    def arm(self, timer: Timer, at: float) -> None:
        """Look because of `timer` at `at`, or sooner if that was asked for before."""
        if at < self.at.get(timer, inf):
            self.at[timer] = at

    def watch(self, timer: Timer, container_id: str, at: float) -> None:
        """Look at a container because of `timer` at `at`, or sooner if that was asked for before."""
        deadlines = self._of_containers.get(timer)
        if deadlines is None:
            deadlines = self._of_containers[timer] = Deadlines()
        deadlines.note(container_id, at)
        self.arm(timer, at)

    def take_due(self, timer: Timer, now: float) -> list[str]:
        """Return containers to look at because of `timer`. The pool is looked at again when the next ones are due."""
        deadlines = self._of_containers.get(timer)
        if deadlines is None:
            return []
        due = deadlines.take_due(now, TAKEN_MAX)
        if deadlines.next_at < inf:
            self.arm(timer, deadlines.next_at)
        return due

    def forget(self, container_id: str) -> None:
        """Do not look at a container any more: it is gone."""
        for deadlines in self._of_containers.values():
            deadlines.forget(container_id)

    def watched(self, timer: Timer) -> dict[str, float]:
        """Return when each container is looked at because of `timer`, for checks."""
        deadlines = self._of_containers.get(timer)
        return {} if deadlines is None else deadlines.times()

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
