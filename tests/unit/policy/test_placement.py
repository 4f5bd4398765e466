"""Where a container goes, which GPUs it gets, and which container leaves first."""

from __future__ import annotations

from swell.model import Gpu, GpuRequest, Node, Placement, Resources
from swell.policy.placement import Leaver, NodeRoom, Place, fewest, find_place, first_to_leave, never_fits

GIB = 1 << 30


def room(
    name: str = "a",
    *,
    cpu: float = 4,
    memory: int = 8 * GIB,
    cpu_used: float = 0.0,
    memory_used: int = 0,
    gpus: tuple[str, ...] = (),
    taken: frozenset[str] = frozenset(),
) -> NodeRoom:
    found = tuple(Gpu(f"{name}-{i}", kind) for i, kind in enumerate(gpus))
    return NodeRoom(
        node=Node(name, cpu, memory, found),
        cpu_capacity=cpu,
        memory_capacity=memory,
        cpu_used=cpu_used,
        memory_used=memory_used,
        gpus_used=taken,
    )


def on_gpu(*requests: GpuRequest) -> Resources:
    return Resources(gpu=requests)


def leaver(name: str, *, beside: int = 1, on_node: int = 1, wastes_gpus: bool = False) -> Leaver:
    return Leaver(name, beside, on_node, wastes_gpus)


def leaves(*leavers: Leaver, placement: Placement = Placement.PACK, nodes: int = 2, floor: int = 0) -> str:
    found = first_to_leave(leavers, placement=placement, nodes=nodes, floor=floor)
    return "" if found is None else found.container_id


def test_the_first_room_that_fits_wins() -> None:
    assert find_place([room("b", cpu_used=1), room("a", cpu_used=2)], Resources()) == Place("b")


def test_of_several_nodes_the_one_with_the_fewest_containers_of_a_function_wins_and_of_equals_the_first() -> None:
    assert fewest("abcd", {"a": "xx", "b": "x", "c": "x", "d": "xxx"}) == "b"
    assert fewest("abcd", {"a": "x", "b": "x"}) == "c"
    assert fewest("", {"a": "x"}) is None


def test_containers_leave_the_emptiest_node_first_so_that_it_becomes_empty() -> None:
    assert leaves(leaver("1", on_node=9), leaver("2", on_node=3), leaver("3", on_node=3)) == "2"
    assert leaves() == ""


def test_what_needs_no_gpu_leaves_nodes_with_gpus_first() -> None:
    assert leaves(leaver("1", on_node=1), leaver("2", on_node=9, wastes_gpus=True)) == "2"


def test_where_containers_are_spread_the_one_with_most_others_beside_it_leaves_first() -> None:
    crowded = leaver("1", on_node=1), leaver("2", beside=3, on_node=9), leaver("3", beside=2, on_node=9)
    assert leaves(*crowded, placement=Placement.SPREAD) == "2"


def test_a_floor_stays_spread() -> None:
    alone, together = leaver("1"), leaver("2", beside=2, on_node=9)
    assert leaves(alone, together, nodes=3, floor=3) == "2"
    assert leaves(alone, nodes=3, floor=3) == "", "it stays, though the plan has no need of it"
    assert leaves(alone, nodes=3, floor=2) == "1"
    assert leaves(alone, nodes=1, floor=1) == "1", "one alone is on one node, whichever"


def test_a_full_node_is_passed_over() -> None:
    assert find_place([room("a", cpu_used=4), room("b", cpu_used=3.9)], Resources(cpu=0.1)) == Place("b")
    assert find_place([room(memory_used=8 * GIB)], Resources()) is None
    assert find_place([], Resources()) is None


def test_sums_of_fractions_fill_a_node_to_the_last_core() -> None:
    used = sum([0.1] * 9)
    assert find_place([room(cpu=1.0, cpu_used=used)], Resources(cpu=0.1)) is not None


def test_the_first_kind_that_fits_anywhere_wins() -> None:
    rooms = [room("a", gpus=("A100", "A100")), room("b", gpus=("H100",))]
    wants = on_gpu(GpuRequest("H100"), GpuRequest("A100", 2))
    assert find_place(rooms, wants) == Place("b", ("b-0",))
    rooms[1] = room("b", gpus=("H100",), taken=frozenset({"b-0"}))
    assert find_place(rooms, wants) == Place("a", ("a-0", "a-1"))


def test_gpus_come_from_one_node() -> None:
    assert find_place([room("a", gpus=("H100",)), room("b", gpus=("H100",))], on_gpu(GpuRequest("H100", 2))) is None


def test_any_kind_and_an_exact_kind() -> None:
    assert find_place([room(gpus=("L4",))], on_gpu(GpuRequest("any"))) == Place("a", ("a-0",))
    assert find_place([room(gpus=("H100",))], on_gpu(GpuRequest("h100!"))) == Place("a", ("a-0",))


def test_a_request_that_could_be_met_by_an_empty_node_is_only_full() -> None:
    assert (
        never_fits([room(cpu_used=4, memory_used=8 * GIB, taken=frozenset({"a-0"}), gpus=("L4",))], Resources()) == ""
    )
    assert never_fits([], Resources(cpu=1e6)) == "", "no node is known yet: who can tell"


def test_a_request_that_no_node_can_ever_meet_names_what_there_is() -> None:
    text = never_fits([room(cpu=2), room("b", cpu=3)], Resources(cpu=16))
    assert "16 cores" in text
    assert "largest offers 3 cores" in text
    text = never_fits([room(gpus=("L4", "L4", "T4"))], on_gpu(GpuRequest("H100"), GpuRequest("L4", 4)))
    assert text == "no node has the GPUs asked for (H100:1 or L4:4); there is L4:2, T4:1"
    assert "there are no GPUs" in never_fits([room()], on_gpu(GpuRequest("any")))
