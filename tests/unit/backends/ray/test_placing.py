from __future__ import annotations

from swell.backends.ray.messages import RayNode
from swell.backends.ray.placing import all_free_on, freest, waiting_text, why_no_room
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


def test_there_is_room_where_one_machine_has_all_of_it() -> None:
    nodes = [machine("a", free=2), machine("b", free=8)]
    assert why_no_room(Slice(4.0, 4 * GIB), nodes) == ""
    assert why_no_room(None, nodes) == ""


def test_without_room_it_is_told_whether_it_could_come() -> None:
    nodes = [machine("a", free=2), machine("b", free=3, drains=0.0)]
    assert why_no_room(Slice(4.0), nodes) == "none of 2 machines has that free now"
    assert "is as large; the largest has cpu=8,memory=16GiB" in why_no_room(Slice(64.0), nodes)
    assert "is as large" in why_no_room(Slice(1.0, 0, 1), nodes)
    assert why_no_room(None, [machine("a", free=0.5)]) == "none of 1 machines has a free core"
    assert why_no_room(Slice(1.0), []) == "there is no machine"


def test_those_who_wait_are_counted_by_what_they_wait_for() -> None:
    large = Slice(8.0)
    assert waiting_text([large, Slice(1.0), large], [machine("a", free=0.5)]) == (
        "waiting for nodes: 2 of cpu=8, 1 of cpu=1 (Ray has not started them; none of 1 machines has that free now)"
    )
    assert waiting_text([None], [machine("a")]) == (
        "waiting for nodes: 1 of all that is free on a node (Ray has not started them)"
    )
