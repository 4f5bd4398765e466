from __future__ import annotations

from swell.backends.ray.messages import RayNode
from swell.backends.ray.placing import all_free_on, freest, with_room
from swell.slices import Slice

GIB = 1 << 30


def machine(name: str, *, cpu: float = 8, free: float = 8, gpus: float = 0, drains: float | None = None) -> RayNode:
    return RayNode(
        node=name,
        host="h",
        cpu=cpu,
        cpu_free=free,
        memory_bytes=16 * GIB,
        memory_free_bytes=8 * GIB,
        gpus=gpus,
        gpus_free=gpus,
        draining_until=drains,
    )


def test_the_freest_machine_is_chosen_that_stays_and_is_not_taken() -> None:
    nodes = [machine("a", free=7), machine("b", free=6.5), machine("c", free=0.5), machine("d", drains=0.0)]
    assert freest(nodes, ()) == nodes[0]
    assert freest(nodes, ("a",)) == nodes[1]
    assert freest(nodes, ("a", "b")) is None


def test_of_what_is_free_whole_cores_and_gpus_are_taken() -> None:
    assert all_free_on(machine("a", free=6.5, gpus=1.5)) == Slice(6.0, 8 * GIB, 1)


def test_machines_to_avoid_come_last_for_those_who_take_a_whole_one_and_not_at_all_for_others() -> None:
    nodes = [machine("a", free=7), machine("b", free=3), machine("c", free=8, drains=0.0)]
    assert freest(nodes, (), ("a",)) == nodes[1]
    assert freest(nodes, ("b",), ("a",)) == nodes[0]
    assert with_room(nodes, Slice(2.0), ("a",)) == "b"
    assert with_room(nodes, Slice(2.0), ()) == "a"
    assert with_room(nodes, Slice(4.0), ("a",)) == "", "Ray chooses"
