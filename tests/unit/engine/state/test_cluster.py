"""The nodes in the order in which they are filled."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace
from typing import Any

from swell.config import Settings
from swell.engine.events import NodeView
from swell.engine.state.cluster import Cluster
from swell.model import Gpu, Node, Resources
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


def names(found: Cluster, *, with_free_gpus: bool = False) -> str:
    return "".join(room.node.name for room in found.rooms(with_free_gpus=with_free_gpus))


def test_the_most_free_cores_come_first() -> None:
    found = cluster(Node("a", 2, GIB), Node("c", 4, GIB), Node("b", 4, GIB))
    assert names(found) == "bca"
    found.occupy(container("b", cpu=3.0))
    assert names(found) == "cab"
    assert next(iter(found.rooms())).node.name == "c"


def test_what_is_spoken_for_comes_back_when_a_container_is_gone() -> None:
    found = cluster(Node("a", 4, 4 * GIB))
    first = container("a", cpu=0.1)
    for each in (first, container("a", cpu=0.2)):
        found.occupy(each)
    assert (found["a"].starting, found.memory_free_most) == (2, 2 * GIB)
    found.check_in(first)
    first.is_starting = False
    found.release(first)
    assert (len(found["a"].containers), found["a"].starting, found.memory_free_most) == (1, 1, 3 * GIB)


def test_only_nodes_with_a_free_gpu_are_looked_at_for_one() -> None:
    gpus = (Gpu("g0", "L4"), Gpu("g1", "L4"))
    found = cluster(Node("a", 2, GIB), Node("b", 2, GIB, gpus))
    assert names(found, with_free_gpus=True) == "b"
    first, second = container("b", memory=0, gpus=("g0",)), container("b", memory=0, gpus=("g1",))
    found.occupy(first)
    [room] = found.rooms(with_free_gpus=True)
    assert room.gpus_used == {"g0"}
    found.occupy(second)
    assert names(found, with_free_gpus=True) == ""
    found.release(first)
    assert names(found, with_free_gpus=True) == "b"
    observe(found, Node("a", 2, GIB), Node("b", 1, GIB))
    assert names(found, with_free_gpus=True) == ""


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
