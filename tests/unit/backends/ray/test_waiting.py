from __future__ import annotations

from math import inf

import pytest

from swell.backends.ray.messages import RayNode, Scaling
from swell.backends.ray.waiting import next_change_s, waiting_text, why_no_room
from swell.slices import Slice

GIB = 1 << 30
LARGE = Slice(8.0)


def machine(name: str, *, cpu: float = 8, free: float = 8, drains: float | None = None) -> RayNode:
    return RayNode(
        node=name,
        host="h",
        cpu=cpu,
        cpu_free=free,
        memory_bytes=16 * GIB,
        memory_free_bytes=8 * GIB,
        gpus=0,
        gpus_free=0,
        draining_until=drains,
    )


FULL = [machine("a", free=0.5)]


def test_there_is_room_where_one_machine_has_all_of_it() -> None:
    nodes = [machine("a", free=2), machine("b", free=8)]
    assert why_no_room(Slice(4.0, 4 * GIB), nodes) == ""
    assert why_no_room(None, nodes) == ""


def test_without_room_it_is_told_whether_it_could_come() -> None:
    nodes = [machine("a", free=2), machine("b", free=3, drains=0.0)]
    assert why_no_room(Slice(4.0), nodes) == "none of 2 machines has that free now"
    assert "is as large; the largest has cpu=8,memory=16GiB" in why_no_room(Slice(64.0), nodes)
    assert "is as large" in why_no_room(Slice(1.0, 0, 1), nodes)
    assert why_no_room(None, FULL) == "none of 1 machines has a free core"
    assert why_no_room(Slice(1.0), []) == "there is no machine"


def test_those_who_wait_are_counted_by_what_they_wait_for_and_the_oldest_says_since_when() -> None:
    assert waiting_text([(LARGE, 12.0), (Slice(1.0), 5.0), (LARGE, 31.0)], FULL, Scaling()) == (
        "waiting for 2 nodes of cpu=8 (asked Ray over 30 s ago; Ray says: pending, none of 1 machines has that free "
        "now), 1 node of cpu=1 (asked Ray over 5 s ago; Ray says: pending, none of 1 machines has that free now)"
    )


def test_who_waits_for_a_moment_is_not_told_of() -> None:
    assert waiting_text([(LARGE, 4.9)], FULL, Scaling()) == ""
    assert waiting_text([], FULL, Scaling()) == ""


def says(wanted: Slice | None, scaling: Scaling, nodes: list[RayNode]) -> str:
    text = waiting_text([(wanted, 5.0)], nodes, scaling)
    return text.partition("Ray says: ")[2].removesuffix(")")


def test_ray_says_what_its_autoscaler_does() -> None:
    assert says(LARGE, Scaling(is_there=True, starting={"spot": 2, "large": 1}), FULL) == (
        "pending, none of 1 machines has that free now; machines are being added: 1 of type large, 2 of type spot"
    )
    assert says(LARGE, Scaling(is_there=True, infeasible=(LARGE,)), FULL) == (
        "infeasible, none of 1 machines has that free now, and its autoscaler has no such machine to add"
    )
    assert says(LARGE, Scaling(is_there=True, failure="quota"), FULL) == (
        "pending, none of 1 machines has that free now; a machine could not be added: quota"
    )


def test_what_no_machine_is_large_enough_for_is_infeasible_unless_an_autoscaler_adds_one() -> None:
    small = [machine("a", cpu=4, free=4)]
    assert says(LARGE, Scaling(), small).startswith("infeasible, none of 1 machines is as large")
    assert says(LARGE, Scaling(is_there=True), small).startswith("pending, none of 1 machines is as large")


def test_where_there_is_room_ray_is_starting_the_agent() -> None:
    assert says(LARGE, Scaling(), [machine("a")]) == "starting, there is room"
    assert says(None, Scaling(), [machine("a")]) == "starting, there is room"


def test_for_all_that_is_free_somewhere_ray_is_not_asked_before_there_is_such_a_machine() -> None:
    assert waiting_text([(None, 60.0)], FULL, Scaling()) == (
        "waiting for 1 node of all that is free on a node (for over 1 min; none of 1 machines has a free core, and "
        "Ray's autoscaler adds some for ray_slices only)"
    )


@pytest.mark.parametrize(
    ("ages_s", "change_s"), [([], inf), ([0.0], 5.0), ([7.0, 4.5], 0.5), ([10.0], 10.0), ([90_000.0], inf)]
)
def test_the_text_changes_by_time_alone_in_ever_longer_steps(ages_s: list[float], change_s: float) -> None:
    assert next_change_s(ages_s) == change_s
