"""How many slices of which shape are wanted for containers that fit on no node, and how many agents to start for that.

A **slice** is the part of a machine that one agent reserves from a cluster: it becomes a node. What is lacking is told
as counts of containers that want the same resources. Each goes into slices that are wanted already, as far as they have
room; the rest into new slices of the smallest shape that holds it. The largest containers come first, since small ones
fit into what those leave (first fit in decreasing order: Johnson, *Near-optimal bin packing algorithms*, 1973). Equal
slices are one group with a count, so that a million containers cost no more than ten.

Demand is counted before anybody knows how long the work takes, so agents come in steps: each at most doubles them.

This module must not know which cluster gives slices, or how an agent is started.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from swell.model import Lack, Resources
from swell.policy.placement import gpu_matches

__all__ = ["Shape", "Steps", "next_steps", "slices_for"]

_SLACK = 1e-9  #: sums of requests such as 0.1 are not exact


class Shape(Struct, frozen=True):
    """What a slice offers to containers, overcommit included."""

    cpu: float
    memory_bytes: int
    gpus: int = 0
    gpu_kind: str = ""  #: as in `swell.model.Gpu`; "" if they may be of any kind

    @classmethod
    def of(cls, machine: Shape, *, cpu_overcommit: float, memory_overcommit: float) -> Shape:
        """Return what a slice offers that has what a machine has, overcommit not included."""
        cpu, memory = machine.cpu * cpu_overcommit, int(machine.memory_bytes * memory_overcommit)
        return replace(machine, cpu=cpu, memory_bytes=memory)


class Steps(Struct, frozen=True):
    """What to do about agents, for each shape."""

    start: tuple[int, ...]  #: so many more
    cancel: tuple[int, ...]  #: so many of those that wait for their resources


class _Group(Struct):
    """Equal slices, and what each has left."""

    shape: int
    slices: int
    cpu: float
    memory_bytes: int
    gpus: int


def slices_for(lacks: Iterable[Lack], shapes: Sequence[Shape]) -> list[int]:
    """Return how many slices of each shape hold the containers; those that no shape holds are left out."""
    order = sorted(range(len(shapes)), key=lambda n: (shapes[n].gpus, shapes[n].cpu, shapes[n].memory_bytes))
    groups: list[_Group] = []
    for lack in sorted(lacks, key=_size, reverse=True):
        left = _fill(groups, shapes, lack)
        for number in order if left else ():
            shape = shapes[number]
            each = _room(shape.cpu, shape.memory_bytes, _gpus(shape, shape.gpus, lack.resources), lack.resources)
            if each > 0:
                groups.append(_Group(number, -(-left // each), shape.cpu, shape.memory_bytes, shape.gpus))
                _fill(groups, shapes, Lack(lack.resources, left))
                break
    counts = [0] * len(shapes)
    for group in groups:
        counts[group.shape] += group.slices
    return counts


def next_steps(wanted: Sequence[int], pending: Sequence[int], *, present: int, least: int, most: int) -> Steps:
    """Return how many agents to start and to cancel now.

    Args:
        wanted: for each shape, slices beyond those that are there.
        pending: for each shape, agents that were started and are no node yet.
        present: agents that are nodes.
        least: so many agents, of the first shape, are there whatever is wanted.
        most: so many are there at most, pending ones included.
    """
    goal = list(wanted)
    if goal:
        goal[0] += max(0, least - present - sum(goal))
    cancel = tuple(max(0, there - wish) for there, wish in zip(pending, goal, strict=True))
    waiting = sum(pending) - sum(cancel)
    step = max(1, least, present + waiting)
    left = max(0, min(step, most - present - waiting))
    start: list[int] = []
    for wish, there in zip(goal, pending, strict=True):
        start.append(min(left, max(0, wish - there)))
        left -= start[-1]
    return Steps(tuple(start), cancel)


def _fill(groups: list[_Group], shapes: Sequence[Shape], lack: Lack) -> int:
    """Put containers into slices that are wanted already; return how many are left."""
    left, wants = lack.count, lack.resources
    for group in list(groups):
        gpus = _gpus(shapes[group.shape], group.gpus, wants)
        each = _room(group.cpu, group.memory_bytes, gpus, wants)
        if each <= 0 or left <= 0:
            continue
        full, rest = divmod(min(left, each * group.slices), each)
        left -= full * each + rest
        used = [(full, each)] + ([(1, rest)] if rest else [])
        group.slices -= full + bool(rest)
        groups.extend(_less(group, slices, count, wants, gpus) for slices, count in used if slices)
        if not group.slices:
            groups.remove(group)
    return left


def _less(group: _Group, slices: int, count: int, wants: Resources, gpus: tuple[int, int]) -> _Group:
    """Return a group of slices in each of which so many containers have found their place."""
    return _Group(
        group.shape,
        slices,
        group.cpu - count * wants.cpu,
        group.memory_bytes - count * wants.memory_bytes,
        group.gpus - count * gpus[1],
    )


def _gpus(shape: Shape, free: int, wants: Resources) -> tuple[int, int]:
    """Return for how many containers the free GPUs do, and how many each takes; (-1, 0) if they do not matter."""
    if not wants.gpu:
        return (-1, 0)
    for request in wants.gpu:
        is_such = not shape.gpu_kind or gpu_matches(shape.gpu_kind, request.kind)
        if shape.gpus and is_such and request.count <= free:
            return (free // request.count, request.count)
    return (0, 0)


def _room(cpu: float, memory_bytes: int, gpus: tuple[int, int], wants: Resources) -> int:
    """Return how many containers fit into what is left of a slice."""
    bounds: list[int] = []
    if wants.cpu > 0:
        bounds.append(int((cpu + _SLACK) / wants.cpu))
    if wants.memory_bytes > 0:
        bounds.append(memory_bytes // wants.memory_bytes)
    if gpus[0] >= 0:
        bounds.append(gpus[0])
    return min(bounds, default=_MANY)


_MANY = 1_000  #: containers in a slice, of those that ask for nothing


def _size(lack: Lack) -> tuple[int, float, int, list[tuple[str, int]]]:
    wants = lack.resources
    most = max((request.count for request in wants.gpu), default=0)
    return (most, wants.cpu, wants.memory_bytes, [(request.kind, request.count) for request in wants.gpu])
