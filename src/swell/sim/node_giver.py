"""A cluster that gives nodes when the engine wants room, and takes those back that it releases.

A node that is asked for comes some time later, or is given up before that. How many are asked for is the rule that a
real cluster is asked by. This module must not know what containers do, or what else becomes of nodes.
"""

from __future__ import annotations

from functools import partial
from itertools import count
from random import Random

from msgspec.structs import replace

from swell.config import Settings
from swell.engine.events import WantRoom
from swell.model import Node
from swell.policy.slices import Shape, next_steps, slices_for
from swell.sim.clock import Clock
from swell.sim.node import FakeNode
from swell.sim.nodes import Nodes

__all__ = ["NodeGiver"]

TAKES_S = (0.05, 1.0, 10.0)  #: to give a node


class NodeGiver:
    """Gives nodes of one shape."""

    def __init__(self, shape: Node, nodes: Nodes, random: Random, *, clock: Clock, settings: Settings) -> None:
        """Prepare.

        Args:
            shape: what each node has.
            nodes: those that there are.
            random: decides.
            clock: of the simulation.
            settings: of the server: bounds of how many there may be, and what each offers.
        """
        self.given = 0  #: so many have come
        self.taken = 0  #: so many were given back
        self._shape, self._nodes, self._random, self._clock = shape, nodes, random, clock
        self._bounds = (settings.ray_agents_min, settings.ray_agents_max)
        kind = shape.gpus[0].kind if shape.gpus else ""
        self._offer = Shape.of(
            Shape(shape.cpu, shape.memory_bytes, len(shape.gpus), kind),
            cpu_overcommit=settings.cpu_overcommit,
            memory_overcommit=settings.memory_overcommit,
        )
        self._pending: dict[int, None] = {}  # numbers of the nodes that were asked for
        self._numbers = count(1)
        if settings.backend == "ray":
            self.want_room(WantRoom(()))  # the least are there without being asked for

    def want_room(self, effect: WantRoom) -> None:
        """Ask for nodes, or give up some that were asked for."""
        wanted = slices_for(effect.lacks, [self._offer])
        least, most = self._bounds
        steps = next_steps(wanted, [len(self._pending)], present=len(self._nodes.there), least=least, most=most)
        for _ in range(steps.cancel[0]):
            self._pending.popitem()
        for _ in range(steps.start[0]):
            number = next(self._numbers)
            self._pending[number] = None
            self._clock.after(self._random.choice(TAKES_S), partial(self._come, number))

    def release(self, name: str) -> None:
        """Take a node back, which has no containers."""
        node = self._nodes[name]
        if not node.is_lost:
            assert not self._nodes.containers_on(node), f"{name} is given back with containers on it"
            self._clock.after(self._random.choice((0.0, 0.2)), partial(self._take, node))

    def server_killed(self) -> None:
        """Nobody asks for nodes any more."""
        self._pending.clear()

    def _come(self, number: int) -> None:
        if number not in self._pending:
            return
        del self._pending[number]
        self.given += 1
        gpus = tuple(replace(gpu, uuid=f"given-{number}-{i}") for i, gpu in enumerate(self._shape.gpus))
        self._nodes.come(replace(self._shape, name=f"given-{number}", gpus=gpus))

    def _take(self, node: FakeNode) -> None:
        if not node.is_lost:
            self.taken += 1
            self._nodes.lose(node, "it was given back")
