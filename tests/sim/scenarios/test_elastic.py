"""A cluster that gives nodes when they are wanted, and takes back those that are of no use."""

from __future__ import annotations

from swell.config import Settings
from swell.model import Resources
from swell.sim.play import Play, node
from swell.sim.work import Work

IDLE_S = 20.0
CORE = Resources(cpu=1.0, memory_bytes=0)


def cluster(*, most: int = 100, seed: int = 0) -> Play:
    """A cluster of which one node of four cores is there."""
    settings = Settings(backend="ray", cpu_overcommit=1.0, ray_agent_idle_s=IDLE_S, ray_agents_max=most)
    return Play(nodes=[node(4)], settings=settings, seed=seed)


def test_nodes_come_for_what_fits_on_none_and_go_when_it_is_done() -> None:
    play = cluster()
    f = play.function("f", resources=CORE, min_containers=40, scaledown_window=2)
    call = play.map(f, [Work(30.0)] * 40, at=1.0)
    play.run()
    giver = play.world.giver
    assert giver.given == 9, "ten hold it"
    assert play.of(call).finished_at < 1 + 60 + 5 * 10, "doubled step by step, each of which takes up to 10 s"
    play.finish()
    play.world.run(play.world.clock.now + 2 * IDLE_S)
    assert (giver.taken, len(play.world.nodes.there)) == (9, 1)


def test_there_are_never_more_than_may_be() -> None:
    play = cluster(most=3)
    f = play.function("f", resources=CORE, scaledown_window=2)
    call = play.map(f, [Work(5.0)] * 60, at=1.0)
    play.run()
    assert play.world.giver.given == 2
    assert play.took(call) >= 60 * 5.0 / 12
    play.finish()


def test_a_node_that_a_floor_needs_stays() -> None:
    play = cluster()
    play.function("f", resources=CORE, min_containers=6)
    play.run(until=500.0)
    assert (play.world.giver.given, play.world.giver.taken) == (1, 0)
    play.finish()
