"""A diary of nodes that are taken out of service, and of the containers that leave them."""

from __future__ import annotations

import pytest

from swell.engine.events import NodeDrains
from swell.model import Concurrency, GpuRequest, Node, Resources, WebSpec

ONE, TWO = Node("one", 8, 1 << 40), Node("two", 4, 1 << 40)


@pytest.fixture
def two_nodes(diary):
    """A diary of a machine that is filled first, and another."""
    diary.observes(ONE)
    return diary


def ready_on_one(diary, count: int, **options) -> None:
    """Open a function whose first containers are all on one node; the other comes later."""
    diary.opens(min_containers=count, **options)
    for number in range(1, count + 1):
        diary.ready(f"c{number}")
    assert set(diary.where().values()) == {"one"}
    diary.observes(ONE, TWO)


def decided(lines: list[str]) -> list[str]:
    return [line for line in lines if line != "tell 1: Done"]


def test_containers_are_replaced_elsewhere_before_they_leave(two_nodes) -> None:
    diary = two_nodes
    ready_on_one(diary, 2)
    assert diary.drains("one") == ["tell 1: Done"]
    assert diary.at(0.1).meanwhile == ["start c3", "start c4"]
    assert diary.where()["c3"] == diary.where()["c4"] == "two"
    assert diary.ready("c3") == ["drain c1"]
    assert diary.pool().fleet.ready.keys() == {diary.id("c2"), diary.id("c3")}, "never fewer than the floor"
    assert diary.ready("c4") == ["drain c2"]
    assert diary.engine.stats.nodes()[0].state == "draining"
    for name in ("c1", "c2"):
        diary.exits(name)
    shown = {row.name: (row.state, row.containers) for row in diary.engine.stats.nodes()}
    assert shown == {"one": ("drained", 0), "two": ("ready", 2)}


def test_a_container_that_leaves_finishes_what_it_runs(two_nodes) -> None:
    diary = two_nodes
    ready_on_one(diary, 1)
    assert diary.calls("fc-1") == ["deliver #1 to c1: fc-1[0]"]
    diary.drains("one")
    assert diary.at(0.1).meanwhile == ["start c2"]
    assert diary.ready("c2") == ["drain c1"]
    assert diary.at(100.0).completes("c1", 1, 0) == ["tell 1: fc-1[0]"]


def test_until_its_replacement_is_ready_a_container_takes_inputs(two_nodes) -> None:
    diary = two_nodes
    ready_on_one(diary, 1)
    diary.drains("one")
    assert diary.at(0.1).meanwhile == ["start c2"]
    assert diary.calls("fc-1") == ["deliver #1 to c1: fc-1[0]"]


def test_what_is_idle_and_in_no_plan_leaves_at_once(two_nodes) -> None:
    diary = two_nodes
    diary.opens()
    diary.calls("fc-1")
    diary.ready("c1")
    diary.completes("c1", 1, 0)
    diary.observes(ONE, TWO)
    diary.drains("one")
    assert diary.at(0.1).meanwhile == ["drain c1"]


def test_a_start_begins_again_elsewhere(two_nodes) -> None:
    diary = two_nodes
    diary.opens(min_containers=1)
    diary.observes(ONE, TWO)
    diary.drains("one")
    assert diary.at(0.1).meanwhile == ["kill c1: stopped before it was ready", "start c2"]
    assert diary.where()["c2"] == "two"
    assert diary.exits("c1") == []
    assert not diary.pool().start_backoff.failures


def test_nothing_new_is_placed_on_a_node_that_drains(two_nodes) -> None:
    diary = two_nodes
    diary.observes(ONE, TWO)
    diary.drains("one")
    diary.opens(min_containers=20)
    assert set(diary.where().values()) == {"two"}


def test_on_the_only_node_work_waits_and_why_says_so(two_nodes) -> None:
    diary = two_nodes
    diary.opens(min_containers=1)
    diary.ready("c1")
    diary.drains("one")
    assert diary.at(0.1).meanwhile == ["drain c1"]
    diary.exits("c1")
    assert diary.calls("fc-1") == []
    assert any("all nodes drain (one)" in line.text for line in diary.story("ap.f").lines)
    assert decided(diary.resumes("one")) == ["start c2"]
    assert diary.ready("c2") == ["deliver #1 to c2: fc-1[0]"]


def test_where_all_nodes_drain_no_room_is_made_for_anybody(two_nodes) -> None:
    diary = two_nodes
    diary.opens("f", "g")
    diary.calls("fc-1")
    diary.ready("c1")
    diary.drains("one")
    diary.at(0.1)
    assert diary.calls("fc-2", function="g") == []
    assert diary.pool("g").scaling.blocked_reason == "all nodes drain (one), and get no more containers"


def test_a_node_that_comes_is_used_by_what_waits(two_nodes) -> None:
    diary = two_nodes
    diary.drains("one")
    diary.opens()
    assert diary.calls("fc-1") == []
    assert "start c1" in diary.observes(ONE, TWO) + diary.at(1.0).meanwhile


def test_where_there_is_room_for_one_only_one_is_replaced_first(new_diary) -> None:
    diary = new_diary(cpu_overcommit=1.0)
    diary.observes(ONE)
    ready_on_one(diary, 3, resources=Resources(cpu=2.5))
    diary.drains("one")
    assert diary.at(0.1).meanwhile == ["start c4", "drain c1", "drain c2"]
    assert diary.ready("c4") == ["drain c3"]


