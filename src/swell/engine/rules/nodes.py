"""Nodes: when they are observed, and whether a node can take one more container at this moment.

The backend is asked to observe the nodes only while a pool waits for the answer, and ever more seldom while nothing is
started in between. This module must not know plans, or how a container is started.
"""

from __future__ import annotations

from math import inf

from swell.engine.events import NodesObserved, PollNodes
from swell.engine.state.engine_state import EngineState
from swell.engine.state.node import KnownNode
from swell.engine.state.pool import Pool
from swell.policy import pace

__all__ = ["Nodes"]


class Nodes:
    """Keeps what is known of the nodes, and polls them."""

    def __init__(self, state: EngineState) -> None:
        self._state = state
        self._poll_due = 0.0
        self._poll_wanted = False
        self._poll_every_s = pace.POLL_EVERY_S
        self._nothing_started = False  # since the nodes were observed

    # ------------------------------------------------------------ observing them

    def observed(self, event: NodesObserved, now: float) -> None:
        """Take in what the backend has observed, and reconsider the pools that are blocked."""
        self._state.observe_nodes(event.nodes)
        self._poll_wanted = False
        self._poll_every_s = pace.next_poll(self._poll_every_s, nothing_started=self._nothing_started)
        self._nothing_started = True
        self._poll_due = now + self._poll_every_s
        self._state.mark_blocked_dirty()

    def want_poll(self, now: float) -> None:
        """Have the nodes observed when the next poll is due, because a pool waits for it."""
        if not self._poll_wanted:
            self._poll_wanted = True
            self._poll_due = max(self._poll_due, now)

    @property
    def poll_at(self) -> float:
        """When the nodes should be observed again; infinity if no pool waits for it."""
        return self._poll_due if self._poll_wanted else inf

    def poll(self, now: float) -> None:
        """Ask the backend to observe the nodes if it is time."""
        if now >= self.poll_at:
            self._poll_due = now + self._poll_every_s
            self._state.emit(PollNodes())

    # ------------------------------------------------------------ starting containers on them

    def note_start(self) -> None:
        """Note that a container was started: observing the nodes is of use again."""
        self._nothing_started = False

    def why_not_now(self, pool: Pool, known: KnownNode, now: float, *, is_demand: bool) -> str:
        """Return why a node should not start one more container of a pool at this moment; "" if it may.

        Args:
            pool: the container's.
            known: the node.
            now: the time.
            is_demand: inputs ask for it; otherwise it is a pool's first, belongs to a floor, or replaces another.
        """
        if is_demand:
            return self._too_busy(known) or _too_early(pool, known, now)
        return self._too_many_starting(known)

    @staticmethod
    def _too_busy(known: KnownNode) -> str:
        if known.begin_pace().left:
            return ""
        if _is_saturated(known):
            busy, cores = known.busy_cores, known.node.cpu
            return f"containers keep {busy:.1f} of {cores:g} cores busy; more would share the same cores"
        return "containers are started in growing bursts"

    def _too_many_starting(self, known: KnownNode) -> str:
        starting = sum(
            container.is_starting and container.place.node == known.node.name
            for container in self._state.containers.values()
        )
        most = pace.starting_max(known.node.cpu)
        if starting >= most and _is_saturated(known):
            busy, cores = known.busy_cores, known.node.cpu
            return f"{starting} containers are starting and keep {busy:.1f} of {cores:g} cores busy"
        if starting >= most * 4:
            return f"{starting} containers are starting"
        return ""


def _too_early(pool: Pool, known: KnownNode, now: float) -> str:
    """Return why to wait for a pool's first containers: it is not known yet how long starts and inputs take."""
    if pool.estimates.start_s is not None:
        return ""
    starting = [each.requested_at for each in pool.fleet.containers.values() if each.is_starting]
    if len(starting) < pace.first_burst(known.node.cpu) or now > min(starting) + pace.FIRST_PATIENCE_S:
        return ""
    return "waiting to see how long the first containers take to start"


def _is_saturated(known: KnownNode) -> bool:
    return pace.saturated(known.busy_cores, known.node.cpu)
