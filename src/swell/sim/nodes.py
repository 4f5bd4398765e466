"""The fake nodes of a simulation: those that are there, and what becomes of them.

This module must not know what containers do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from swell.engine.events import ClientMessage, Event, NodesObserved, NodeView
from swell.model import Node
from swell.sim.clock import Clock
from swell.sim.container import FakeContainer
from swell.sim.fleet import Fleet
from swell.sim.node import FakeNode
from swell.wire.queries import DrainNode, ResumeNode

__all__ = ["Nodes"]

OPERATOR = 900  #: the number of the client that takes nodes out of service


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

    @property
    def there(self) -> list[FakeNode]:
        """The nodes that the server has not given up."""
        return list(self._there.values())

    def containers_on(self, node: FakeNode) -> list[str]:
        """Return the ids of containers that were launched on a node and of which the end is not told."""
        return self._fleet.on(node)

    def processes_on(self, node: FakeNode) -> list[FakeContainer]:
        """Return the containers on a node that have a process."""
        there = self._fleet.containers
        return [there[container_id] for container_id in self._fleet.on(node) if container_id in there]

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

    def ask(self, message: DrainNode | ResumeNode) -> None:
        """Have a client ask something of a node."""
        self._feed(ClientMessage(OPERATOR, message))

    # ------------------------------------------------------------ nodes of agents, which never come back

    def come(self, node: Node) -> None:
        """A node comes."""
        self._there[node.name] = FakeNode(node, self._clock)
        self.observe()

    def take_away(self, node: FakeNode) -> None:
        """Take a node away of which the server does not know yet."""
        del self._there[node.node.name]

    def lose(self, node: FakeNode, why: str) -> None:
        """The server gives a node up, and all containers on it."""
        del self._there[node.node.name]
        node.lose()
        self.observe()
        self._fleet.give_up(node, why)

    def crash(self) -> None:
        """The server is killed, and all agents with it."""
        for node in self._there.values():
            node.lose()
        self._there.clear()

    # ------------------------------------------------------------ nodes that come back

    def lose_any(self) -> None:
        """Let some node vanish."""
        if self._there:
            self.lose_for_a_while(self._random.choice(list(self._there)))

    def lose_for_a_while(self, name: str) -> None:
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
