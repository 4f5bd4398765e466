"""Machines that are taken away as was announced: what is left on them some seconds before that runs elsewhere.

That the rule which says so catches an engine that lets go too late is shown by such an engine.
"""

from __future__ import annotations

import pytest

from swell.config import Settings
from swell.engine.rules import draining
from swell.model import CallKind, FunctionSpec, Node
from swell.sim.client import AppPlan
from swell.sim.scenario import SOURCE, NodeFaults, Scenario
from swell.sim.work import CallPlan, Work
from swell.sim.world import World

SEEDS = range(4)


def machines_are_taken(seed: int) -> World:
    """Twenty inputs of a minute run on three nodes, of which one or another drains each second."""
    calls = (CallPlan("fc-0", "long", CallKind.MAP, (Work(60.0),) * 20, opens_at=0.0),)
    scenario = Scenario(
        settings=Settings(),
        nodes=tuple(Node(f"node-{i}", 16, 64 << 30) for i in range(3)),
        apps=(AppPlan("ap-0", (FunctionSpec("long", SOURCE),), calls),),
        node_faults=NodeFaults(until=20.0, drain_per_s=1.0),
    )
    world = World(scenario, seed)
    world.finish()
    return world


def test_nothing_is_left_on_a_machine_that_is_taken_as_announced() -> None:
    worlds = [machines_are_taken(seed) for seed in SEEDS]
    assert sum(world.trouble.met["taken as announced"] for world in worlds if world.trouble is not None) > 0


def test_an_engine_that_lets_go_too_late_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "EVICT_BEFORE_S", -10.0)
    with pytest.raises(AssertionError, match=r"still has .* when its machine is taken away"):
        for seed in SEEDS:
            machines_are_taken(seed)
