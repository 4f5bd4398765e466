"""How busy containers keep the cores of this machine, and which of them work.

Waiting for a core counts as keeping one busy, because a core that others use is not free: on a machine with other work,
processes that compute never look busy by the time they get, and ever more of them would be started. The kernel counts a
wait when it is over; a process that is awake in two calls in a row has run, or waited, all the time between them.

What a process does when it has checked in is work, if it goes on. But it may be the rest of its start; and if it
sleeps, that may be the wait for its first input. So it is judged only after a moment if it sleeps, and later if it is
awake.

Reading a file takes ten times as long as asking for the clock of a process. So files are read only of processes that
are awake, or have run since the last call: a thousand that sleep cost a millisecond. This module must not know
containers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from math import inf
from typing import NamedTuple

import swell.linux as linux

__all__ = ["Busy", "BusyMeter"]

SLEEPS_AFTER_S = 0.025  #: a process that has been ready for so long, and sleeps, has an input that lets it sleep
WORKS_AFTER_S = 0.1  #: a process that has been ready for so long, and is awake, is at work


class Busy(NamedTuple):
    """What processes make of the cores of this machine."""

    cores: float  #: that they kept busy
    working_cores: float  #: of these, by processes that have been judged
    unjudged: int  #: processes that have checked in, and may work or sleep
    sleepers: int  #: by how many more of those judged since the last call sleep than work


class BusyMeter:
    """Measures what a changing set of processes makes of the cores, between two calls."""

    def __init__(
        self,
        cores: float,
        ran: Callable[[int], float | None] = linux.ran_s,
        schedule: Callable[[int], tuple[float, bool]] = linux.schedule_of,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with no process.

        Args:
            cores: that there are.
            ran: returns how long a process has run so far; None if it is gone.
            schedule: returns how long its main thread has waited for a core so far, and whether it is awake.
            clock: returns the time.
        """
        self._cores = cores
        self._ran = ran
        self._schedule = schedule
        self._clock = clock
        self._seen: dict[int, _Usage] = {}
        self._called_at = clock()

    def measure(self, processes: Iterable[tuple[int, bool]]) -> Busy:
        """Return the cores used or waited for since the last call, at most as many as there are.

        Args:
            processes: (pid, whether it has checked in) of all; one that was not there in the last call began after it.
        """
        now = self._clock()
        elapsed = max(now - self._called_at, 1e-3)
        seen: dict[int, _Usage] = {}
        busy_s = working_s = 0.0
        unjudged = sleepers = 0
        for pid, is_ready in processes:
            ran_s = self._ran(pid)
            if ran_s is None:
                continue
            former = self._seen.get(pid, _NEW)
            usage = self._usage(pid, former, ran_s, elapsed)
            if is_ready and not usage.is_judged:
                sleeps = not (former.is_awake or usage.is_awake or usage.used_s > elapsed / 2)
                usage = _judge(usage, now, sleeps=sleeps)
                unjudged += not usage.is_judged
                sleepers += usage.is_judged * (1 if sleeps else -1)
            busy_s += usage.used_s
            working_s += usage.used_s if usage.is_judged else 0.0
            seen[pid] = usage
        self._seen, self._called_at = seen, now
        return Busy(min(self._cores, busy_s / elapsed), min(self._cores, working_s / elapsed), unjudged, sleepers)

    def _usage(self, pid: int, former: _Usage, ran_s: float, elapsed: float) -> _Usage:
        used_s = max(0.0, ran_s - former.ran_s)
        if not used_s and not former.is_awake:
            return former._replace(used_s=0.0) if former.used_s else former
        waited_s, is_awake = self._schedule(pid)
        used_s += min(elapsed, max(0.0, waited_s - former.waited_s))
        if is_awake and former.is_awake:
            used_s = max(used_s, elapsed)
        return former._replace(ran_s=ran_s, waited_s=waited_s, is_awake=is_awake, used_s=used_s)


class _Usage(NamedTuple):
    """What was read of a process in one call."""

    ran_s: float
    waited_s: float
    is_awake: bool  #: it runs, or waits for a core
    used_s: float  #: of the cores, since the call before
    ready_at: float  #: the time of the first call in which it had checked in; infinity if there was none
    is_judged: bool


_NEW = _Usage(ran_s=0.0, waited_s=0.0, is_awake=False, used_s=0.0, ready_at=inf, is_judged=False)


def _judge(usage: _Usage, now: float, *, sleeps: bool) -> _Usage:
    """Return the usage of a process that has checked in, judged if that is possible now."""
    if usage.ready_at == inf:
        return usage._replace(ready_at=now)
    return usage._replace(is_judged=now - usage.ready_at >= (SLEEPS_AFTER_S if sleeps else WORKS_AFTER_S))
