"""Two hundred simulated histories, each with its own settings, workload and faults; the rules hold after every event.

SIM_FIRST=5000 SIM_COUNT=3000 pytest tests/sim/test_seeds.py     other seeds, and more
python -m swell.sim story SEED                                    what happens in one
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from swell.model import DeliveryMode
from swell.sim.scenario import Scenario
from swell.sim.swarm import draw, draw_steady
from swell.sim.world import World

FIRST = int(os.environ.get("SIM_FIRST", "0"))
COUNT = int(os.environ.get("SIM_COUNT", "200"))
STRIDE = 10
REGRESSIONS = Path(__file__).parent / "regressions.txt"


def survive(seed: int, scenario: Scenario) -> World:
    world = World(scenario, seed)
    try:
        world.finish()
    except AssertionError as error:
        pytest.fail(f"seed {seed}, at {world.clock.now:.6f} s: {error}\nreproduce: python -m swell.sim story {seed}")
    return world


@pytest.mark.parametrize("first", range(FIRST, FIRST + COUNT, STRIDE))
def test_every_rule_holds(first: int) -> None:
    for seed in range(first, min(first + STRIDE, FIRST + COUNT)):
        survive(seed, draw(seed))


def regressions() -> list[int]:
    lines = [line.split("#")[0].strip() for line in REGRESSIONS.read_text().splitlines()]
    return sorted({int(line.split()[0]) for line in lines if line})


@pytest.mark.parametrize("seed", regressions())
def test_what_failed_once(seed: int) -> None:
    survive(seed, draw_steady(seed))


def test_the_seeds_meet_what_they_are_for() -> None:
    """A swarm without faults proves nothing: over a few seeds, all kinds of trouble come up."""
    statuses: set[int] = set()
    orders: set[str] = set()
    answers: set[str] = set()
    modes: set[object] = set()
    nodes: set[str] = set()
    for seed in range(60):
        world = World(draw(seed), seed)

        def note(event: object, effects: list[object]) -> None:
            for effect in effects:
                message = getattr(effect, "message", None)
                orders.add(type(message or effect).__name__)
                modes.add(getattr(message, "mode", None))
                statuses.update(status for _, status in getattr(message, "failures", ()))
            answers.add(type(getattr(event, "message", event)).__name__)

        world.listeners.append(note)
        world.finish()
        if world.trouble is not None:
            nodes.update(+world.trouble.met)
    assert modes >= {DeliveryMode.SERIAL, DeliveryMode.PARALLEL, DeliveryMode.BATCH}
    assert statuses >= {2, 3, 4, 5, 6, 7, 8}, "failures, cancellations, timeouts, starts, poison, generators and memory"
    assert orders >= {"Reclaim", "Cancel", "Drain", "ItemsTaken", "KillContainer", "Refused", "PollNodes", "Failed"}
    assert answers >= {
        "Returned",
        "Leaving",
        "StartFailed",
        "ContainerExited",
        "ClientGone",
        "Yielded",
        "NodesObserved",
    }
    assert nodes >= {
        "late",
        "killed",
        "killed while frozen",
        "frozen for a short time",
        "frozen for too long",
        "fenced with containers",
        "drained and resumed",
        "drained and gone",
        "taken as announced",
    }
