"""The same events give the same effects, byte for byte: in one process, in another, and with other hash seeds."""

from __future__ import annotations

import os
import subprocess
import sys

from swell.sim.swarm import draw
from swell.sim.transcript import Transcript, repeat
from swell.sim.world import World

SEEDS = ("3", "12")  #: first, count


def transcript(seed: int) -> tuple[World, Transcript]:
    world, written = World(draw(seed), seed), Transcript()
    world.listeners.append(lambda event, effects: written.write(world.clock.now, event, effects))
    world.finish()
    return world, written


def fingerprints(hash_seed: str) -> str:
    command = [sys.executable, "-m", "swell.sim", "seeds", *SEEDS, "--digest"]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def test_order_of_sets_and_dicts_decides_nothing() -> None:
    one, other = fingerprints("1"), fingerprints("4242")
    assert len(one.splitlines()) == int(SEEDS[1]) + 1
    assert one == other


def test_a_seed_is_one_history() -> None:
    assert transcript(7)[1].digest == transcript(7)[1].digest
    assert transcript(7)[1].digest != transcript(8)[1].digest


def test_a_new_engine_that_hears_the_same_decides_the_same() -> None:
    for seed in (5, 17, 23):
        world, written = transcript(seed)
        assert len(written.lines) > 20
        assert repeat(written.lines, world.scenario.settings, f"sim-{seed}-1") is None


def test_a_difference_would_be_found() -> None:
    world, written = transcript(5)
    assert repeat(written.lines, world.scenario.settings, "another seed") is not None
