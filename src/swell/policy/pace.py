"""How fast a node may be filled with new containers.

Queues tell the demand for containers, but a host has only so many cores: once containers keep them busy with work, one
more makes all slower. Whether a new container will work or sleep shows only when it has run for a moment. So a bounded
number may be *unproven* at a time: they start, or no observation of the node has shown yet whether they work or sleep.
That bound, the burst, is small at first. It doubles with each observation that finds it used up and more containers
asleep; nothing is started while work keeps the cores busy. As soon as some are proven, others take their turn.

Starts cost processor time, too. That is no work and does not stop others, or a busy host would be filled by fits and
starts; but no more of them than keep the cores busy go on at once. Starts that leave the cores idle, because they wait
for a disk or the network, let the burst grow before anything is proven.

Containers that sleep reach a hundred in five bursts; containers that compute stop at about twice the cores. Floors
(`min_containers`) and a pool's first container do not wait for this. This module must not know pools or clocks.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

__all__ = [
    "FIRST_PATIENCE_S",
    "POLL_EVERY_S",
    "Load",
    "Pace",
    "burst_of",
    "first_burst",
    "is_recent",
    "next_poll",
    "observed",
    "saturated",
    "starting_max",
    "used_up",
]

#: How long the first containers of a pool may take before more are started though none has been ready.
FIRST_PATIENCE_S = 0.5
POLL_EVERY_S = 0.01  #: how soon to poll a node again while a pool waits for it
POLL_EVERY_MAX_S = 0.5  #: the same, while nothing changes: a host may be busy for hours
POLL_S = 100e-6  #: at least so long between two polls for each container: a poll looks at all of them
RECENT_S = 1.0  #: what was observed over a longer interval tells nothing of how busy a node is now
BURST_MAX = 256
QUICK_START_S = 0.25


class Load(Struct, frozen=True):
    """What containers make of a node's cores, as observed over an interval."""

    cores: float  #: that the node has
    busy_cores: float  #: that containers kept busy, or waited for
    working_cores: float  #: of these, by containers that are at work
    sleeps: bool = False  #: most containers of which it shows for the first time whether they work or sleep do sleep


class Pace(Struct, frozen=True):
    """How many containers of a node may be unproven."""

    burst: int
    observed_at: float
    full_since: float | None = None  #: when more than that were wanted for the first time


def first_burst(cores: float) -> int:
    """Return the size of the first burst on a node: enough to keep its cores busy starting containers."""
    return max(4, round(2 * cores))


def starting_max(cores: float, start_s: float | None = None) -> int:
    """Return how many containers may be starting at once while that keeps the cores busy, or may.

    Where starts are quick, which `start_s` says, these are more: each waits most of the time for another process, which
    waits for a core itself on a busy host; and they are over before they are in the way.
    """
    most = max(8, round(4 * cores))
    return most if start_s is None or start_s > QUICK_START_S else 4 * most


def saturated(busy_cores: float, cores: float) -> bool:
    """Tell whether containers use about all cores of a node."""
    return busy_cores >= 0.85 * cores


def is_recent(pace: Pace | None, now: float) -> bool:
    """Tell whether the last observation says how busy the node is now."""
    return pace is not None and now - pace.observed_at <= RECENT_S


def observed(pace: Pace | None, load: Load, now: float) -> Pace:
    """Return the pace after an observation of the node."""
    first = first_burst(load.cores)
    if pace is None or not is_recent(pace, now):
        return Pace(first, now, None if pace is None else pace.full_since)
    if saturated(load.working_cores, load.cores):
        return Pace(max(first, pace.burst // 2), now)
    if pace.full_since is None:
        return replace(pace, observed_at=now)
    was_full = pace.full_since <= pace.observed_at  #: all the time, so that starts would show
    if load.sleeps or (was_full and not saturated(load.busy_cores, load.cores)):
        return Pace(min(max(first, BURST_MAX), pace.burst * 2), now)
    return replace(pace, observed_at=now)


def burst_of(pace: Pace | None, *, cores: float, now: float) -> int:
    """Return how many containers may be unproven now."""
    return pace.burst if pace is not None and is_recent(pace, now) else first_burst(cores)


def used_up(pace: Pace | None, now: float) -> Pace | None:
    """Return the pace after a start that it did not allow."""
    return pace if pace is None or pace.full_since is not None else replace(pace, full_since=now)


def next_poll(every_s: float, *, containers: int, nothing_changed: bool) -> float:
    """Return how long to wait before the next poll, given how long it was before this one."""
    soonest = min(POLL_EVERY_MAX_S, max(POLL_EVERY_S, POLL_S * containers))
    return min(POLL_EVERY_MAX_S, max(soonest, 2 * every_s)) if nothing_changed else soonest