def test_at_its_ceiling_a_function_lets_one_go_for_each_replacement(two_nodes) -> None:
    diary = two_nodes
    ready_on_one(diary, 2, max_containers=2)
    diary.drains("one")
    assert diary.at(0.1).meanwhile == ["drain c1", "start c3"]
    assert diary.ready("c3") == ["drain c2", "start c4"]


def test_of_very_many_some_leave_at_once_and_the_rest_in_ticks(two_nodes) -> None:
    diary = two_nodes
    ready_on_one(diary, 5)
    diary.engine.state.agenda.bound(looks=64, changes=2)
    diary.updates(min_containers=0)
    diary.drains("one")
    assert diary.ticks() == ["drain c1", "drain c2"]
    assert diary.engine.next_deadline() == 0.0
    assert diary.at(0.1).meanwhile == ["drain c3", "drain c4", "drain c5"]


def test_a_function_whose_replacements_do_not_start_keeps_what_it_has(two_nodes) -> None:
    diary = two_nodes
    ready_on_one(diary, 1)
    diary.drains("one")
    assert diary.at(0.1).meanwhile == ["start c2"]
    assert decided(diary.fails_to_start("c2")) == []
    assert diary.pool().fleet.ready.keys() == {diary.id("c1")}


# ---------------------------------------------------------------- deadlines


def test_what_has_not_ended_some_seconds_before_the_deadline_runs_again_elsewhere(two_nodes) -> None:
    diary = two_nodes
    ready_on_one(diary, 1)
    diary.calls("fc-1")
    diary.drains("one", 60.0)
    assert diary.at(1.0).ready("c2") == ["drain c1"]
    assert diary.at(54.9).meanwhile == []
    assert diary.at(55.1).meanwhile == ["interrupt c1"]
    assert diary.at(59.9).meanwhile == []
    assert diary.at(60.1).meanwhile == ["kill c1: did not leave within its grace"], "its hooks have until then"
    assert diary.exits("c1") == ["deliver #2 to c2: fc-1[0]"]
    call = diary.engine.state.calls["fc-1"]
    assert not call.failures
    assert not call.crashes


def test_with_a_deadline_that_is_near_all_is_interrupted_at_once(two_nodes) -> None:
    diary = two_nodes
    ready_on_one(diary, 3)
    diary.engine.state.agenda.bound(looks=64, changes=2)
    diary.drains("one", 2.0)
    assert [line for line in diary.at(0.1).meanwhile if "interrupt" in line] == [
        "interrupt c1",
        "interrupt c2",
        "interrupt c3",
    ]


def test_a_deadline_can_be_changed(two_nodes) -> None:
    diary = two_nodes
    ready_on_one(diary, 1)
    diary.calls("fc-1")
    diary.drains("one", 10.0)
    diary.at(1.0).ready("c2")
    diary.drains("one")
    assert diary.at(100.0).meanwhile == []
    assert diary.engine.stats.nodes()[0].drain_until is None


# ---------------------------------------------------------------- undone, gone, refused


def test_a_node_that_is_resumed_takes_containers_again(two_nodes) -> None:
    diary = two_nodes
    ready_on_one(diary, 1)
    diary.drains("one", 60.0)
    assert diary.at(0.1).meanwhile == ["start c2"]
    diary.resumes("one")
    assert diary.ready("c2") == [], "c1 stays, if only until it has been idle for long enough"
    assert diary.at(59.0).meanwhile == []
    assert diary.engine.stats.nodes()[0].state == "ready"


def test_a_node_that_returns_is_in_service(two_nodes) -> None:
    diary = two_nodes
    ready_on_one(diary, 1)
    diary.drains("one", 60.0)
    diary.observes(TWO)
    diary.exits("c1", "node one is lost")
    diary.observes(ONE, TWO)
    assert {row.name: row.state for row in diary.engine.stats.nodes()} == {"two": "ready", "one": "ready"}


@pytest.mark.parametrize("what", ["drains", "resumes"])
def test_a_node_that_is_not_there_is_named(diary, what) -> None:
    [line] = getattr(diary, what)("attic")
    assert "there is no node 'attic'; there are n" in line


def test_a_request_in_a_container_that_leaves_is_finished(two_nodes) -> None:
    diary = two_nodes
    ready_on_one(diary, 1, web=WebSpec("asgi"), concurrency=Concurrency(4, 4))
    assert "lease c1 to fc-w" in diary.asks_for("fc-w")
    diary.drains("one")
    assert diary.at(0.1).meanwhile == ["start c2"]
    assert diary.ready("c2") == [], "it is told after its last request"
    assert "lease c2 to fc-v" in diary.asks_for("fc-v")
    assert "drain c1" in diary.releases("fc-w")


def test_gpus_of_a_node_that_drains_are_not_given_away(new_diary) -> None:
    diary = new_diary()
    diary.drains("n")
    diary.opens(resources=Resources(gpu=(GpuRequest("L4"),)))
    assert decided(diary.calls("fc-1")) == []


def test_a_node_that_will_be_taken_away_drains_and_an_unknown_one_is_none(two_nodes) -> None:
    diary = two_nodes
    ready_on_one(diary, 1)
    assert diary.feed(NodeDrains("three", None)) == []
    diary.feed(NodeDrains("one", 60.0))
    assert diary.at(0.1).meanwhile == ["start c2"]
    assert diary.where()["c2"] == "two"
