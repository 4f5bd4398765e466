"""No step changes more than it may in a whole cluster, whatever happens there: the world of `benchmarks.engine.scale`.

Its figures are the benchmark's business. Here it is small, and what is counted does not depend on the machine.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[3]))

from benchmarks.engine import scale
from benchmarks.engine.cluster import Cluster
from swell.engine.events import Effect, SendToContainer, StartContainer
from swell.engine.state.agenda import CHANGES_MAX

NODES = 30  #: with 1,500 containers: twelve times what one step may change


class Counting(Cluster):
    """Counts what each step changes of containers."""

    def __init__(self, nodes: int) -> None:
        self.changes: list[int] = []
        super().__init__(nodes)

    def take_step(self, step: Callable[[], list[Effect]]) -> list[Effect]:
        effects = super().take_step(step)
        concerned = {each.container_id for each in effects if isinstance(each, StartContainer | SendToContainer)}
        self.changes.append(len(concerned))
        return effects


def test_a_cluster_is_filled_used_drained_lost_and_left_in_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    worlds: list[Counting] = []

    def counting(nodes: int) -> Counting:
        worlds.append(Counting(nodes))
        return worlds[-1]

    monkeypatch.setattr(scale, "Cluster", counting)
    world = scale.measure(NODES)
    (cluster,) = worlds
    assert world.containers == 50 * NODES
    assert max(cluster.changes) <= CHANGES_MAX + 1, "one step has changed too much"
    assert len(cluster.told_to_leave) >= len(cluster.node_of), "a client that leaves leaves no container behind"
    cluster.engine.validate()


def test_the_memory_of_a_container_does_not_grow_with_the_cluster() -> None:
    _, alone = scale.weigh(4)
    _, among_many = scale.weigh(24)
    assert among_many < 1.5 * alone
