"""How many agents of which slice to have asked of Ray, for what fits on no node.

This module must not know Ray, or how agents are started.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from swell.backends.ray.messages import RayNode
from swell.model import Lack
from swell.policy.slices import Shape, next_steps, slices_for
from swell.slices import Slice

__all__ = ["Bounds", "agents_to_await"]


class Bounds(Struct, frozen=True, kw_only=True):
    """How many agents there may be, and how much more than it has each offers."""

    least: int = 1
    most: int = 1_000
    cpu_overcommit: float = 1.0
    memory_overcommit: float = 1.0


def agents_to_await(
    lacks: Sequence[Lack],
    slices: Sequence[Slice],
    machines: Sequence[RayNode],
    awaited: Mapping[Slice | None, int],
    present: int,
    *,
    bounds: Bounds,
) -> Counter[Slice | None]:
    """Return how many agents are to be asked for and not started yet, of each slice.

    Args:
        lacks: what fits on no node that is there.
        slices: that agents may have; none: each has all that is free on a machine, which is told by None.
        machines: of the cluster.
        awaited: how many were asked for, and are not started.
        present: how many have been started.
        bounds: how many there may be.
    """
    choices: Sequence[Slice | None] = slices or [None]
    shapes = [_shape(each, machines, bounds) for each in choices]
    pending = [awaited.get(each, 0) for each in choices]
    steps = next_steps(slices_for(lacks, shapes), pending, present=present, least=bounds.least, most=bounds.most)
    found = Counter[Slice | None]()
    for each, there, more, fewer in zip(choices, pending, steps.start, steps.cancel, strict=True):
        found[each] += there + more - fewer
    return found


def _shape(wanted: Slice | None, machines: Sequence[RayNode], bounds: Bounds) -> Shape:
    """Return what an agent offers; that of a whole machine, as much as the largest has."""
    most_memory = max((each.memory_bytes for each in machines), default=0)
    if wanted is None:
        largest = max(machines, key=lambda each: (each.gpus, each.cpu), default=None)
        cpu, memory, gpus = (0.0, 0, 0) if largest is None else (largest.cpu, largest.memory_bytes, int(largest.gpus))
    else:
        cpu, memory, gpus = wanted.cpu, wanted.memory_bytes or most_memory, wanted.gpus
    return Shape.of(
        Shape(cpu, memory, gpus),
        cpu_overcommit=bounds.cpu_overcommit,
        memory_overcommit=bounds.memory_overcommit,
    )
