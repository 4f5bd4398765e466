"""A diary of a cluster that gives and takes nodes: what it is told to want, and which nodes it gets back."""

from __future__ import annotations

import pytest

from swell.model import GpuRequest, Node, Resources

GIB = 1 << 30
IDLE_S = 30.0
ONE, TWO = Node("one", 2, 16 * GIB), Node("two", 8, 16 * GIB)
CORE = Resources(cpu=1.0, memory_bytes=0)


@pytest.fixture
def cluster(new_diary):
    """A diary of one node of two cores, in a cluster that has more."""
    diary = new_diary(backend="ray", cpu_overcommit=1.0, ray_agent_idle_s=IDLE_S, ray_agents_min=1)
    diary.observes(ONE)
    return diary.at(1.0)


def decided(lines: list[str]) -> list[str]:
    return [line for line in lines if not line.startswith("deliver")]


def told(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith(("want", "release"))]


def test_what_fits_on_no_node_is_wanted_and_no_more_once_it_does(cluster) -> None:
    diary = cluster
    assert told(diary.opens(min_containers=5, resources=CORE)) == ["want room for 3 of 1 cores"]
    diary.ready("c1")
    assert told(diary.at(10.0).meanwhile) == [], "it is known"
    assert told(diary.observes(ONE, TWO)) == ["want room for nothing"]
    assert set(diary.where().values()) == {"one", "two"}


def test_changes_that_come_soon_after_another_are_told_together(cluster) -> None:
    diary = cluster
    diary.opens("f", "g", min_containers=1, resources=CORE)
    assert told(diary.calls("fc-1", 2)) == ["want room for 1 of 1 cores"]
    assert told(diary.calls("fc-2", 3)) == []
    assert told(diary.calls("fc-3", 4, function="g")) == []
    assert told(diary.at(5.0).meanwhile) == ["want room for 7 of 1 cores"]


def test_containers_that_keep_all_cores_busy_are_no_reason_to_wait_for_them(cluster) -> None:
    """What they ask for says little: one that works takes a core. And what is asked for is not given up for a burst."""
    diary = cluster
    diary.opens(resources=Resources(cpu=0.1, memory_bytes=0))
    assert decided(diary.calls("fc-1", 50)) == ["start c1", "start c2", "start c3", "start c4"]
    for name in ("c1", "c2"):
        diary.ready(name)
    assert decided(diary.at(2.0).observes(ONE, busy=2.0)) == ["start c5", "start c6"]
    assert told(diary.at(3.0).observes(ONE, busy=2.0)) == ["want room for 44 of 1 cores"]
    assert told(diary.at(4.0).observes(ONE, busy=0.5)) == []
    assert diary.pool().scaling.blocked_reason == "containers are started in growing bursts"


def test_a_function_that_is_gone_wants_nothing(cluster) -> None:
    diary = cluster
    diary.opens(min_containers=5, resources=CORE)
    assert told(diary.at(5.0).closes()) == ["want room for nothing"]


def test_a_node_that_is_empty_for_long_drains_and_goes(cluster) -> None:
    diary = cluster
    diary.observes(ONE, TWO)
    assert told(diary.at(IDLE_S - 0.1).meanwhile) == []
    assert told(diary.at(IDLE_S).meanwhile) == ["release one"], "the one that has been empty for longest"
    assert {row.name: row.state for row in diary.engine.stats.nodes()} == {"one": "drained", "two": "ready"}
    assert told(diary.at(1_000.0).meanwhile) == [], "one is kept"
    diary.opens(min_containers=3, resources=CORE)
    assert set(diary.where().values()) == {"two"}


def test_a_node_that_was_of_use_meanwhile_stays(cluster) -> None:
    diary = cluster
    diary.observes(ONE, TWO)
    diary.opens(min_containers=1, resources=Resources(cpu=5.0, memory_bytes=0))
    assert diary.where() == {"c1": "two"}
    diary.at(20.0).ready("c1")
    assert told(diary.at(100.0).meanwhile) == ["release one"]
    diary.observes(TWO, Node("three", 2, 16 * GIB))
    diary.at(110.0).closes()
    diary.exits("c1")
    assert told(diary.at(110.0 + IDLE_S - 0.1).meanwhile) == ["release three"]
    assert told(diary.at(1_000.0).meanwhile) == []


def test_a_node_that_vanished_or_drains_is_not_given_back(cluster) -> None:
    diary = cluster
    diary.observes(ONE, TWO)
    diary.drains("one")
    assert told(diary.at(1_000.0).meanwhile) == []
    diary.observes(TWO)
    assert told(diary.observes(TWO, ONE)) == ["release two"]


def test_other_backends_are_told_nothing(diary) -> None:
    diary.observes(ONE)
    diary.opens(min_containers=100, resources=CORE)
    assert told(diary.at(1_000.0).meanwhile) == []
    assert diary.engine.next_deadline() > 1_000.0


# ---------------------------------------------------------------- what can never be had


def test_what_a_node_could_hold_that_is_not_there_is_waited_for(new_diary) -> None:
    diary = new_diary(backend="ray", cpu_overcommit=1.0, ray_slices="cpu=4 cpu=16,memory=32GiB,gpu=1")
    diary.observes(ONE)
    wants = Resources(cpu=10.0, memory_bytes=20 * GIB, gpu=(GpuRequest("H100"),))
    assert told(diary.at(1.0).opens(min_containers=1, resources=wants)) == ["want room for 1 of 10 cores"]


@pytest.mark.parametrize(
    "wants", [Resources(cpu=17.0), Resources(memory_bytes=40 * GIB, cpu=5.0), Resources(gpu=(GpuRequest("any", 2),))]
)
def test_what_no_node_could_hold_is_refused(new_diary, wants: Resources) -> None:
    diary = new_diary(backend="ray", cpu_overcommit=1.0, ray_slices="cpu=4 cpu=16,memory=32GiB,gpu=1")
    diary.observes(ONE)
    [refused] = [line for line in diary.opens(min_containers=1, resources=wants) if "no slice of" in line]
    assert refused.startswith("fail 1: f: no slice of ray_slices holds it, and ")


def test_of_machines_of_unknown_size_any_may_come(cluster) -> None:
    assert told(cluster.opens(min_containers=1, resources=Resources(cpu=500.0))) == ["want room for 1 of 500 cores"]
