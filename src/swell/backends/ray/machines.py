"""The machines of a Ray cluster as they were told last, and which of them go away.

A machine that Ray does not count as alive any more goes away as well: its slices will be given to others, should it
come back, and its agents have nobody to account for them, although their links may live. This module must not know
agents.
"""

from __future__ import annotations

from swell.backends.ray.messages import RayNode

__all__ = ["Machines"]


class Machines:
    """What is known of the machines."""

    def __init__(self) -> None:
        self.alive: tuple[RayNode, ...] = ()
        self._leaving: dict[str, float] = {}  # when, in seconds since the epoch; 0: nobody has said

    def look_at(self, alive: tuple[RayNode, ...]) -> set[str]:
        """Take in which machines there are; return those of which it is news that, or when, they go away."""
        gone = {each.node for each in self.alive} - {each.node for each in alive}
        leaving = dict.fromkeys(gone, 0.0)
        leaving |= {each.node: each.draining_until for each in alive if each.draining_until is not None}
        news = {node for node, until in leaving.items() if self._leaving.get(node) != until}
        self.alive = alive
        self._leaving = leaving
        return news

    def host_of(self, node: str) -> str:
        """Return the address of a machine that is alive; "" if it is none."""
        return next((each.host for each in self.alive if each.node == node), "")

    def gone_in_s(self, node: str, now: float) -> float | None:
        """Return in how many seconds a machine that goes away is gone; None if nobody has said."""
        until = self._leaving.get(node, 0.0)
        return max(0.0, until - now) if until else None
