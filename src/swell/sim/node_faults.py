"""What becomes of nodes in a simulation: they come late, vanish, freeze, are drained, and return under other names.

    come ──▶ in service ──▶ killed ─────────────────────────────▶ lost ──▶ another comes in its place
                 │  ▲  └──▶ frozen ──▶ for longer than the timeout ─┘
                 │  └──────────┴── for a shorter time
                 └──▶ drains ──▶ back in service, or its machine is gone

A node that the server has given up is fenced: what its containers still do arrives nowhere, and once its agent goes on,
they are killed. This module must not know what containers do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import count
from random import Random

from msgspec.structs import replace

from swell.model import Node
from swell.sim.clock import Clock
from swell.sim.container import FakeContainer
from swell.sim.node import FakeNode
from swell.sim.nodes import Nodes
from swell.sim.oracle import Oracle
from swell.sim.scenario import NodeFaults
from swell.wire.queries import DrainNode, ResumeNode

__all__ = ["NodeTrouble"]

TAKEN_LATE_S = 1.0  #: so long after the deadline of a drain the machine is gone, so that what was told has arrived


class NodeTrouble:
    """Does to nodes what a scenario says."""

    def __init__(
        self, faults: NodeFaults, nodes: Nodes, oracle: Oracle, random: Random, *, clock: Clock, timeout_s: float
    ) -> None:
        """Begin: take away those nodes that come late, and plan what becomes of the others.

        Args:
            faults: how often what happens.
            nodes: those that there are in the beginning.
            oracle: is told what the engine is not.
            random: decides.
            clock: of the simulation.
            timeout_s: after how long without a sign of life the server gives a node up.
        """
        self.met: Counter[str] = Counter()  #: what has happened, by kind
        self._nodes, self._oracle = nodes, oracle
        self._random, self._clock = random, clock
        self._timeout_s = timeout_s
        self._names = count(1)
        self._requests = count(1)
        self._drains: dict[str, int] = {}  # the latest request to take a node out of service
        self._frozen_at: dict[str, float] = {}
        self._machines = {node.node.name: node.node for node in nodes.there}  # by the node that is on it, or was last
        self._fenced: list[FakeContainer] = []  # of agents that were given up before they could kill them
        self._life = 0  # the number of the server's
        for node in nodes.there:
            if random.random() < faults.late:
                self.met["late"] += 1
                nodes.take_away(node)
                self._follow(node.node, random.uniform(0.0, faults.until))
        for rate, fault in (
            (faults.vanish_per_s, self._vanish),
            (faults.freeze_per_s, self._freeze),
            (faults.drain_per_s, self._drain),
        ):
            at = 0.0
            while rate and (at := at + random.expovariate(rate)) < faults.until:
                clock.at(at, partial(self._to_any, fault))

    def _to_any(self, fault: Callable[[FakeNode], None]) -> None:
        if self._nodes.there:
            fault(self._random.choice(self._nodes.there))

    # ------------------------------------------------------------ coming and going

    def _follow(self, machine: Node, after_s: float) -> None:
        """Have another agent come on a machine."""
        self._clock.after(after_s, partial(self._come, machine, self._life))

    def _come(self, machine: Node, life: int) -> None:
        if life == self._life:
            node = replace(machine, name=f"{machine.name.partition('+')[0]}+{next(self._names)}")
            self._machines[node.name] = self._machines.pop(machine.name, machine)
            self._nodes.come(node)

    def _vanish(self, node: FakeNode) -> None:
        """Kill an agent, and with it its containers."""
        self.met["killed while frozen" if node.is_frozen else "killed"] += 1
        for container in self._nodes.processes_on(node):
            container.kill()
        self._give_up(node, "the connection ended")

    def _give_up(self, node: FakeNode, why: str) -> None:
        """The server has noticed that an agent is gone, or gives no sign of life."""
        self._nodes.lose(node, why)
        self._follow(node.node, self._random.choice((0.005, 0.5, 10.0)))

    # ------------------------------------------------------------ freezing

    def _freeze(self, node: FakeNode) -> None:
        """Stop an agent, or its machine with all containers."""
        if node.is_frozen:
            return
        self._frozen_at[node.node.name] = self._clock.now
        self._oracle.stopped(self._nodes.containers_on(node))
        node.freeze(stands_still=self._random.random() < 0.5)
        for_s = self._timeout_s * self._random.choice((0.01, 0.5, 0.99, 1.01, 2.0, 20.0))
        if for_s < self._timeout_s:
            self._clock.after(for_s, partial(self._thaw, node))
        else:
            self._clock.after(self._timeout_s, partial(self._time_out, node))
            containers = self._nodes.processes_on(node)
            self._fenced += containers
            self._clock.after(for_s, partial(self._fence, node, containers))

    def _thaw(self, node: FakeNode) -> None:
        if not node.is_lost:
            self.met["frozen for a short time"] += 1
            node.thaw()

    def _time_out(self, node: FakeNode) -> None:
        if not node.is_lost:
            self.met["frozen for too long"] += 1
            self._give_up(node, f"no sign of life for {self._timeout_s:g} s")

    def _fence(self, node: FakeNode, containers: list[FakeContainer]) -> None:
        """An agent goes on that was given up: its containers may do a little more before they are killed."""
        self.met["fenced with containers"] += any(container.alive for container in containers)
        node.thaw()
        for container in containers:
            self._clock.after(self._random.uniform(0.0, 0.01), container.kill)

    # ------------------------------------------------------------ draining

    def _drain(self, node: FakeNode) -> None:
        """Take a node out of service: for a while, or for ever, or because its machine will be taken away."""
        name, number = node.node.name, next(self._requests)
        self._drains[name] = number
        deadline_s = self._random.choice((None, None, None, 0.0, 3.0, 8.0, 30.0))
        self._nodes.ask(DrainNode(number, name, deadline_s))
        if deadline_s is not None:
            self._clock.after(deadline_s + TAKEN_LATE_S, partial(self._taken, node, number, self._clock.now))
        elif self._random.random() < 0.5:
            self._clock.after(self._random.choice((0.0, 0.5, 5.0, 60.0)), partial(self._resume, node, number))
        else:
            self._clock.after(self._random.choice((5.0, 60.0)), partial(self._retire, node, number))

    def _resume(self, node: FakeNode, number: int) -> None:
        if not node.is_lost and self._drains[node.node.name] == number:
            self.met["drained and resumed"] += 1
            self._nodes.ask(ResumeNode(next(self._requests), node.node.name))

    def _retire(self, node: FakeNode, number: int) -> None:
        if not node.is_lost and self._drains[node.node.name] == number:
            self.met["drained and gone"] += 1
            self._vanish(node)

    def _taken(self, node: FakeNode, number: int, since: float) -> None:
        """A machine is gone of which that was announced: nothing of it is lost, unless its agent could not be told."""
        name = node.node.name
        if node.is_lost or self._drains[name] != number:
            return
        if self._frozen_at.get(name, -1.0) < since and not node.is_frozen:
            self.met["taken as announced"] += 1
            self._oracle.taken(self._nodes.containers_on(node))
        self._vanish(node)

    # ------------------------------------------------------------ the server's end, and its return

    def server_killed(self) -> None:
        """The server is killed: so are all agents, with their containers."""
        self._life += 1
        self._nodes.crash()
        for container in self._fenced:
            container.kill()
        self._fenced.clear()

    def server_back(self) -> None:
        """Another server starts agents on all machines."""
        for name, machine in self._machines.items():
            self._follow(replace(machine, name=name), self._random.uniform(0.0, 1.0))
