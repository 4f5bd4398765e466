"""Which node the next container of a pool goes to, or why none has room.

    pack    the fullest with room: nodes without GPUs before those with, nodes at leisure before those at work
    spread  the one with the fewest containers of the pool, then the emptiest; so are the first `min_containers` of
            any pool, of which each goes to the fullest of the nodes with the fewest

A node is found in the order in which `state.cluster` keeps them, so that it costs no more where there are more. This
module must not know when a node may start a container, or plans.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice

from swell.engine.state.engine_state import EngineState
from swell.engine.state.node import Readiness
from swell.engine.state.pool import Pool
from swell.engine.state.room_index import RoomIndex
from swell.model import Placement, Resources
from swell.policy.placement import LOOKS_MAX, Place, fewest, pick

__all__ = ["Placing"]

NAMES_MAX = 3  #: of nodes in one message

_NOW, _SOON, _LATER = Readiness.NOW, Readiness.SOON, Readiness.LATER
_ANY, _AT_LEISURE, _AT_WORK = (_NOW, _SOON, _LATER), (_NOW, _SOON), (_LATER,)
#: Where a container is packed: nodes with GPUs come last, unless the others are at work. What containers ask for says
#: little of what they use: a node that is at work would hold up all the others. Nor does a start wait for the burst of
#: a fuller node: what is more than one node can start at once is started on several.
_PACKED = ((False, _NOW), (False, _SOON), (True, _NOW), (True, _SOON), (False, _LATER), (True, _LATER))


class Placing:
    """Finds places for containers."""

    def __init__(self, state: EngineState) -> None:
        self._state = state

    def find_place(self, pool: Pool) -> Place | None:
        """Return the place for one more container of a pool, or None while every node in service is full."""
        if pool.spec.resources.gpu:
            is_spread = pool.spec.placement is Placement.SPREAD or self._is_below_floor(pool)
            return self._place_with_gpus(pool, apart=is_spread)
        is_choice = len(self._state.nodes.by_name) > 1
        if is_choice and self._is_below_floor(pool):
            return self._place_apart(pool, _ANY)
        if is_choice and pool.spec.placement is Placement.SPREAD:
            return self._place_apart(pool, _AT_LEISURE) or self._place_apart(pool, _AT_WORK)
        for kind in _PACKED:
            name = next(self._rooms(pool, kind), None)
            if name is not None:
                return Place(name)
        return None

    def find_apart(self, pool: Pool) -> Place | None:
        """Return a place on a node where a pool has no container; None if there is none with room."""
        wants_gpus = bool(pool.spec.resources.gpu)
        place = self._place_with_gpus(pool, apart=True) if wants_gpus else self._place_apart(pool, _ANY)
        return None if place is None or place.node in pool.fleet.by_node else place

    def _place_apart(self, pool: Pool, readiness: Sequence[Readiness]) -> Place | None:
        """Return a place on the node with the fewest containers of a pool.

        One with GPUs only if there is room on no other, or if all containers would be on one.
        """
        by_node = pool.fleet.by_node
        found: list[str] = []
        for has_gpus in (False, True):
            rooms = (islice(self._rooms(pool, (has_gpus, each)), LOOKS_MAX) for each in readiness)
            name = fewest(chain.from_iterable(rooms), by_node)
            if name is not None:
                found.append(name)
                if by_node.keys() != {name}:
                    return Place(name)
        return Place(found[0]) if found else None

    def _place_with_gpus(self, pool: Pool, *, apart: bool) -> Place | None:
        """Return a place with the GPUs that a pool asks for; the first entry that fits anywhere wins."""
        nodes, wants = self._state.nodes, pool.spec.resources
        for request in wants.gpu:
            free = self._in_order(pool, nodes.with_free_gpus)
            having = ((name, gpus) for name in free if (gpus := pick(nodes[name].room, request)))
            if apart:
                found = dict(islice(having, LOOKS_MAX))
                name = fewest(found, pool.fleet.by_node)
                if name is not None:
                    return Place(name, found[name])
            elif (first := next(having, None)) is not None:
                return Place(*first)
        return None

    def _rooms(self, pool: Pool, kind: tuple[bool, Readiness]) -> Iterator[str]:
        return self._in_order(pool, self._state.nodes.rooms[kind])

    @staticmethod
    def _in_order(pool: Pool, index: RoomIndex) -> Iterator[str]:
        """Iterate over the nodes of an index that have room for a container, the one preferred first."""
        wants, is_spread = pool.spec.resources, pool.spec.placement is Placement.SPREAD
        order = index.emptiest_first if is_spread else index.fullest_first
        return order(wants.cpu, wants.memory_bytes)

    def _is_below_floor(self, pool: Pool) -> bool:
        """Tell whether the next container of a pool is one of its first `min_containers`, on nodes in service."""
        floor, fleet = pool.settings.min_containers or 0, pool.fleet
        if not floor:
            return False
        if pool.is_rolling:
            return len(fleet.starting) + len(fleet.standby) < floor
        moving = sum(len(fleet.by_node[name]) for name in self._state.nodes.draining_of(fleet))
        return fleet.live - moving < floor

    def why_full(self, wants: Resources) -> str:
        """Return why no node has room for a container that wants so much, in words."""
        nodes = self._state.nodes
        told = [f"node {node.name} was refused: {node.reason}" for node in nodes.refused[:NAMES_MAX]]
        if len(nodes.refused) > NAMES_MAX:
            told.append(f"{len(nodes.refused) - NAMES_MAX} more were refused")
        if nodes.trouble:
            told.append(nodes.trouble)
        return "; ".join([nodes.why_never(wants) or self._why_these_full(), *told])

    def _why_these_full(self) -> str:
        nodes = self._state.nodes
        if not nodes.draining:
            return "the nodes are full" if nodes else "no node is known yet"
        names = ", ".join([*islice(nodes.draining, NAMES_MAX), *(["…"] if len(nodes.draining) > NAMES_MAX else [])])
        if len(nodes.draining) == len(nodes.by_name):
            return f"all nodes drain ({names}), and get no more containers"
        return f"the nodes are full, but for those that drain ({names})"
