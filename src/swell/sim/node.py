"""A fake node: what passes between its containers and the server passes here, unless it is frozen or lost.

A frozen node keeps what reaches it, and what its containers send, until it thaws. Either its containers go on
meanwhile, as when its agent alone is stopped, or they stand still with it, as when the machine is suspended. Of a node
that the server has given up, nothing passes any more: its agent is fenced. This module must not know containers.
"""

from __future__ import annotations

from collections.abc import Callable

from swell.engine.events import NodeView
from swell.model import Node
from swell.sim.clock import Clock

__all__ = ["FakeNode", "NodeClock"]


class NodeClock:
    """The time on a node, which stands still with it. Implements `Time`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stands_still = False
        self._missed: list[Callable[[], None]] = []

    @property
    def now(self) -> float:
        """The present, in seconds since the beginning."""
        return self._clock.now

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Do something at a time, or when the node goes on after that."""
        self._clock.at(when, lambda: self._due(action))

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Do something after a delay, or when the node goes on after that."""
        self._clock.after(delay_s, lambda: self._due(action))

    def stand_still(self) -> None:
        """Let nothing happen on the node."""
        self._stands_still = True

    def go_on(self) -> None:
        """Let happen what was due meanwhile, in order, and what will be."""
        self._stands_still = False
        missed, self._missed = self._missed, []
        for action in missed:
            action()

    def _due(self, action: Callable[[], None]) -> None:
        if self._stands_still:
            self._missed.append(action)
        else:
            action()


class FakeNode:
    """One node, from its agent's first word to its last."""

    def __init__(self, node: Node, clock: Clock) -> None:
        self.node = node
        self.clock = NodeClock(clock)
        self.is_frozen = False
        self.is_lost = False  #: the server has given it up
        self.latest: NodeView | None = None  #: what it told of its load
        self._held: list[Callable[[], None]] = []

    def passes(self, action: Callable[[], None]) -> None:
        """Something arrives at the node, or at the server from it."""
        if self.is_frozen:
            self._held.append(action)
        elif not self.is_lost:
            action()

    def freeze(self, *, stands_still: bool) -> None:
        """Keep what passes; with `stands_still`, nothing happens on it either."""
        self.is_frozen = True
        if stands_still:
            self.clock.stand_still()

    def thaw(self) -> None:
        """Go on: let through what was kept, unless it was lost meanwhile."""
        self.is_frozen = False
        held, self._held = self._held, []
        for action in held:
            self.passes(action)
        self.clock.go_on()

    def lose(self) -> None:
        """Let nothing pass any more."""
        self.is_lost = True
