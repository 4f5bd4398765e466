"""Nodes: when they are observed, and whether a node can take one more container at this moment.

The backend is asked to observe the nodes only while a blocked pool waits for the answer, and ever more seldom while
nothing is started in between. This module must not know plans, or how a container is started.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from msgspec.structs import replace

from swell.engine.events import NodesObserved, PollNodes
from swell.engine.state.engine_state import EngineState
from swell.engine.state.node import KnownNode
from swell.engine.state.pool import Pool
from swell.engine.state.timers import Timer
from swell.model import Resources
from swell.policy import pace
from swell.states import ContainerState

__all__ = ["Nodes", "Wait"]

FLOOR_STARTS = 4  #: so many times more containers of floors may be starting while that leaves the cores idle
POOLS_MAX = 16  #: blocked ones of each kind that are looked at each time that the nodes are observed


class Wait(NamedTuple):
    """Why a container cannot be started now."""

    reason: str  #: in words, for users
    is_paced: bool = True  #: it ends only when the nodes are observed
    is_brief: bool = False  #: it ends soon, most likely
    lacks: Resources | None = None  #: it would end if there were another node that holds so much; None: it would not


class Nodes:
    """Keeps what is known of the nodes, and polls them."""

    def __init__(self, state: EngineState) -> None:
        self._state = state
        self._poll_due = 0.0
        self._poll_every_s = pace.POLL_EVERY_S
        self._observed_at = -inf
        self._has_started = False  # a container, since the nodes were observed

    # ------------------------------------------------------------ observing them

    def observed(self, event: NodesObserved, now: float) -> None:
        """Take in what the backend has observed, and reconsider pools that are blocked."""
        state = self._state
        has_more = state.nodes.observe(event.nodes, now)
        if state.nodes.explain(event.refused, event.trouble, are_awaited=event.are_awaited) or has_more:
            # A node may be of use to a pool that is not among the first, and all tell why there are no others.
            state.blocked.note_room()
        if has_more:
            state.node_came()
        changes = has_more or self._has_started or any(known.unjudged for known in state.nodes.values())
        containers = len(state.containers)
        self._poll_every_s = pace.next_poll(self._poll_every_s, containers=containers, nothing_changed=not changes)
        self._has_started = False
        self._poll_due = now + self._poll_every_s
        self._observed_at = now
        most = min(POOLS_MAX, state.agenda.sweep_max)
        state.mark_all_dirty(state.blocked.nodes_observed(most))

    @property
    def poll_at(self) -> float:
        """When the nodes should be observed again; infinity if no pool waits for it."""
        return self._poll_due if self._state.blocked.wants_look else inf

    def poll(self, now: float) -> None:
        """Ask the backend to observe the nodes if it is time."""
        if now >= self.poll_at:
            self._poll_due = now + self._poll_every_s
            self._state.emit(PollNodes())

    def _look_soon(self, known: KnownNode, now: float) -> None:
        """Have the nodes observed soon if containers of a node for which a pool waits have checked in meanwhile."""
        if known.fresh:
            interval_s = pace.next_poll(0.0, containers=len(self._state.containers), nothing_changed=False)
            self._poll_due = min(self._poll_due, max(self._observed_at + interval_s, now))

    # ------------------------------------------------------------ starting containers on them

    def note_start(self) -> None:
        """Note that a container was started: observing the nodes is of use again."""
        self._has_started = True

    def why_not_now(self, pool: Pool, known: KnownNode, now: float, *, is_demand: bool) -> Wait | None:
        """Return why a node should not start one more container of a pool at this moment; None if it may.

        Args:
            pool: the container's.
            known: the node.
            now: the time.
            is_demand: inputs ask for it; otherwise it is a pool's first, belongs to a floor, or replaces another.
        """
        wait = _too_early(pool, known, now) if is_demand else None
        if wait is not None:
            return wait
        wait = _too_busy(pool, known, now) if is_demand else _too_many_starting(pool, known, FLOOR_STARTS)
        if wait is not None:
            self._look_soon(known, now)
        return wait


def _too_busy(pool: Pool, known: KnownNode, now: float) -> Wait | None:
    if known.is_working:
        busy, cores = known.working_cores, known.node.cpu
        reason = f"containers keep {busy:.1f} of {cores:g} cores busy; more would share the same cores"
        return Wait(reason, lacks=_with_core(pool.spec.resources, known))
    if known.unproven >= known.burst(now):
        known.use_up_burst(now)
        return Wait("containers are started in growing bursts", is_brief=True)
    return _too_many_starting(pool, known, inf)


def _with_core(wants: Resources, known: KnownNode) -> Resources:
    """Return what a container takes that works, whatever it asks for: a core."""
    return replace(wants, cpu=max(wants.cpu, known.room.cpu_capacity / known.node.cpu))


def _too_many_starting(pool: Pool, known: KnownNode, idle_factor: float) -> Wait | None:
    """Return why no more may be starting; `idle_factor` times as many may be while that leaves the cores idle."""
    starting, cores = known.starting, known.node.cpu
    if known.is_busy and starting >= pace.starting_max(cores, pool.estimates.start_s):
        return Wait(f"{starting} containers are starting and keep {known.busy_cores:.1f} of {cores:g} cores busy")
    if starting >= pace.starting_max(cores) * idle_factor:
        return Wait(f"{starting} containers are starting")
    return None


def _too_early(pool: Pool, known: KnownNode, now: float) -> Wait | None:
    """Return why to wait for a pool's first containers: it is not known yet how long starts and inputs take."""
    first = pool.fleet.first_starting
    if pool.estimates.start_s is not None or first is None:
        return None
    until = first.requested_at + pace.FIRST_PATIENCE_S
    if first.state is ContainerState.REQUESTED:  # it has no process yet, of which anything could be seen
        until = max(until, now + pace.FIRST_PATIENCE_S / 10)
    if len(pool.fleet.starting) < pace.first_burst(known.node.cpu) or now >= until:
        return None
    pool.timers.arm(Timer.GROW, until)
    return Wait("waiting to see how long the first containers take to start", is_paced=False)
