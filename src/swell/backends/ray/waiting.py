"""What is told of agents that were asked of Ray and have not been started: how many, of what, since when, and why.

Since when is told in steps, each about twice as long as the one before: whoever waits for a node is told anew when the
text changes, which costs something. This module must not know how Ray is asked, or how an agent is started.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from math import inf
from typing import Final

from swell.backends.ray.messages import RayNode, Scaling
from swell.backends.ray.placing import freest
from swell.slices import Slice, slice_text

__all__ = ["WAITS_S", "next_change_s", "waiting_text", "why_no_room"]

_STEPS: Final = {
    5: "5 s",
    10: "10 s",
    20: "20 s",
    30: "30 s",
    60: "1 min",
    120: "2 min",
    300: "5 min",
    600: "10 min",
    1_200: "20 min",
    1_800: "30 min",
    3_600: "1 h",
    7_200: "2 h",
    21_600: "6 h",
    86_400: "1 day",
}
_STEPS_S: Final = list(_STEPS)
WAITS_S: Final = _STEPS_S[0]  #: after which it is worth a word that Ray has not started an agent


def waiting_text(waiting: Iterable[tuple[Slice | None, float]], nodes: Sequence[RayNode], scaling: Scaling) -> str:
    """Return what is told; "" if nobody waits for long.

    Args:
        waiting: what each agent is to have, and how many seconds ago it was asked for.
        nodes: the machines there are.
        scaling: what Ray's autoscaler does.
    """
    ages: dict[Slice | None, list[float]] = {}
    for each, age_s in waiting:
        if age_s >= WAITS_S:
            ages.setdefault(each, []).append(age_s)
    texts = [_of_one_kind(each, ages[each], nodes, scaling) for each in ages]
    return f"waiting for {', '.join(texts)}" if texts else ""


def next_change_s(ages_s: Iterable[float]) -> float:
    """Return after how many seconds the text changes because of the time alone; infinity if it does not."""
    return min(
        (_STEPS_S[n] - age_s for age_s in ages_s if (n := bisect_right(_STEPS_S, age_s)) < len(_STEPS)), default=inf
    )


def why_no_room(wanted: Slice | None, nodes: Sequence[RayNode]) -> str:
    """Return why no machine has room for a slice; "" if one has."""
    if not nodes:
        return "there is no machine"
    if wanted is None:
        return "" if freest(nodes, ()) else f"none of {len(nodes)} machines has a free core"
    staying = [each for each in nodes if each.draining_until is None]
    if any(_holds(wanted, each.cpu_free, each.memory_free_bytes, each.gpus_free) for each in staying):
        return ""
    if _could_hold(wanted, nodes):
        return f"none of {len(nodes)} machines has that free now"
    most = max(nodes, key=lambda each: (min(each.gpus, wanted.gpus), each.cpu, each.memory_bytes))
    offer = Slice(most.cpu, most.memory_bytes, int(most.gpus))
    return f"none of {len(nodes)} machines is as large; the largest has {slice_text(offer)}"


def _of_one_kind(wanted: Slice | None, ages: Sequence[float], nodes: Sequence[RayNode], scaling: Scaling) -> str:
    count = len(ages)
    since = _STEPS[_STEPS_S[bisect_right(_STEPS_S, max(ages)) - 1]]
    says = f"asked Ray over {since} ago; Ray says: {_ray_says(wanted, nodes, scaling)}"
    if wanted is None and why_no_room(None, nodes):  # Ray is asked for what a machine has once there is one
        says = f"for over {since}; {why_no_room(None, nodes)}, and Ray's autoscaler adds some for ray_slices only"
    return f"{count} node{'s' if count > 1 else ''} of {slice_text(wanted)} ({says})"


def _ray_says(wanted: Slice | None, nodes: Sequence[RayNode], scaling: Scaling) -> str:
    why = why_no_room(wanted, nodes)
    if not why:
        return "starting, there is room"
    if scaling.starting:
        kinds = ", ".join(f"{count} of type {name}" for name, count in sorted(scaling.starting.items()))
        return f"pending, {why}; machines are being added: {kinds}"
    failed = f"; a machine could not be added: {scaling.failure}" if scaling.failure else ""
    if wanted is not None and _is_infeasible(wanted, nodes, scaling):
        more = ", and its autoscaler has no such machine to add" if scaling.is_there else ""
        return f"infeasible, {why}{more}{failed}"
    return f"pending, {why}{failed}"


def _is_infeasible(wanted: Slice, nodes: Sequence[RayNode], scaling: Scaling) -> bool:
    return wanted in scaling.infeasible if scaling.is_there else not _could_hold(wanted, nodes)


def _could_hold(wanted: Slice, nodes: Sequence[RayNode]) -> bool:
    staying = [each for each in nodes if each.draining_until is None]
    return any(_holds(wanted, each.cpu, each.memory_bytes, each.gpus) for each in staying)


def _holds(wanted: Slice, cpu: float, memory_bytes: int, gpus: float) -> bool:
    return wanted.cpu <= cpu and wanted.memory_bytes <= memory_bytes and wanted.gpus <= gpus
