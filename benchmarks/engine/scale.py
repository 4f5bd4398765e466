"""What a cluster of some size costs the bare engine: CPU for each thing that happens, longest steps, and memory.

    .venv-test/bin/python -m benchmarks.engine.scale                 10, 100 and 1,000 nodes, 50 containers on each
    .venv-test/bin/python -m benchmarks.engine.scale --nodes 10,100
    .venv-test/bin/python -m benchmarks.engine.scale --memory        and what the engine's objects take

A world is filled by maps, and then one thing after another happens in it. No process is started. This module must not
know how the engine decides.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.engine.cluster import ON_NODE, Cluster
from benchmarks.engine.driver import SPAN
from swell.engine.events import ClientGone
from swell.model import CallKind
from swell.server.queries import OBSERVED_MAX
from swell.wire.messages import CancelCall
from swell.wire.queries import DrainNode

SIZES = (10, 100, 1_000)  #: nodes
QUICK = (10, 100)
UNITS = 1_000  #: of what happens again and again
WAITING = 1_000  #: inputs of each map, as many as a map has on their way
LOOKS = 20
AT_ONCE_S = 0.0005  #: starts take, so that hardly anything else happens meanwhile, such as looks at what takes long


@dataclass(frozen=True)
class Figure:
    """What one thing has cost."""

    title: str
    unit_us: float
    longest_ms: float  #: of a single step
    total_s: float
    units: int


@dataclass(frozen=True)
class World:
    """What a cluster of one size has cost."""

    nodes: int
    containers: int
    placed_s: float  #: of virtual time, in which the engine takes none, from the first call to the last check-in
    observed_ms: float  #: what a dashboard, or who reads the metrics, takes of the server once
    figures: list[Figure]


class Scale:
    """One world, in which things happen in order."""

    def __init__(self, nodes: int) -> None:
        self._cluster = Cluster(nodes)
        self._containers = nodes * ON_NODE
        self._figures: list[Figure] = []
        self._shares: dict[str, int] = {}  # containers by function
        self._calls: list[str] = []  # maps, in the order of the functions

    def run(self) -> World:
        """Have everything happen; return what it cost."""
        cluster, nodes = self._cluster, len(self._cluster.nodes)
        self._measure("a container, from its call to its first input", self.fill, each=self._containers)
        placed_s, cluster.start_s = cluster.now, AT_ONCE_S
        for call in self._calls:
            cluster.put(call, WAITING)
        self._measure("a report of an input, and the next one to that container", self._report, UNITS)
        self._measure("a container that dies, and the one in its place", self._replace, UNITS // 10)
        self._figures.append(self._look())
        self._measure("each container of a node that drains, moved", self._drain, each=ON_NODE)
        self._measure("each container of a node that is lost, replaced", self._lose, each=ON_NODE)
        observed_ms = self._observation_ms()
        self._measure(
            "each running input of a map that is cancelled", self._cancel, each=next(iter(self._shares.values()))
        )
        self._measure("each container of a client that leaves", self._leave, each=self._containers)
        return World(nodes, self._containers, placed_s, observed_ms, self._figures)

    def fill(self) -> None:
        """Have a map of each function call for its containers, and let these come."""
        cluster = self._cluster
        self._shares = cluster.open_functions()
        for function_id, count in self._shares.items():
            call = cluster.call(function_id, 0, kind=CallKind.MAP, sealed=False)
            self._calls.append(call)
            for first in range(0, count, SPAN):
                cluster.put(call, min(SPAN, count - first))
        cluster.settle()
        there = len(cluster.node_of)
        assert there == self._containers, f"{there:,} containers, not {self._containers:,}"

    # ------------------------------------------------------------ what happens

    def _report(self) -> None:
        self._cluster.now += 0.0001
        self._cluster.complete(self._cluster.delivered.popleft(), busy_s=1.0)

    def _replace(self) -> None:
        cluster = self._cluster
        cluster.exits(next(iter(cluster.node_of)))
        cluster.settle()

    def _look(self) -> Figure:
        """Have all nodes looked at; those that were looked at while containers came count for the longest step."""
        cluster = self._cluster
        before = len(cluster.looks_s)
        for _ in range(LOOKS):
            cluster.now += 0.5
            cluster.observe()
        total_s, units = sum(cluster.looks_s[before:]), LOOKS * len(cluster.nodes)
        longest_ms = max(cluster.looks_s) * 1e3
        return Figure("each node, when all are looked at", total_s / units * 1e6, longest_ms, total_s, units)

    def _drain(self) -> None:
        cluster, name = self._cluster, self._a_node()
        cluster.say(DrainNode(1, name))
        cluster.settle()
        assert len(cluster.told_to_leave) == len(cluster.on(name)), "one for each container"
        for container_id in cluster.on(name):
            cluster.exits(container_id, "it has left")
        cluster.settle()

    def _lose(self) -> None:
        self._cluster.lose(self._a_node())
        self._cluster.settle()

    def _a_node(self) -> str:
        return next(reversed(self._cluster.node_of.values()))

    def _observation_ms(self) -> float:
        engine = self._cluster.engine
        began = time.process_time()
        engine.stats.nodes()
        engine.stats.functions(0.0)
        engine.stats.calls()
        engine.snapshot.latest_containers(OBSERVED_MAX)
        return (time.process_time() - began) * 1e3

    def _cancel(self) -> None:
        self._cluster.say(CancelCall(self._calls[0]))
        self._cluster.pass_time()

    def _leave(self) -> None:
        self._cluster.feed(ClientGone(1))
        self._cluster.pass_time()

    # ------------------------------------------------------------ measuring

    def _measure(self, title: str, work: Callable[[], None], times: int = 1, *, each: int = 1) -> None:
        """Have some work done so many times; a unit is one of `each` of which it consists."""
        cluster = self._cluster
        cluster.steps_s.clear()
        cluster.measured = True
        for _ in range(times):
            work()
        cluster.measured = False
        units = times * each
        total_s = sum(cluster.steps_s)
        self._figures.append(Figure(title, total_s / units * 1e6, max(cluster.steps_s) * 1e3, total_s, units))


def measure(nodes: int) -> World:
    """Return what a cluster of so many nodes has cost."""
    gc.collect()
    gc.disable()  # alike at every size: what collections cost grows with the heap, and the server's heap is frozen
    try:
        return Scale(nodes).run()
    finally:
        gc.enable()


def weigh(nodes: int) -> tuple[float, float]:
    """Return (bytes of a node, bytes of a container with its input): of what the engine's code has allocated."""
    ours = tracemalloc.Filter(inclusive=True, filename_pattern="*/swell/*")

    def taken() -> int:
        gc.collect()
        traces = tracemalloc.take_snapshot().filter_traces([ours]).traces
        return sum(trace.size for trace in traces)

    gc.collect()
    tracemalloc.start()
    try:
        before = taken()
        scale = Scale(nodes)
        with_nodes = taken()
        scale.fill()
        return (with_nodes - before) / nodes, (taken() - with_nodes) / (nodes * ON_NODE)
    finally:
        tracemalloc.stop()


def main() -> int:
    """Print what each size has cost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine.scale", description=__doc__)
    parser.add_argument("--nodes", default=",".join(map(str, SIZES)), help="sizes (default: %(default)s)")
    parser.add_argument("--memory", action="store_true", help="tell what the engine's objects take, too")
    wanted = parser.parse_args()
    for nodes in map(int, wanted.nodes.split(",")):
        world = measure(nodes)
        size = f"{world.nodes:,} nodes, {world.containers:,} containers"
        print(f"{size}, placed in {world.placed_s:.2f} s; all seen in {world.observed_ms:.1f} ms", flush=True)
        for one in world.figures:
            print(f"  {one.title:58} {one.unit_us:9.1f} µs   longest {one.longest_ms:8.2f} ms   {one.total_s:7.3f} s")
        if wanted.memory:
            node, container = weigh(nodes)
            print(f"  memory: {node:,.0f} bytes a node, {container:,.0f} a container", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
