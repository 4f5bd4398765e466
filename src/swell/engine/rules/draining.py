"""Nodes that are taken out of service: nothing new is placed there, and their containers are replaced elsewhere first.

    DrainNode ──▶ each pool with containers there is looked at:
                    a start there is given up, and begins elsewhere
                    as many as are needed start elsewhere; as these are ready, those on the node leave
                    for which there is no room anywhere else: they leave, and their work waits
    deadline  ──▶ what is left some seconds before it is interrupted, and runs again elsewhere

While its replacement starts, a container on the node takes inputs as before, so that no floor is undercut. A container
that leaves finishes what it runs, for which it has all the time of its function unless there is a deadline. This module
must not know why a node is taken out of service.
"""

from __future__ import annotations

from math import inf

from swell.engine.events import NodeDrains
from swell.engine.rules.containers import Containers
from swell.engine.state.engine_state import EngineState
from swell.engine.state.node import KnownNode
from swell.engine.state.pool import Pool
from swell.errors import NotFoundError, to_wire
from swell.wire.messages import Done, Failed
from swell.wire.queries import DrainNode, ResumeNode

__all__ = ["Draining"]

EVICT_BEFORE_S = 5.0  #: so long before the machine is gone, what still runs there is interrupted


class Draining:
    """Has containers leave nodes that drain."""

    def __init__(self, state: EngineState, containers: Containers) -> None:
        self._state = state
        self._containers = containers

    # ------------------------------------------------------------ requests

    def drain(self, client: int, message: DrainNode, now: float) -> None:
        """Take a node out of service, or change its deadline."""
        known = self._find(client, message)
        if known is not None:
            self._begin(known, message.deadline_s, now)
            self._state.send_to_client(client, Done(message.request))

    def told(self, event: NodeDrains, now: float) -> None:
        """Take a node out of service that will be taken away."""
        known = self._state.nodes.by_name.get(event.node)
        if known is not None:  # or it was faster
            self._begin(known, event.deadline_s, now)

    def _begin(self, known: KnownNode, deadline_s: float | None, now: float) -> None:
        state = self._state
        until = inf if deadline_s is None else now + deadline_s
        state.nodes.drain(known.node.name, until, max(now, until - EVICT_BEFORE_S))
        for container in known.containers.values():  # of one node, and for each no more than a note
            state.agenda.put_off(container.pool)

    def resume(self, client: int, message: ResumeNode) -> None:
        """Take a node into service again; containers that were told to leave it do so."""
        state = self._state
        known = self._find(client, message)
        if known is None:
            return
        if known.is_draining:
            state.nodes.resume(message.node)
            state.room_came()
            state.node_came()
        state.send_to_client(client, Done(message.request))

    def _find(self, client: int, message: DrainNode | ResumeNode) -> KnownNode | None:
        """Return the node that a request names; refuse the request if there is none."""
        nodes = self._state.nodes.by_name
        known = nodes.get(message.node)
        if known is None:
            others = f"there are {', '.join(nodes)}" if nodes else "there are none yet"
            error = NotFoundError(f"there is no node {message.node!r:.200}; {others}")
            self._state.send_to_client(client, Failed(message.request, *to_wire(error)))
        return known

    # ------------------------------------------------------------ a pool with containers on such nodes

    def give_up_starts(self, pool: Pool, now: float) -> bool:
        """Give up the starts of a pool on nodes that drain: they begin elsewhere. False if some are left for a tick."""
        state = self._state
        for name in state.nodes.draining_of(pool.fleet):
            if not state.nodes[name].starting:
                continue
            for container in [each for each in pool.fleet.by_node[name].values() if each.is_starting]:
                if state.agenda.is_spent:
                    state.agenda.put_off(pool)
                    return False
                self._containers.drain(container, now)
        return True

    def count(self, pool: Pool) -> int:
        """Return how many containers of a pool are on nodes that drain, and have not been told to leave."""
        return sum(len(pool.fleet.by_node[name]) for name in self._state.nodes.draining_of(pool.fleet))

    def let_go(self, pool: Pool, many: int, now: float) -> None:
        """Have so many containers of a pool leave the nodes that drain."""
        agenda = self._state.agenda
        for name in self._state.nodes.draining_of(pool.fleet):
            while many > 0 and (there := pool.fleet.by_node.get(name)):
                if agenda.is_spent:
                    agenda.put_off(pool)
                    return
                self._containers.drain(next(iter(there.values())), now)
                many -= 1

    # ------------------------------------------------------------ deadlines

    @property
    def evict_at(self) -> float:
        """When containers are to be interrupted next because their machine will be gone; infinity if none are."""
        return self._state.nodes.evictions.next_at

    def evict(self, now: float) -> None:
        """Interrupt what is left on nodes of which the machine is gone soon; if it is much, the rest in ticks."""
        state = self._state
        for known in state.nodes.take_evictions(now):
            reason = f"the machine of node {known.node.name} is taken away"
            for container in [each for each in known.containers.values() if not each.is_cut_short]:
                if state.agenda.is_spent:
                    state.nodes.evict_later(known.node.name, now)
                    break
                if container.is_starting:
                    self._containers.drain(container, now)
                else:
                    self._containers.interrupt(container, reason, now, within_s=max(0.0, known.drain_until - now))
