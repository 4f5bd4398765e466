"""A cluster that gives and takes nodes: it is told what fits on none, and gets back those that are of no use.

    pool ── blocked for want of room ──▶ demand ── at most so often ──▶ WantRoom ──▶ nodes come
    node ── empty for so long ─────────▶ drains, so that nothing is placed there ──▶ ReleaseNode ──▶ it goes

Whoever gives nodes decides how many of which kind hold what is wanted. This module must not know them, or why a pool is
blocked.
"""

from __future__ import annotations

from math import inf

from swell.engine.events import ReleaseNode, WantRoom
from swell.engine.state.engine_state import EngineState

__all__ = ["Elastic"]

TELL_EVERY_S = 0.25  #: demand changes with each container that starts; a node takes seconds


class Elastic:
    """Tells demand, and gives nodes back."""

    def __init__(self, state: EngineState) -> None:
        settings = state.settings
        self._state = state
        self._tell_due = 0.0
        self._idle_s = settings.ray_agent_idle_s
        self._least = settings.ray_agents_min
        #: Nodes come when they are wanted, and go when they are not. One backend alone can do that.
        self.is_on = settings.backend == "ray"

    @property
    def due_at(self) -> float:
        """When there is something to do; infinity if nothing is."""
        if not self.is_on:
            return inf
        nodes, demand = self._state.nodes, self._state.demand
        idle_at = nodes.idle.next_at if self._spare > 0 else inf
        return min(idle_at, self._tell_due if demand.has_changed else inf)

    def settle(self, now: float) -> None:
        """Do what is due, after whatever has happened."""
        state = self._state
        state.nodes.note_idle(now + self._idle_s)
        if state.demand.has_changed and now >= self._tell_due:
            self._tell_due = now + TELL_EVERY_S
            state.emit(WantRoom(state.demand.tell()))
        if self._spare > 0:
            for name in state.nodes.idle.take_due(now, self._spare):
                state.nodes.drain(name, inf, inf)
                state.emit(ReleaseNode(name))

    @property
    def _spare(self) -> int:
        """How many nodes in service there are beyond those that are kept."""
        nodes = self._state.nodes
        return len(nodes.by_name) - len(nodes.draining) - self._least
