"""Histories with apps that stay and a server that is killed between any two things it does: nothing accepted is lost.

SIM_FIRST=5000 SIM_COUNT=3000 pytest tests/sim/test_lasting_seeds.py     other seeds, and more
python -m swell.sim story SEED --lasting                                  what happens in one
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
from msgspec import structs

from swell.engine.events import Effect, Event, Order, Persist, Tell
from swell.sim.swarm import Scenario, draw_lasting
from swell.sim.world import World

FIRST = int(os.environ.get("SIM_FIRST", "0"))
COUNT = int(os.environ.get("SIM_COUNT", "80"))
STRIDE = 10


def survive(scenario: Scenario, seed: int, what: str) -> World:
    world = World(scenario, seed)
    try:
        world.finish()
    except AssertionError as error:
        reproduce = f"reproduce: python -m swell.sim story {seed} --lasting"
        pytest.fail(f"{what}, at {world.clock.now:.6f} s: {error}\n{reproduce}")
    return world


@pytest.mark.parametrize("first", range(FIRST, FIRST + COUNT, STRIDE))
def test_every_rule_holds(first: int) -> None:
    for seed in range(first, min(first + STRIDE, FIRST + COUNT)):
        survive(draw_lasting(seed), seed, f"seed {seed}")


def small(seed: int) -> Scenario:
    """A scenario with few inputs, and no other trouble than that the server is killed."""
    scenario = draw_lasting(seed)
    lasting = tuple(structs.replace(plan, calls=plan.calls[:3]) for plan in scenario.lasting[:1])
    return structs.replace(scenario, apps=(), lasting=lasting, strikes=())


@pytest.mark.parametrize("seed", [1, 10, 14, 19])
def test_the_server_may_be_killed_at_every_single_moment(seed: int) -> None:
    """Not at random: once for each moment between two effects of a whole history."""
    scenario = small(seed)
    moments = survive(scenario, seed, f"seed {seed} without a strike").outages.passed
    for moment in range(1, moments + 1):
        struck = structs.replace(scenario, strikes=(moment,))
        world = survive(struck, seed, f"seed {seed}, killed at moment {moment} of {moments}")
        assert world.lives == 2


def test_the_seeds_meet_what_they_are_for() -> None:
    """A swarm that never strikes proves nothing: over a few seeds, all that is new in apps that stay comes up."""
    met: Counter[str] = Counter()
    lives = 0
    for seed in range(40):
        world = World(draw_lasting(seed), seed)

        def note(event: Event | None, effects: list[Effect]) -> None:
            met[type(event).__name__] += 1
            for effect in effects:
                met[type(effect).__name__] += 1
                if isinstance(effect, Persist):
                    met[type(effect.record).__name__] += 1
                elif isinstance(effect, Tell | Order):
                    met[type(effect.message).__name__] += 1

        world.listeners.append(note)
        world.finish()
        lives += world.lives
    assert lives > 75, "servers are killed"
    wanted = {
        "LoadCall",
        "LoadCalls",
        "LoadSpans",
        "AttemptRecord",
        "SpansDone",
        "Deployed",
        "Interrupt",
        "SendRecorded",
    }
    assert wanted <= met.keys(), f"never met: {wanted - met.keys()}"
