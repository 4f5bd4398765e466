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
from swell.engine.state.timers import Timer
from swell.policy import pace

__all__ = ["Nodes"]

FLOOR_STARTS = 4  #: so many times more containers of floors may be starting while that leaves the cores idle


class Nodes:
    """Keeps what is known of the nodes, and polls them."""

    def __init__(self, state: EngineState) -> None:
        self._state = state
        self._poll_due = 0.0
        self._poll_wanted = False
        self._poll_every_s = pace.POLL_EVERY_S
        self._observed_at = -inf
        self._has_started = False  # a container, since the nodes were observed

    # ------------------------------------------------------------ observing them

    def observed(self, event: NodesObserved, now: float) -> None:
        """Take in what the backend has observed, and reconsider the pools that are blocked."""
        state = self._state
        state.observe_nodes(event.nodes, now)
        self._poll_wanted = False
        changes = self._has_started or any(known.unjudged for known in state.nodes.values())
        containers = len(state.containers)
        self._poll_every_s = pace.next_poll(self._poll_every_s, containers=containers, nothing_changed=not changes)
        self._has_started = False
        self._poll_due = now + self._poll_every_s
        self._observed_at = now
        state.mark_blocked_dirty()

    @property
    def poll_at(self) -> float:
        """When the nodes should be observed again; infinity if no pool waits for it."""
        return self._poll_due if self._poll_wanted else inf

    def poll(self, now: float) -> None:
        """Ask the backend to observe the nodes if it is time."""
        if now >= self.poll_at:
            self._poll_due = now + self._poll_every_s
            self._state.emit(PollNodes())

    def _want_poll(self, known: KnownNode, now: float) -> None:
        """Have the nodes observed when the next poll is due, because a pool waits for one of them.

        If containers of that have checked in meanwhile, it is due soon.
        """
        if not self._poll_wanted:
            self._poll_wanted = True
            self._poll_due = max(self._poll_due, now)
        if known.fresh:
            soonest = self._observed_at + pace.next_poll(
                0.0, containers=len(self._state.containers), nothing_changed=False
            )
            self._poll_due = min(self._poll_due, max(soonest, now))

    # ------------------------------------------------------------ starting containers on them

    def note_start(self) -> None:
        """Note that a container was started: observing the nodes is of use again."""
        self._has_started = True

    def why_not_now(self, pool: Pool, known: KnownNode, now: float, *, is_demand: bool) -> str:
        """Return why a node should not start one more container of a pool at this moment; "" if it may.

        Args:
            pool: the container's.
            known: the node.
            now: the time.
            is_demand: inputs ask for it; otherwise it is a pool's first, belongs to a floor, or replaces another.
        """
        early = _too_early(pool, known, now) if is_demand else ""
        if early:
            return early
        reason = _too_busy(known, now) if is_demand else _too_many_starting(known, FLOOR_STARTS)
        if reason:
            self._want_poll(known, now)
        return reason


def _too_busy(known: KnownNode, now: float) -> str:
    if known.is_working:
        busy, cores = known.working_cores, known.node.cpu
        return f"containers keep {busy:.1f} of {cores:g} cores busy; more would share the same cores"
    if known.unproven >= known.burst(now):
        known.use_up_burst(now)
        return "containers are started in growing bursts"
    return _too_many_starting(known, inf)


def _too_many_starting(known: KnownNode, idle_factor: float) -> str:
    """Return why no more may be starting; `idle_factor` times as many may be while that leaves the cores idle."""
    most = pace.starting_max(known.node.cpu)
    if known.is_busy and known.starting >= most:
        busy, cores = known.busy_cores, known.node.cpu
        return f"{known.starting} containers are starting and keep {busy:.1f} of {cores:g} cores busy"
    if known.starting >= most * idle_factor:
        return f"{known.starting} containers are starting"
    return ""


def _too_early(pool: Pool, known: KnownNode, now: float) -> str:
    """Return why to wait for a pool's first containers: it is not known yet how long starts and inputs take."""
    if pool.estimates.start_s is not None:
        return ""
    starting = pool.fleet.starting
    if len(starting) < pace.first_burst(known.node.cpu):
        return ""
    patient_until = next(iter(starting.values())).requested_at + pace.FIRST_PATIENCE_S
    if now >= patient_until:
        return ""
    pool.timers.arm(Timer.GROW, patient_until)
    return "waiting to see how long the first containers take to start"
