"""The nodes, and the room that each offers."""

from __future__ import annotations

from itertools import count
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest

from swell.config import Settings
from swell.engine.events import NodeView
from swell.engine.state.cluster import Cluster
from swell.engine.state.node import Readiness
from swell.model import Gpu, GpuRequest, Node, Resources
from swell.policy.placement import Place
from swell.states import ContainerState

GIB = 1 << 30
NUMBERS = count()


def cluster(*nodes: Node) -> Cluster:
    found = Cluster(Settings(cpu_overcommit=1.0, memory_overcommit=1.0))
    observe(found, *nodes)
    return found


def observe(found: Cluster, *nodes: Node) -> None:
    found.observe([NodeView(node, 0.0) for node in nodes], 0.0)


def container(node: str, cpu: float = 1.0, memory: int = GIB, gpus: tuple[str, ...] = ()) -> Any:
    spec = SimpleNamespace(resources=Resources(cpu=cpu, memory_bytes=memory))
    name, place, state = f"ta-{next(NUMBERS)}", Place(node, gpus), ContainerState.STARTING
    return SimpleNamespace(id=name, spec=spec, place=place, state=state, is_starting=True)


def names(found: Cluster, *, has_gpus: bool = False, readiness: Readiness = Readiness.NOW) -> str:
    return "".join(found.rooms[has_gpus, readiness].free())


def with_free_gpus(found: Cluster) -> str:
    return "".join(found.with_free_gpus.free())


def test_the_fewest_free_cores_come_first() -> None:
    found = cluster(Node("a", 2, GIB), Node("c", 4, GIB), Node("b", 4, GIB))
    assert names(found) == "abc"
    found.occupy(container("b", cpu=3.0))
    assert names(found) == "bac"


def test_nodes_with_gpus_and_nodes_at_work_are_apart() -> None:
    plain, gpu = Node("a", 2, GIB), Node("b", 2, GIB, (Gpu("g", "L4"),))
    found = cluster(plain, gpu)
    assert (names(found), names(found, has_gpus=True)) == ("a", "b")
    found.observe([NodeView(plain, 2.0, 2.0), NodeView(gpu)], 0.1)
    assert (names(found), names(found, readiness=Readiness.LATER)) == ("", "a")


def test_a_node_whose_burst_is_used_up_comes_after_others() -> None:
    found = cluster(Node("a", 2, 9 * GIB), Node("b", 2, 9 * GIB))
    for _ in range(4):
        found.occupy(container("a", cpu=0.1))
    assert (names(found), names(found, readiness=Readiness.SOON)) == ("b", "a")


def test_a_node_that_drains_offers_nothing() -> None:
    found = cluster(Node("a", 2, GIB), Node("b", 2, GIB, (Gpu("g", "L4"),)))
    found.drain("b", inf, inf)
    assert (names(found, has_gpus=True), with_free_gpus(found), list(found.draining)) == ("", "", ["b"])
    assert found.why_never(Resources(gpu=(GpuRequest("L4"),))) == "", "it may be resumed"
    found.resume("b")
    assert (names(found, has_gpus=True), with_free_gpus(found), list(found.draining)) == ("b", "b", [])


def test_nothing_is_impossible_while_nodes_are_awaited_but_what_fits_already_is_known_to() -> None:
    found = cluster(Node("a", 4, 4 * GIB))
    much = Resources(cpu=1_000)
    assert found.explain((), "", are_awaited=True), "pools that wait for room are told"
    assert (found.why_never(much), found.could_hold(much), found.could_hold(Resources())) == ("", False, True)
    assert not found.explain((), "", are_awaited=True)
    assert found.explain((), "", are_awaited=False)
    assert "fits on no node" in found.why_never(much)
    assert not cluster().could_hold(Resources()), "no node is known"


def test_what_is_spoken_for_comes_back_when_a_container_is_gone() -> None:
    found = cluster(Node("a", 4, 4 * GIB))
    first = container("a", cpu=0.1)
    for each in (first, container("a", cpu=0.2)):
        found.occupy(each)
    assert found["a"].starting == 2
    assert found.rooms[False, Readiness.NOW].free() == {"a": (pytest.approx(3.7), 2 * GIB)}
    found.check_in(first)
    first.is_starting = False
    found.release(first)
    assert (len(found["a"].containers), found["a"].starting) == (1, 1)
    assert found.rooms[False, Readiness.NOW].free() == {"a": (pytest.approx(3.8), 3 * GIB)}


def test_only_nodes_with_a_free_gpu_are_looked_at_for_one() -> None:
    gpus = (Gpu("g0", "L4"), Gpu("g1", "L4"))
    found = cluster(Node("a", 2, GIB), Node("b", 2, GIB, gpus))
    assert with_free_gpus(found) == "b"
    first, second = container("b", memory=0, gpus=("g0",)), container("b", memory=0, gpus=("g1",))
    found.occupy(first)
    assert found["b"].room.gpus_used == {"g0"}
    found.occupy(second)
    assert with_free_gpus(found) == ""
    found.release(first)
    assert with_free_gpus(found) == "b"
    observe(found, Node("a", 2, GIB), Node("b", 1, GIB))
    assert with_free_gpus(found) == ""


def test_a_node_that_is_back_before_its_containers_are_gone_is_as_full_as_it_was() -> None:
    found = cluster(Node("a", 4, 4 * GIB))
    one = container("a")
    found.occupy(one)
    observe(found, Node("b", 1, GIB))
    assert names(found) == "b"
    observe(found, Node("a", 4, 4 * GIB))
    assert found["a"].memory_used == GIB
    assert found["a"].pace is not None, "its pace began anew"
    found.release(one)
    assert found["a"].memory_used == 0


def test_a_node_that_vanished_is_forgotten_with_its_last_container() -> None:
    found = cluster(Node("a", 4, 4 * GIB))
    first, second = container("a"), container("a")
    for each in (first, second):
        found.occupy(each)
    observe(found)
    assert not found
    assert list(found.vanished) == ["a"]
    found.release(first)
    found.release(second)
    assert not found.vanished
