"""How many containers a pool should have, and why.

Three counts of containers, never confused: *planned*, that there should be; *requested* from the backend, and not ready
yet; *observed*, that have been ready. This module returns the plan; it must not know single containers, or how one is
started.
"""

from __future__ import annotations

from msgspec import Struct

from swell.model import AutoscalerSettings

__all__ = ["Plan", "PoolView", "decide", "effective"]


class PoolView(Struct, frozen=True):
    """The facts about a pool that a decision is made from."""

    settings: AutoscalerSettings  #: effective: no field but max_containers may be None
    containers_max: int  #: the server's own bound
    capacity: int  #: inputs one container works on at once: target_inputs times batch size
    backlog: int  #: inputs that wait and are due
    running: int  #: inputs that containers hold
    requested: int
    observed: int  #: containers that take inputs
    service_s: float | None  #: measured time of one input, None if unknown
    start_s: float | None  #: measured time from request to ready, None if unknown
    single_use: bool = False  #: a container serves one input and ends


class Plan(Struct, frozen=True):
    """How many containers there should be, and why, in words for users."""

    containers: int
    reason: str


def effective(static: AutoscalerSettings, override: AutoscalerSettings, default_window_s: int) -> AutoscalerSettings:
    """Merge platform defaults < decorator < run-time override."""
    default = AutoscalerSettings(0, None, 0, default_window_s)
    return default.merge(static).merge(override)


def decide(view: PoolView) -> Plan:
    """Return the plan for a pool.

    Examples, with capacity 1: nothing to do and min 0 plan 0; 5 inputs plan 5; 5 inputs, buffer 2, max 6 plan 6.
    """
    high = min(view.containers_max, view.settings.max_containers or view.containers_max)
    low = min(high, view.settings.min_containers or 0)
    outstanding = view.backlog + view.running
    if not outstanding:
        return Plan(low, f"idle: the floor is {low}" if low else "idle")

    needed = -(-outstanding // view.capacity)
    reason = f"{outstanding} inputs at {view.capacity} per container"
    useful = _useful(view)
    if useful is not None and useful < needed:
        needed = useful
        reason = (
            f"{outstanding} inputs of about {_time(view.service_s)} are done before more containers "
            f"({_time(view.start_s)} to start) could help"
        )
    buffer = view.settings.buffer_containers or 0
    if buffer:
        reason += f", {buffer} in reserve"
    wanted = needed + buffer
    if wanted > high:
        return Plan(high, f"{reason}; max_containers is {high}")
    if wanted < low:
        return Plan(low, f"{reason}; min_containers is {low}")
    return Plan(wanted, reason)


def _useful(view: PoolView) -> int | None:
    """Return how many containers can still shorten the work, None if that is unknown.

    Starting a container is worth it only if, once ready, it finds at least its own start time's worth of work left.
    With W seconds of work and k containers present, the work left when a new one is ready is W - k * start; n
    containers share it usefully while each gets at least one start time's worth: n <= W / start. Containers that are
    there already count as useful.
    """
    if view.single_use or view.service_s is None or view.start_s is None or view.observed == 0:
        return None
    work_s = (view.backlog + view.running) * view.service_s / view.capacity
    return max(view.observed + view.requested, int(work_s / max(view.start_s, 1e-3))) if work_s else None


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "unknown time"
    value, unit = (seconds, "s") if seconds >= 1 else (seconds * 1e3, "ms")
    return f"{value:.0f} {unit}" if value >= 10 else f"{value:.2g} {unit}"
