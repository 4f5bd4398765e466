"""Which node a container goes to, how many a node is given at a time, and when it is observed."""

from __future__ import annotations

from msgspec.structs import replace

from swell.engine.events import NodesObserved, NodeView
from swell.model import Gpu, GpuRequest, Node, Placement, RefusedNode, Resources

SMALL = Node("small", 2, 1 << 40)
OTHER = Node("other", 2, 1 << 40)


def starts(lines: list[str]) -> int:
    return sum(line.startswith("start ") for line in lines)


def test_others_take_their_turn_as_soon_as_the_first_are_seen_to_sleep(diary) -> None:
    diary.observes(SMALL)
    diary.opens()
    assert starts(diary.at(0.0001).calls("fc-1", 100)) == 4
    diary.at(0.001).observes(SMALL, busy=2.0, working=0.0)  # too soon to tell anything
    for number in range(1, 5):
        assert starts(diary.at(0.004).ready(f"c{number}")) == 0, "it may be about to compute"
    busy = diary.at(0.011).observes(SMALL, busy=2.0, working=0.0, unjudged=4)
    assert starts(busy) == 0, "they may be about to compute"
    assert starts(diary.at(0.041).observes(SMALL, busy=2.0, working=0.0, sleepers=4)) == 8


def test_no_more_are_started_where_the_first_compute(diary) -> None:
    diary.observes(SMALL)
    diary.opens()
    diary.calls("fc-1", 100)
    for number in range(1, 5):
        diary.ready(f"c{number}")
    for look in range(1, 50):
        assert starts(diary.at(look * 0.05).observes(SMALL, busy=2.0)) == 0


def test_a_look_is_due_soon_after_a_container_has_checked_in(diary) -> None:
    diary.observes(SMALL)
    diary.opens()
    diary.calls("fc-1", 100)
    for _ in range(20):  # nothing happens for long, so that looks become rare
        diary.at(diary.now + 0.5).observes(SMALL, busy=2.0)
    diary.ready("c1")
    assert "look at the nodes" in diary.at(diary.now + 0.011).meanwhile


def test_the_first_of_a_pool_are_waited_for_and_not_for_ever(diary) -> None:
    large = Node("large", 64, 1 << 40)
    diary.observes(large)
    diary.opens()
    assert starts(diary.calls("fc-1", 200)) == 128
    diary.started("c1")
    assert starts(diary.at(0.49).observes(large)) == starts(diary.meanwhile) == 0
    assert "look at the nodes" not in diary.meanwhile
    assert diary.at(0.504).meanwhile == ["look at the nodes"]
    assert starts(diary.observes(large)) == 0
    assert starts(diary.at(0.52).observes(large)) == 72


def test_where_no_process_has_been_made_there_is_nothing_to_be_seen(diary) -> None:
    diary.observes(SMALL)
    diary.opens()
    assert starts(diary.calls("fc-1", 100)) == 4
    for look in range(1, 40):  # their template is being started
        assert starts(diary.at(look * 0.05).observes(SMALL)) == starts(diary.meanwhile) == 0
    diary.started("c1")
    assert "look at the nodes" in diary.at(2.6).meanwhile


def test_a_new_node_is_used_by_whom_it_suffices_however_many_want_more(new_diary) -> None:
    diary = new_diary(cpu_overcommit=1.0)
    first, large, new = Node("first", 1, 1 << 40), Node("large", 64, 1 << 40), Node("new", 4, 1 << 40)
    diary.observes(first, large)
    names = [f"f{number}" for number in range(40)]
    diary.opens(*names, resources=Resources(cpu=32.0))
    diary.opens("small", app="small", resources=Resources(cpu=2.0))
    diary.observes(first)
    for name in (*names, "small"):
        assert starts(diary.calls(f"fc-{name}", function=name)) == 0
    started = starts(diary.at(1.0).observes(first, new))
    while "look at the nodes" in diary.at(diary.now + 1.0).meanwhile:
        started += starts(diary.observes(first, new))
    assert started == 1
    assert diary.pool("small").fleet.live == 1


def test_containers_that_were_starting_on_a_node_that_is_lost_start_elsewhere_at_once_and_count_as_no_failures(
    new_diary,
) -> None:
    diary = new_diary(start_failures_max=1)
    diary.observes(SMALL)
    diary.opens()
    assert starts(diary.at(0.0001).calls("fc-1", 4)) == 4
    diary.observes(OTHER)
    lost = [line for number in range(1, 5) for line in diary.exits(f"c{number}", "node small is lost")]
    assert starts(lost) == 4
    assert not [line for line in lost if "INIT_FAILURE" in line]
    assert diary.fails_to_start("c5")[-1:] == ["tell 1: fc-1[0:4] INIT_FAILURE"], "that one is its own fault"


