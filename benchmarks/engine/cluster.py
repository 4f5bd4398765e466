"""A whole cluster in virtual time: nodes of some size, which fill, and containers that keep cores busy as they start.

What the rows of `benchmarks.engine` leave out is here: the pace of nodes, and the looks at all of them while containers
come and check in. This module must not know what is measured, or why.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any, ClassVar

from benchmarks.engine.driver import START_S, Driver, function
from swell.engine.events import Effect, NodeView, StartContainer
from swell.model import Node, Resources

CORES, MEMORY = 8.0, 16 << 30  #: of a node
EACH = Resources(cpu=0.125, memory_bytes=256 << 20)  #: of a container
ON_NODE = 50  #: containers for each node, of 64 that fit
FUNCTIONS = 100  #: that share half of the containers; another has the rest


class Cluster(Driver):
    """An engine with so many equal nodes. Containers that have started wait for something else than a core."""

    def __init__(self, nodes: int, **settings: Any) -> None:
        self.nodes = {name: Node(name, CORES, MEMORY) for name in (f"node-{i:05}" for i in range(nodes))}
        self.start_s = START_S  #: how long containers take to start
        self.node_of: dict[str, str] = {}  #: of containers that are not gone
        self._starts: deque[float] = deque()  # when those of `requested` check in
        self._starting: Counter[str] = Counter()  # by node
        self._fresh: Counter[str] = Counter()  # by node: have checked in since the nodes were looked at
        self.looks_s: list[float] = []  #: CPU time of each look at all nodes
        super().__init__(nodes=0, **settings)

    def observe(self) -> None:
        """Let the engine see the nodes, apart from what is measured: twice a second, whatever else happens."""
        is_measured, self.measured = self.measured, False
        before = self.cpu_s
        super().observe()
        self.looks_s.append(self.cpu_s - before)
        self.measured = is_measured

    def look(self) -> list[NodeView]:
        """Return what is seen of the nodes: a start keeps a core busy, and what has checked in sleeps."""
        fresh, self._fresh = self._fresh, Counter()
        return [
            NodeView(node, busy_cores=min(self._starting[name], CORES), sleepers=fresh[name])
            for name, node in self.nodes.items()
        ]

    def open_functions(self) -> dict[str, int]:
        """Open an app with a function for half of all containers, and many for the rest; return these numbers by id."""
        all_of_them = len(self.nodes) * ON_NODE
        each = all_of_them // 2 // FUNCTIONS
        shares = [all_of_them - each * FUNCTIONS, *[each] * FUNCTIONS]
        limits = {"scaledown_window": 3_600, "timeout_s": 86_400.0}
        specs = [function(f"f{i:03}", resources=EACH, max_containers=most, **limits) for i, most in enumerate(shares)]
        return dict(zip(self.open_app(*specs).values(), shares, strict=True))

    def settle(self) -> None:
        """Let time pass until all that starts has checked in, and no pool waits for a node."""
        while self.requested or self.engine.state.blocked.wants_look or self.engine.next_deadline() <= self.now:
            at = self.engine.next_deadline()
            if self._starts and self._starts[0] <= at:
                self.now = max(self.now, self._starts[0])
                self.check_in()
            else:
                self.until(max(at, self.now))

    def on(self, name: str) -> list[str]:
        """Return the containers on a node that are not gone."""
        return [container_id for container_id, node in self.node_of.items() if node == name]

    def lose(self, name: str) -> None:
        """Have a node vanish, and its containers after it."""
        del self.nodes[name]
        self.observe()
        for container_id in self.on(name):
            self.exits(container_id, "its node is lost")

    def check_in(self) -> str:
        """Have the container check in that was asked for first; return it."""
        self._starts.popleft()
        started = super().check_in()
        name = self.node_of[started]
        self._starting[name] -= 1
        self._fresh[name] += 1
        return started

    def exits(self, container_id: str, reason: str = "killed by signal 9") -> list[Effect]:
        """Have a container end."""
        del self.node_of[container_id]
        return super().exits(container_id, reason)

    def _start(self, effect: StartContainer) -> None:
        super()._start(effect)
        self._starts.append(self.now + self.start_s)
        self.node_of[effect.container_id] = effect.node
        self._starting[effect.node] += 1

    _CARRY: ClassVar[dict[type[Effect], Callable[..., None]]] = {**Driver._CARRY, StartContainer: _start}
