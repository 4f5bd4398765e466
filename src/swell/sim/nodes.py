"""The fake nodes of a simulation: those that are there, and what becomes of them.

This module must not know what containers do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from swell.engine.events import Event, NodesObserved, NodeView
from swell.model import Node
from swell.sim.clock import Clock
from swell.sim.fleet import Fleet
from swell.sim.node import FakeNode

__all__ = ["Nodes"]


class Nodes:
    """All nodes of one simulation."""

    def __init__(
        self, nodes: tuple[Node, ...], clock: Clock, random: Random, fleet: Fleet, feed: Callable[[Event], None]
    ) -> None:
        """Begin with the nodes that there are.

        Args:
            nodes: what each has.
            clock: of the simulation.
            random: decides.
            fleet: the containers on them.
            feed: has the engine handle an event.
        """
        self._clock, self._random = clock, random
        self._fleet = fleet
        self._feed = feed
        self._there = {node.name: FakeNode(node, clock) for node in nodes}
        self._nowhere = FakeNode(Node("nowhere", 0.0, 0), clock)
        self._nowhere.lose()

    def __getitem__(self, name: str) -> FakeNode:
        """Return a node; one that is lost, if it is not there."""
        return self._there.get(name, self._nowhere)

    def observe(self) -> None:
        """Report the nodes; starts keep cores busy, and all that inputs do is work."""
        working: dict[str, float] = dict.fromkeys(self._there, 0.0)
        starting = dict(working)
        for container_id, container in self._fleet.containers.items():
            node = self._fleet.node_of(container_id)
            if node is not None and node.node.name in working:
                working[node.node.name] += container.is_busy
                starting[node.node.name] += container.is_starting
        views: list[NodeView] = []
        for name, node in self._there.items():
            if node.latest is None or not node.is_frozen:
                cpu = node.node.cpu
                node.latest = NodeView(node.node, min(working[name] + starting[name], cpu), min(working[name], cpu))
            views.append(node.latest)
        self._feed(NodesObserved(views))

    def lose_any(self) -> None:
        """Let some node vanish."""
        if self._there:
            self.lose(self._random.choice(list(self._there)))

    def lose(self, name: str) -> None:
        """Let a node vanish, with its containers, and come back some time later under its name."""
        node = self._there.pop(name)
        losses: list[Callable[[], None]] = [
            partial(self._fleet.kill, container_id, "its node is gone") for container_id in self._fleet.on(node)
        ]
        losses.append(self.observe)
        self._random.shuffle(losses)
        for lose in losses:
            self._clock.after(self._random.uniform(0, 0.01), lose)

        def back() -> None:
            self._there[name] = node
            self.observe()

        self._clock.after(self._random.choice((0.005, 1.0, 10.0)), back)
