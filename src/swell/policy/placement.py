"""Which node a container is placed on, and which of the node's GPUs it gets.

Requests are counted against a node's capacity, times a configured overcommit for cores and memory; GPUs are exclusive
and never overcommitted. This module must not know how a container is started.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from swell.model import Gpu, GpuRequest, Node, Resources

__all__ = ["NodeRoom", "Place", "find_place", "first_place", "never_fits"]


class NodeRoom(Struct, frozen=True):
    """A node, and how much of it is allocated."""

    node: Node
    cpu_capacity: float  #: cores times overcommit
    memory_capacity: int
    cpu_used: float
    memory_used: int
    gpus_used: frozenset[str]

    @property
    def order(self) -> float:
        """The less, the sooner the node is filled: it is how many cores are free, below zero."""
        return self.cpu_used - self.cpu_capacity


class Place(Struct, frozen=True):
    """A container's node and its GPUs."""

    node: str
    gpus: tuple[str, ...] = ()


def find_place(rooms: Iterable[NodeRoom], wants: Resources) -> Place | None:
    """Return the place for a container, or None while every node is full.

    The first entry of `wants.gpu` that fits anywhere wins; among nodes that fit, the one with the most free cores, ties
    by name.
    """
    return first_place(sorted(rooms, key=lambda room: (room.order, room.node.name)), wants)


def first_place(rooms: Iterable[NodeRoom], wants: Resources) -> Place | None:
    """Do the same with rooms that are in order (by `order`, ties by name); each GPU entry iterates over them."""
    for request in wants.gpu or (None,):
        for room in rooms:
            if not _has_cores(room, wants):
                break  # those that follow have no more
            if not _has_memory(room, wants):
                continue
            if request is None:
                return Place(room.node.name)
            gpus = _pick([gpu for gpu in room.node.gpus if gpu.uuid not in room.gpus_used], request)
            if gpus:
                return Place(room.node.name, gpus)
    return None


def never_fits(rooms: Iterable[NodeRoom], wants: Resources) -> str:
    """Return why even empty nodes could not hold such a container, naming what they have; "" if one could."""
    empty = [
        NodeRoom(
            node=room.node,
            cpu_capacity=room.cpu_capacity,
            memory_capacity=room.memory_capacity,
            cpu_used=0.0,
            memory_used=0,
            gpus_used=frozenset[str](),
        )
        for room in rooms
    ]
    if not empty:
        return ""
    if not any(_has_cores(room, wants) and _has_memory(room, wants) for room in empty):
        largest_cpu = max(room.cpu_capacity for room in empty)
        largest_memory = max(room.memory_capacity for room in empty)
        return (
            f"a container of {wants.cpu:g} cores and {wants.memory_bytes >> 20} MiB fits on no node; the largest "
            f"offers {largest_cpu:g} cores and {largest_memory >> 20} MiB (overcommit included). Ask for less"
        )
    if wants.gpu and find_place(empty, wants) is None:
        asked = " or ".join(f"{request.kind}:{request.count}" for request in wants.gpu)
        return f"no node has the GPUs asked for ({asked}); there {_describe(empty)}"
    return ""


def _has_cores(room: NodeRoom, wants: Resources) -> bool:
    slack = 1e-9  # sums of requests such as 0.1 are not exact
    return room.cpu_used + wants.cpu <= room.cpu_capacity + slack


def _has_memory(room: NodeRoom, wants: Resources) -> bool:
    return room.memory_used + wants.memory_bytes <= room.memory_capacity


def _pick(free: Sequence[Gpu], request: GpuRequest) -> tuple[str, ...]:
    matching = [gpu.uuid for gpu in free if _matches(gpu, request.kind)]
    return tuple(matching[: request.count]) if len(matching) >= request.count else ()


def _matches(gpu: Gpu, kind: str) -> bool:
    wanted = kind.upper().rstrip("!")
    return wanted == "ANY" or gpu.kind.upper() == wanted


def _describe(rooms: Sequence[NodeRoom]) -> str:
    kinds: dict[str, int] = {}
    for room in rooms:
        for gpu in room.node.gpus:
            kinds[gpu.kind] = kinds.get(gpu.kind, 0) + 1
    if not kinds:
        return "are no GPUs"
    return "is " + ", ".join(f"{kind}:{count}" for kind, count in sorted(kinds.items()))
