"""How fast a node may be filled with new containers.

Queues tell the demand for containers, but a host has only so many cores: once containers keep them busy, one more makes
all slower. So starts come in bursts: a small one first, doubled after every poll of the node that finds idle cores, and
none while there are none. Containers that sleep reach a hundred in five polls; containers that compute stop at about
twice the cores. Floors (`min_containers`) and a pool's first container do not wait for this. This module must not know
pools or clocks.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

__all__ = [
    "FIRST_PATIENCE_S",
    "POLL_EVERY_S",
    "Pace",
    "first_burst",
    "next_poll",
    "observed",
    "saturated",
    "started",
    "starting_max",
]

#: How long the first containers of a pool may take before more are started though none has been ready.
FIRST_PATIENCE_S = 0.5
POLL_EVERY_S = 0.05  #: how soon to poll a node again while a pool waits for it
POLL_EVERY_MAX_S = 0.5  #: the same, while polling starts nothing: a host may be busy for hours
BURST_MAX = 256


class Pace(Struct, frozen=True):
    """How many starts a node takes before it is polled again."""

    burst: int
    left: int


def first_burst(cores: float) -> int:
    """Return the size of the first burst on a node: enough to keep its cores busy starting containers."""
    return max(4, round(2 * cores))


def starting_max(cores: float) -> int:
    """Return how many containers may be starting at once while the node's load is unknown."""
    return max(8, round(4 * cores))


def saturated(busy_cores: float, cores: float) -> bool:
    """Tell whether containers use about all cores of a node."""
    return busy_cores >= 0.85 * cores


def observed(pace: Pace | None, *, busy_cores: float, cores: float) -> Pace:
    """Return the pace after a poll of the node."""
    first = first_burst(cores)
    if pace is None:
        return Pace(first, first)
    if saturated(busy_cores, cores):
        return Pace(first, 0)
    burst = min(BURST_MAX, pace.burst * 2) if pace.left == 0 else max(first, pace.burst // 2)
    return Pace(burst, burst)


def next_poll(every_s: float, *, nothing_started: bool) -> float:
    """Return how long to wait before the next poll, given how long it was before this one."""
    return min(POLL_EVERY_MAX_S, 2 * every_s) if nothing_started else POLL_EVERY_S


def started(pace: Pace) -> Pace:
    """Return the pace after one more start."""
    return replace(pace, left=max(0, pace.left - 1))