def test_a_node_that_is_at_work_does_not_hold_up_one_that_is_not(diary) -> None:
    large, small = Node("large", 16, 1 << 40), Node("small", 8, 1 << 40)
    views = [NodeView(large, 16.0, 16.0), NodeView(small)]
    diary.observes(large)
    diary.opens(min_containers=16)
    diary.at(0.5).feed(NodesObserved(views))
    diary.feed(NodesObserved(views))
    assert set(diary.where().values()) == {"large"}
    for number in range(1, 17):
        diary.ready(f"c{number}")
    diary.calls("fc-1", 100)
    *_, newest = diary.engine.state.containers.values()
    assert newest.place.node == "small"


def test_who_waits_for_a_node_is_told_which_were_refused_also_when_that_is_known_later(diary) -> None:
    diary.feed(NodesObserved([]))
    diary.opens()
    diary.calls("fc-1", 1)
    assert diary.pool().scaling.blocked_reason == "no node is known yet"
    old = [RefusedNode(f"n{number}", "it has Python 2.7, the server 3.11") for number in range(5)]
    diary.feed(NodesObserved([], old[:1]))
    only = "no node is known yet; node n0 was refused: it has Python 2.7, the server 3.11"
    assert diary.pool().scaling.blocked_reason == only
    diary.feed(NodesObserved([], old))
    assert diary.pool().scaling.blocked_reason.startswith(f"{only}; node n1 was refused")
    assert diary.pool().scaling.blocked_reason.endswith("; 2 more were refused")
    assert starts(diary.observes(SMALL)) == 1
    assert diary.pool().scaling.blocked_reason == ""


def test_what_is_wrong_with_the_nodes_is_why_work_waits(diary) -> None:
    diary.feed(NodesObserved([], (), "Ray cannot be used: no answer"))
    diary.opens()
    diary.calls("fc-1")
    assert diary.pool().scaling.blocked_reason == "no node is known yet; Ray cannot be used: no answer"


# ---------------------------------------------------------------- where containers go


A, B, C = (Node(name, 4, 1 << 40) for name in "abc")
GPUS = Node("gpus", 64, 1 << 40, (Gpu("g0", "L4"), Gpu("g1", "L4")))


def where(diary) -> str:
    """The nodes of containers, in the order of their starts."""
    return " ".join(diary.where().values())


def test_containers_are_packed_so_that_other_nodes_stay_empty(diary) -> None:
    diary.observes(A, B, C)
    diary.opens("f", "g")
    for number in range(3):
        diary.calls(f"fc-{number}")
    diary.calls("fc-9", function="g")
    assert where(diary) == "a a a a"


def test_of_nodes_in_use_the_fullest_with_room_is_filled(new_diary) -> None:
    diary = new_diary(cpu_overcommit=1.0)
    diary.observes(A)
    diary.opens("large", resources=Resources(cpu=2.0))
    diary.opens("small", app="other", resources=Resources(cpu=3.0))
    diary.calls("fc-1", function="large")
    diary.observes(A, B, C)
    diary.calls("fc-2", function="small")
    assert where(diary) == "a b", "a has no room"
    diary.opens("tiny", app="third", resources=Resources(cpu=1.0))
    diary.calls("fc-3", function="tiny")
    assert where(diary) == "a b b", "b is fuller than a"


def test_memory_counts_as_well(new_diary) -> None:
    diary = new_diary(memory_overcommit=1.0)
    diary.observes(*(Node(name, 4, 1 << 30) for name in "abcd"))
    diary.opens(resources=Resources(memory_bytes=1 << 30))
    diary.calls("fc-1", 3)
    assert where(diary) == "a b c"


def test_what_one_node_cannot_start_at_once_is_started_on_several(diary) -> None:
    diary.observes(A, B, C)
    diary.opens()
    diary.calls("fc-1")
    diary.at(0.1).ready("c1")
    diary.observes(A, B, C)
    diary.calls("fc-2", 20)
    assert where(diary) == " ".join("a" * 9 + "b" * 8 + "c" * 4)


def test_a_function_that_is_spread_goes_where_it_has_the_fewest_then_to_the_emptiest(diary) -> None:
    diary.observes(A)
    diary.opens("other")
    diary.calls("fc-0", function="other")
    diary.observes(A, B, C)
    diary.opens("f", app="spread", placement=Placement.SPREAD)
    for number in range(1, 6):
        diary.calls(f"fc-{number}")
    assert where(diary) == "a c b a c b"


def test_the_first_containers_of_any_function_are_spread(diary) -> None:
    diary.observes(A, B, C)
    diary.opens(min_containers=3)
    diary.calls("fc-1", 5)
    assert where(diary) == "a b c a a"
    diary.opens("g", app="other", min_containers=2)
    assert where(diary) == "a b c a a a b", "the fullest, for those of other functions"


