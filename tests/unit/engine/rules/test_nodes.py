"""How many containers a node is given at a time, and when it is observed."""

from __future__ import annotations

from swell.engine.events import NodesObserved, NodeView
from swell.model import Node, RefusedNode, Resources

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
    diary.observes(large, small)
    diary.opens(min_containers=16)
    diary.at(0.5).feed(NodesObserved(views))
    diary.feed(NodesObserved(views))
    assert {container.place.node for container in diary.engine.state.containers.values()} == {"large"}
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
