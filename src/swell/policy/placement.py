"""Which node a container is placed on, which of the node's GPUs it gets, and which container leaves first.

Requests are counted against a node's capacity, times a configured overcommit for cores and memory; GPUs are exclusive
and never overcommitted.

    pack    the fullest node that has room, so that others become empty
    spread  the node with the fewest containers of the function, then the emptiest

The first `min_containers` of a function are spread in any case, so that the end of one node is not the end of all. This
module must not know how a container is started.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct

from swell.model import GpuRequest, Node, Placement, Resources

__all__ = [
    "LOOKS_MAX",
    "Leaver",
    "NodeRoom",
    "Place",
    "fewest",
    "find_place",
    "first_to_leave",
    "gpu_matches",
    "never_fits",
    "pick",
]

LOOKS_MAX = 16  #: nodes, or containers, of which the best is taken, so that no choice costs more because there are more


class NodeRoom(Struct, frozen=True):
    """A node, and how much of it is allocated."""

    node: Node
    cpu_capacity: float  #: cores times overcommit
    memory_capacity: int
    cpu_used: float
    memory_used: int
    gpus_used: frozenset[str]


class Place(Struct, frozen=True):
    """A container's node and its GPUs."""

    node: str
    gpus: tuple[str, ...] = ()


# ---------------------------------------------------------------- where a container goes


def find_place(rooms: Iterable[NodeRoom], wants: Resources) -> Place | None:
    """Return a place for a container in the first room that has one; the first entry of `wants.gpu` that fits wins."""
    fitting = [room for room in rooms if _has_cores(room, wants) and _has_memory(room, wants)]
    for request in wants.gpu:
        for room in fitting:
            if gpus := pick(room, request):
                return Place(room.node.name, gpus)
    return Place(fitting[0].node.name) if fitting and not wants.gpu else None


def fewest(names: Iterable[str], containers: Mapping[str, Collection[object]]) -> str | None:
    """Return the node with the fewest containers of a function, of equals the first; None if there is no node.

    Args:
        names: the nodes with room, the one preferred first.
        containers: the function's, by node.
    """
    return min(names, key=lambda name: len(containers.get(name, ())), default=None)


def pick(room: NodeRoom, request: GpuRequest) -> tuple[str, ...]:
    """Return free GPUs of a node as requested; none if there are not as many."""
    matching = [
        gpu.uuid for gpu in room.node.gpus if gpu.uuid not in room.gpus_used and gpu_matches(gpu.kind, request.kind)
    ]
    return tuple(matching[: request.count]) if len(matching) >= request.count else ()


# ---------------------------------------------------------------- which container leaves


class Leaver(Struct, frozen=True):
    """A container that may leave, and what is on its node."""

    container_id: str
    beside: int  #: containers of its function on its node, itself included
    on_node: int  #: containers of all functions there
    wastes_gpus: bool  #: the node has GPUs, and it needs none


def first_to_leave(leavers: Sequence[Leaver], *, placement: Placement, nodes: int, floor: int) -> Leaver | None:
    """Return who leaves first; None if all of them must stay so that the function's floor is spread.

    Args:
        leavers: who may leave, the one idle for longest first.
        placement: of the function.
        nodes: on which the function has containers.
        floor: its `min_containers`.
    """
    may_leave = leavers if nodes > floor or floor < 2 else [each for each in leavers if each.beside > 1]
    if placement is Placement.SPREAD:
        return min(may_leave, key=lambda each: -each.beside, default=None)
    return min(may_leave, key=lambda each: (not each.wastes_gpus, each.on_node), default=None)


# ---------------------------------------------------------------- what fits nowhere


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


def gpu_matches(kind: str, asked: str) -> bool:
    """Return whether a GPU of some kind is one that was asked for."""
    wanted = asked.upper().rstrip("!")
    return wanted == "ANY" or kind.upper() == wanted


def _describe(rooms: Sequence[NodeRoom]) -> str:
    kinds: dict[str, int] = {}
    for room in rooms:
        for gpu in room.node.gpus:
            kinds[gpu.kind] = kinds.get(gpu.kind, 0) + 1
    if not kinds:
        return "are no GPUs"
    return "is " + ", ".join(f"{kind}:{count}" for kind, count in sorted(kinds.items()))
