"""The nodes there are, with the room that each offers, and those that vanished with containers on them.

A start must not cost more because there are more nodes, so those in service are kept in the order of what is free on
them, apart by whether they have GPUs, and by how soon they could start a container. This module must not know which
node a container should go to, or when.
"""

from __future__ import annotations

from collections.abc import Iterable, ValuesView
from math import inf
from typing import TYPE_CHECKING

from swell.config import Settings
from swell.engine.events import NodeView
from swell.engine.state.deadlines import Deadlines
from swell.engine.state.node import KnownNode, Readiness
from swell.engine.state.room_index import RoomIndex
from swell.model import Lack, RefusedNode, Resources
from swell.policy.placement import never_fits
from swell.policy.slices import Shape, slices_for
from swell.slices import parse_slices

if TYPE_CHECKING:
    from swell.engine.state.container import Container
    from swell.engine.state.fleet import Fleet

__all__ = ["Cluster"]

NEVER_MAX = 1_000  #: different resources of which it is kept whether they fit at all


class Cluster:
    """Known nodes by name, and the rooms that those in service offer.

    A node that is not observed any more has vanished. As long as containers of it are not gone, it is remembered: it
    may be back before they are, and what they have is not free then.
    """

    __slots__ = (
        "_never",
        "_of_node",
        "_offers",
        "_settings",
        "are_awaited",
        "by_name",
        "draining",
        "emptied",
        "evictions",
        "idle",
        "refused",
        "rooms",
        "trouble",
        "vanished",
        "with_free_gpus",
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._never: dict[Resources, str] = {}  # what `why_never` has said of these nodes
        #: What nodes offer that are given when they are wanted; of any size, if none; None: no others come.
        self._offers = _offers(settings) if settings.backend == "ray" else None
        self.by_name: dict[str, KnownNode] = {}
        self.are_awaited = False  #: others are on their way, of which it is not known yet what they have
        self.vanished: dict[str, KnownNode] = {}  #: not observed any more, and containers of it are not gone
        self.draining: dict[str, KnownNode] = {}  #: those that are to have no containers
        self.refused: tuple[RefusedNode, ...] = ()  #: machines that are there and get no containers
        self.trouble = ""  #: why there are fewer than there should be
        self.evictions = Deadlines()  #: when what is left on these is interrupted, if there is a deadline
        self.emptied: set[str] = set()  #: those in service that have become empty, and are not in `idle` yet
        self.idle = Deadlines()  #: those in service that are empty, and when they have been for long
        #: Those in service, by whether they have GPUs, and by how soon they could start a container.
        self.rooms = {(has_gpus, each): RoomIndex() for has_gpus in (False, True) for each in Readiness}
        self._of_node: dict[str, RoomIndex] = {}  # which of these a node is in
        self.with_free_gpus = RoomIndex()  #: those in service with a GPU that is free

    def __bool__(self) -> bool:
        return bool(self.by_name)

    def __getitem__(self, name: str) -> KnownNode:
        return self.by_name[name]

    def values(self) -> ValuesView[KnownNode]:
        """Return the nodes that are there."""
        return self.by_name.values()

    # ------------------------------------------------------------ room on them

    def why_never(self, wants: Resources) -> str:
        """Return why even empty nodes, or those that could be had, could not hold a container; "" if one could.

        Nothing is impossible while nodes are awaited.
        """
        return "" if self.are_awaited else self._why_not_these(wants)

    def could_hold(self, wants: Resources) -> bool:
        """Tell whether an empty node that is known, or that could be had, could hold a container."""
        return (bool(self.by_name) or self._offers is not None) and not self._why_not_these(wants)

    def _why_not_these(self, wants: Resources) -> str:
        why = self._never.get(wants)
        if why is None:
            if len(self._never) >= NEVER_MAX:
                self._never.clear()
            why = never_fits([known.room for known in self.by_name.values()], wants)
            if why and self._offers is not None:
                fits_offer = not self._offers or any(slices_for([Lack(wants, 1)], self._offers))
                why = "" if fits_offer else f"no slice of ray_slices holds it, and {why}"
            self._never[wants] = why
        return why

    def crowd(self, container: Container) -> int:
        """Return how many containers are on the node of a container."""
        return len(self._of(container).containers)

    def has_gpus(self, container: Container) -> bool:
        """Tell whether the node of a container has GPUs."""
        return bool(self._of(container).node.gpus)

    def _rank(self, known: KnownNode) -> None:
        if known.is_draining:
            return
        name, room = known.node.name, known.room
        cores, memory = room.cpu_capacity - room.cpu_used, room.memory_capacity - room.memory_used
        index = self.rooms[bool(known.node.gpus), known.readiness]
        former = self._of_node.get(name)
        if former is not None and former is not index:
            former.remove(name)
        self._of_node[name] = index
        index.put(name, cores, memory)
        if known.has_free_gpu:
            self.with_free_gpus.put(name, cores, memory)
        else:
            self.with_free_gpus.remove(name)

    def note_idle(self, until: float) -> None:
        """Note when those that have become empty meanwhile will have been so for long."""
        while self.emptied:
            self.idle.note(self.emptied.pop(), until)

    def _note_emptiness(self, known: KnownNode) -> None:
        """Note whether a node that has changed is in service, and empty."""
        name = known.node.name
        if known.containers or known.is_draining or name not in self.by_name:
            self.emptied.discard(name)
            self.idle.forget(name)
        elif name not in self.idle:
            self.emptied.add(name)

    def _unrank(self, name: str) -> None:
        index = self._of_node.pop(name, None)
        if index is not None:
            index.remove(name)
        self.with_free_gpus.remove(name)

    # ------------------------------------------------------------ those that are taken out of service

    def drain(self, name: str, until: float, evict_at: float) -> None:
        """Take a node out of service.

        Args:
            name: of the node.
            until: when the machine is gone; infinity if that is not known.
            evict_at: when the containers are interrupted that are left on it by then; infinity: never.
        """
        known = self.draining[name] = self.by_name[name]
        known.begin_drain(until)
        self._unrank(name)
        self._note_emptiness(known)
        self.evictions.forget(name)
        if evict_at < inf:
            self.evictions.note(name, evict_at)

    def resume(self, name: str) -> None:
        """Take a node into service again."""
        known = self.draining.pop(name)
        known.end_drain()
        self.evictions.forget(name)
        self._rank(known)
        self._note_emptiness(known)

    @property
    def has_service(self) -> bool:
        """True if there is a node that does not drain."""
        return len(self.draining) < len(self.by_name)

    def draining_of(self, fleet: Fleet) -> list[str]:
        """Return the nodes that drain on which a fleet has containers that were not told to leave."""
        return sorted(self.draining.keys() & fleet.by_node.keys()) if self.draining else []

    def take_evictions(self, now: float) -> list[KnownNode]:
        """Return the nodes of which all containers are to be interrupted now."""
        return [self.draining[name] for name in self.evictions.take_due(now, len(self.draining))]

    def evict_later(self, name: str, at: float) -> None:
        """Have the other containers of a node interrupted later: they are too many for one event."""
        self.evictions.note(name, at)

    # ------------------------------------------------------------ observing them

    def observe(self, views: Iterable[NodeView], now: float) -> bool:
        """Replace what is known of the nodes; True if there may be room that was not there before."""
        has_more = False
        seen = {view.node.name: view for view in views}
        for name in [name for name in self.by_name if name not in seen]:
            self._lose(name)
        for name, view in seen.items():
            known = self.by_name.get(name)
            if known is None:
                has_more = True
                known = self.by_name[name] = self.vanished.pop(name, None) or KnownNode(view.node, self._settings)
                self._never.clear()
            elif known.node is not view.node and known.node != view.node:
                has_more = True
                self._never.clear()
            known.observe(view, now)
            self._rank(known)
            self._note_emptiness(known)
        return has_more

    def explain(self, refused: Iterable[RefusedNode], trouble: str, *, are_awaited: bool) -> bool:
        """Replace what is known of why there are no more nodes; True if it is something else than before."""
        former = self.refused, self.trouble, self.are_awaited
        self.refused, self.trouble, self.are_awaited = tuple(refused), trouble, are_awaited
        return (self.refused, self.trouble, self.are_awaited) != former

    def _lose(self, name: str) -> None:
        known = self.by_name.pop(name)
        self._never.clear()
        self._unrank(name)
        self.draining.pop(name, None)
        self.evictions.forget(name)
        known.vanish()
        self._note_emptiness(known)
        if known.containers:
            self.vanished[name] = known

    # ------------------------------------------------------------ containers on them

    def occupy(self, container: Container) -> None:
        """Take the resources of a container that is requested from its node."""
        known = self.by_name[container.place.node]
        known.occupy(container)
        self._rank(known)
        self._note_emptiness(known)

    def check_in(self, container: Container) -> None:
        """Note that a container is ready."""
        self._of(container).check_in()

    def release(self, container: Container) -> None:
        """Give the resources of a container that is gone back to its node."""
        known = self._of(container)
        known.release(container)
        name = known.node.name
        if name in self.by_name:
            self._rank(known)
            self._note_emptiness(known)
        elif not known.containers:
            del self.vanished[name]

    def _of(self, container: Container) -> KnownNode:
        name = container.place.node
        return self.by_name.get(name) or self.vanished[name]


def _offers(settings: Settings) -> list[Shape]:
    """Return what the nodes offer that a cluster gives."""
    return [
        Shape.of(
            Shape(each.cpu, each.memory_bytes or _MEMORY_MAX, each.gpus),
            cpu_overcommit=settings.cpu_overcommit,
            memory_overcommit=settings.memory_overcommit,
        )
        for each in parse_slices(settings.ray_slices)
    ]


_MEMORY_MAX = 1 << 60  # of a slice that has that of its machine, which is not known
