"""What clusters of 10, 100 and 1,000 nodes cost the bare engine, and what it remembers of them."""

from __future__ import annotations

import sys

from benchmarks.case import Case, Measured
from benchmarks.engine.measure import GROWTH_MAX
from benchmarks.engine.scale import QUICK, SIZES, Figure, World, measure, weigh

LONGEST_MS = "longest ms"


def engine(quick: bool) -> Measured:
    """Return how many times more the worst thing that happens costs in the largest cluster, and all figures."""
    sizes = QUICK if quick else SIZES
    worlds = [_quicker([measure(nodes) for _ in range(1 if quick else 2)]) for nodes in sizes]
    table: dict[str, dict[str, float]] = {}
    for world in worlds:
        for figure in world.figures:
            row = table.setdefault(figure.title, {})
            row[f"{world.nodes:,}"] = figure.unit_us
            row[LONGEST_MS] = figure.longest_ms  # of the largest in the end
        print(f"{world.nodes:,} nodes: placed in {world.placed_s:.2f} s", file=sys.stderr, flush=True)
    largest = worlds[-1]
    node_bytes, container_bytes = weigh(largest.nodes)
    growth = [row[f"{largest.nodes:,}"] / row[f"{worlds[0].nodes:,}"] for row in table.values()]
    details = {
        "nodes": largest.nodes,
        "containers": largest.containers,
        "virtual s to place": largest.placed_s,
        "CPU s to place": largest.figures[0].total_s,
        "longest step ms": max(figure.longest_ms for figure in largest.figures),
        "ms of a dashboard's look": largest.observed_ms,
        "bytes a node": node_bytes,
        "bytes a container": container_bytes,
        "MB in all": (node_bytes * largest.nodes + container_bytes * largest.containers) / 1e6,
    }
    return Measured(max(growth), details, table)


def _quicker(worlds: list[World]) -> World:
    """Return one world of the quicker figures of several: what else the machine does may only add to one."""
    first = worlds[0]
    figures: list[Figure] = [
        min(alike, key=lambda figure: figure.unit_us)
        for alike in zip(*(world.figures for world in worlds), strict=True)
    ]
    observed_ms = min(world.observed_ms for world in worlds)
    return World(first.nodes, first.containers, first.placed_s, observed_ms, figures)


CASE = Case(
    name="engine-scale",
    title="the engine's CPU for what happens to 1,000 nodes and 50,000 containers, of that with 10 and 500",
    unit="×",
    contestants={"swell": engine},
    target=f"at most {GROWTH_MAX:g} times",
    floor="1: what happens costs the same in any cluster",
    meets=lambda values: values["swell"] <= GROWTH_MAX,
    rounds=1,
    limit_s=600,
)
