"""Histories of large worlds: five thousand containers, a thousand functions, a hundred nodes that come and go.

What bounds the work of one event, and puts off the rest, only shows here. The rules hold as in small worlds; the whole
state is checked now and again. `python -m swell.sim seeds 0 30 --large` runs more.
"""

from __future__ import annotations

import os

import pytest

from swell.engine.events import Effect, Event
from swell.sim.large import CHECK_EVERY, draw_large
from swell.sim.world import World

FIRST = int(os.environ.get("SIM_FIRST", "4"))
COUNT = int(os.environ.get("SIM_COUNT", "4"))

UNSTEADY = {"containers": 5_000, "nodes": 50}  #: at once: others have just vanished


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_every_rule_holds(seed: int) -> None:
    world = World(draw_large(seed), seed, check_every=CHECK_EVERY)
    most = {"containers": 0, "functions": 0, "nodes": 0}

    def measure(event: Event | None, effects: list[Effect]) -> None:
        state = world.engine.state
        there = {"containers": state.containers, "functions": state.pools, "nodes": state.nodes.by_name}
        for kind, things in there.items():
            most[kind] = max(most[kind], len(things))

    world.listeners.append(measure)
    try:
        world.finish()
    except AssertionError as error:
        pytest.fail(f"seed {seed}, at {world.clock.now:.6f} s: {error}\nreproduce: swell.sim story {seed} --large")
    for kind, least in ({"containers": 5_000}, {"functions": 1_000}, {"nodes": 100}, UNSTEADY)[seed % 4].items():
        assert most[kind] >= least, f"it is there for {least:,} {kind}, and had {most[kind]:,}"