def test_the_floor_of_a_new_version_is_spread(diary) -> None:
    diary.observes(A, B, C)
    diary.deploys(min_containers=3)
    for number in range(1, 4):
        diary.ready(f"c{number}")
    diary.deploys(min_containers=3, code="two")
    assert where(diary) == "a b c a b c"


def test_a_floor_is_spread_over_nodes_that_come_later(diary) -> None:
    diary.observes(A)
    diary.opens(min_containers=3, scaledown_window=10)
    for number in range(1, 4):
        diary.ready(f"c{number}")
    diary.observes(A, B, C)
    assert diary.at(0.1).meanwhile == ["start c4", "start c5"]
    assert where(diary) == "a a a b c"
    diary.ready("c4")
    diary.ready("c5")
    assert diary.at(30.0).meanwhile == ["drain c1", "drain c2"]


def test_while_a_floor_is_spread_it_is_not_undercut(diary) -> None:
    diary.observes(A)
    diary.opens(min_containers=2, scaledown_window=2)
    diary.ready("c1")
    diary.ready("c2")
    diary.at(10.0).observes(A, B)
    assert diary.at(10.1).meanwhile == ["start c3"]
    assert diary.calls("fc-1") == ["deliver #1 to c2: fc-1[0]"]
    assert diary.completes("c2", 1, 0) == ["tell 1: fc-1[0]"], "c1 is idle, and needed until c3 is ready"
    assert diary.ready("c3") == ["drain c1"]


def test_a_floor_that_is_all_there_may_be_stays_where_it_is(diary) -> None:
    diary.observes(A)
    diary.opens(min_containers=2, max_containers=2)
    diary.observes(A, B)
    assert diary.at(1.0).meanwhile == []


def test_a_floor_is_spread_over_a_node_that_is_resumed(diary) -> None:
    diary.observes(A, B)
    diary.drains("b")
    diary.opens(min_containers=2)
    assert where(diary) == "a a"
    diary.resumes("b")
    diary.at(0.1)
    assert where(diary) == "a a b"


def test_nodes_with_gpus_come_last_for_what_needs_none(new_diary) -> None:
    diary = new_diary(cpu_overcommit=1.0)
    diary.observes(GPUS, A)
    diary.opens(resources=Resources(cpu=2.0))
    diary.calls("fc-1", 3)
    assert where(diary) == "a a gpus"


def test_a_node_with_gpus_is_better_than_all_of_a_floor_on_one(diary) -> None:
    diary.observes(GPUS, A)
    diary.opens(min_containers=4)
    assert where(diary) == "a gpus a a"


def test_gpus_are_packed_or_spread_alike(diary) -> None:
    others = Node("more", 64, 1 << 40, (Gpu("g2", "L4"), Gpu("g3", "L4")))
    wants = Resources(gpu=(GpuRequest("L4"),))
    diary.observes(GPUS, others, A)
    diary.opens("f", resources=wants)
    diary.calls("fc-1", 2)
    assert where(diary) == "gpus gpus"
    diary.opens("g", app="spread", resources=wants, placement=Placement.SPREAD)
    diary.calls("fc-2", 2, function="g")
    assert where(diary) == "gpus gpus more more", "there are no others"


# ---------------------------------------------------------------- which leave


def test_the_emptiest_node_is_left_first(diary) -> None:
    diary.observes(A)
    diary.opens("f", scaledown_window=10)
    diary.calls("fc-1", 3)
    for number in range(1, 4):
        diary.ready(f"c{number}")
    diary.observes(replace(A, cpu=0.375 / 16), B)  # there is no more room on it
    diary.calls("fc-2")
    diary.ready("c4")
    assert where(diary) == "a a a b"
    diary.at(1.0)
    for number, name in enumerate(("c1", "c2", "c3", "c4"), start=1):
        diary.completes(name, number, 0)
    assert diary.at(12.0).meanwhile == ["drain c4", "drain c1", "drain c2", "drain c3"]


def test_a_floor_that_is_spread_stays_so(diary) -> None:
    diary.observes(A, B)
    diary.opens(min_containers=2, scaledown_window=10)
    diary.ready("c1")
    diary.ready("c2")
    diary.calls("fc-1", 4)
    diary.ready("c3")
    diary.ready("c4")
    assert where(diary) == "a b a a"
    held = {name: next(iter(diary.deliveries(name))) for name in ("c1", "c2", "c3", "c4")}
    for number, name in enumerate(("c2", "c1", "c3", "c4")):
        diary.at(0.1 * number).completes(name, held[name], 0)
    left = [line for line in diary.at(30.0).meanwhile if line.startswith("drain")]
    assert left == ["drain c1", "drain c3"], "c2 has been idle for longest, and is the only one on its node"
