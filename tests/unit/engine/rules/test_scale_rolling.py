"""A diary of containers of one version that give way to those of the next."""

from __future__ import annotations

from swell.model import Batching, GpuRequest, OutputStatus, Resources, Strategy


def deployed(diary, *names: str, **options) -> None:
    """An app with version 1 of some functions, deployed in the first second."""
    diary.at(1.0).deploys(*names, **options)


# ---------------------------------------------------------------- rolling


def test_the_former_containers_serve_until_as_many_new_ones_are_ready(diary) -> None:
    deployed(diary, min_containers=2)
    diary.ready("c1")
    diary.ready("c2")
    assert diary.aloud(diary.at(2.0).deploys(code="two", min_containers=2)) == [
        "version 2 is live",
        "start c3 of version 2",
        "start c4 of version 2",
    ]
    assert diary.ready("c3") == []
    assert diary.calls("fc-1") == ["deliver #1 to c2: fc-1[0]"]
    assert diary.ready("c4") == ["drain c1", "drain c2"]
    assert diary.calls("fc-2") == ["deliver #2 to c4: fc-2[0]"]
    assert diary.completes("c2", 1, 0) == ["tell 1: fc-1[0]"], "it finishes what it had"


def test_many_former_containers_leave_in_ticks_that_are_due_at_once(diary) -> None:
    deployed(diary, min_containers=4)
    for number in range(1, 5):
        diary.ready(f"c{number}")
    diary.at(2.0).deploys(code="two", min_containers=4)
    for number in range(5, 8):
        diary.ready(f"c{number}")
    diary.engine.state.agenda.bound(looks=64, changes=2)
    assert diary.ready("c8") == ["drain c1", "drain c2"]
    assert diary.engine.next_deadline() == 0.0
    assert diary.ticks() == ["drain c3", "drain c4"]
    assert diary.engine.next_deadline() > 2.0


def test_a_former_container_that_is_not_told_yet_gets_no_inputs(diary) -> None:
    deployed(diary, min_containers=2)
    for number in range(1, 3):
        diary.ready(f"c{number}")
    diary.at(2.0).deploys(code="two", min_containers=2)
    diary.ready("c3")
    diary.engine.state.agenda.bound(looks=64, changes=1)
    assert diary.ready("c4") == ["drain c1"]
    assert diary.calls("fc-1") == ["drain c2", "deliver #1 to c4: fc-1[0]"]


def test_of_many_that_were_starting_none_begins_with_the_former_version(diary) -> None:
    deployed(diary, min_containers=5)
    diary.engine.state.agenda.bound(looks=64, changes=3)
    killed = [f"kill c{number}: stopped before it was ready" for number in range(1, 6)]
    assert diary.aloud(diary.at(2.0).deploys(code="two", min_containers=5)) == [*killed[:3], "version 2 is live"]
    assert diary.ready("c4") == ["drain c4", killed[4], "start c6 of version 2"], "it was not told in time"
    assert diary.calls("fc-1") == ["start c7 of version 2", "start c8 of version 2", "start c9 of version 2"]


def test_where_all_are_replaced_at_once_many_are_stopped_in_ticks(diary) -> None:
    deployed(diary, min_containers=3)
    for number in range(1, 4):
        diary.ready(f"c{number}")
    diary.calls("fc-1", 3)
    diary.engine.state.agenda.bound(looks=64, changes=2)
    recreated = diary.at(2.0).deploys(code="two", min_containers=0, strategy=Strategy.RECREATE)
    assert diary.aloud(recreated) == ["interrupt c1", "interrupt c2", "version 2 is live"]
    assert [line for line in diary.ticks() if "interrupt" in line] == ["interrupt c3"]


def test_where_there_is_nothing_to_do_the_former_containers_need_no_replacement(diary) -> None:
    deployed(diary)
    diary.calls("fc-1")
    diary.ready("c1")
    diary.completes("c1", 1, 0)
    assert diary.aloud(diary.at(2.0).deploys(code="two")) == ["version 2 is live", "drain c1"]
    assert diary.calls("fc-2") == ["start c2 of version 2"]


def test_one_that_was_starting_does_not_begin_with_the_former_version(diary) -> None:
    deployed(diary, min_containers=1)
    assert diary.aloud(diary.at(2.0).deploys(code="two", min_containers=1)) == [
        "kill c1: stopped before it was ready",
        "version 2 is live",
        "start c2 of version 2",
    ]
    assert diary.ready("c1") == [], "too late"
    assert diary.aloud(diary.exits("c1")) == []
    assert diary.pool().start_backoff.failures == 0


def test_at_the_ceiling_one_makes_place_for_its_replacement(diary) -> None:
    deployed(diary, max_containers=2)
    diary.calls("fc-1", 2)
    diary.ready("c1")
    diary.ready("c2")
    diary.completes("c1", 1, 0, busy_s=1.0)
    assert diary.aloud(diary.at(2.0).deploys(code="two", max_containers=2, min_containers=2)) == [
        "version 2 is live",
        "drain c1",
        "start c3 of version 2",
    ]
    assert diary.calls("fc-2") == [], "c2 is busy, and c3 not there yet"
    assert diary.ready("c3") == ["drain c2", "deliver #3 to c3: fc-2[0]", "start c4 of version 2"]


def test_the_servers_own_ceiling_holds_while_versions_change(new_diary) -> None:
    diary = new_diary(containers_max=2)
    deployed(diary, min_containers=2, max_containers=9)
    diary.ready("c1")
    diary.ready("c2")
    assert diary.aloud(diary.at(2.0).deploys(code="two", min_containers=2, max_containers=9)) == [
        "version 2 is live",
        "drain c1",
        "start c3 of version 2",
    ]


def test_on_a_full_node_the_only_container_leaves_before_its_replacement_comes(diary) -> None:
    gpus = Resources(gpu=(GpuRequest("L4", 2),))
    deployed(diary, min_containers=1, resources=gpus)
    diary.ready("c1")
    diary.calls("fc-1")
    assert diary.aloud(diary.at(2.0).deploys(code="two", min_containers=1, resources=gpus)) == [
        "version 2 is live",
        "drain c1",
    ]
    assert diary.calls("fc-2") == []
    assert diary.completes("c1", 1, 0) == ["tell 1: fc-1[0]"]
    assert diary.aloud(diary.exits("c1")) == ["start c2 of version 2 on gpu-0, gpu-1"]
    assert diary.ready("c2") == ["deliver #2 to c2: fc-2[0]"]


def test_a_version_that_cannot_start_leaves_the_former_one_serving(new_diary) -> None:
    diary = new_diary(start_backoff_s=1.0)
    deployed(diary, min_containers=1)
    diary.ready("c1")
    diary.at(2.0).deploys(code="two", min_containers=1)
    assert diary.aloud(diary.at(3.0).fails_to_start("c2")) == []
    assert diary.calls("fc-1") == ["deliver #1 to c1: fc-1[0]"]
    assert diary.at(10.0).meanwhile == ["start c3 of version 2"]
    assert diary.aloud(diary.fails_to_start("c3")) == []
    assert diary.completes("c1", 1, 0) == ["tell 1: fc-1[0]"]
    assert diary.calls("fc-2") == ["deliver #2 to c1: fc-2[0]"]


def test_a_third_version_does_not_wait_for_the_second(diary) -> None:
    deployed(diary, min_containers=1)
    diary.ready("c1")
    diary.at(2.0).deploys(code="two", min_containers=1)
    assert diary.aloud(diary.at(2.1).deploys(code="three", min_containers=1)) == [
        "kill c2: stopped before it was ready",
        "version 3 is live",
        "start c3 of version 3",
    ]
    assert diary.calls("fc-1") == ["deliver #1 to c1: fc-1[0]"]
    assert diary.ready("c3")[:1] == ["drain c1"]


def test_replacements_that_wait_are_relieved_themselves_by_a_third_version(diary) -> None:
    deployed(diary, min_containers=2)
    diary.ready("c1")
    diary.ready("c2")
    diary.at(2.0).deploys(code="two", min_containers=2)
    diary.ready("c3")
    assert diary.aloud(diary.at(2.1).deploys(code="three", min_containers=2))[:3] == [
        "kill c4: stopped before it was ready",
        "drain c3",
        "version 3 is live",
    ]
    diary.ready("c5")
    assert diary.ready("c6") == ["drain c1", "drain c2"]


def test_what_a_relieved_container_runs_has_all_its_time_and_the_grace_is_for_what_comes_after(new_diary) -> None:
    diary = new_diary(exit_grace_s=4.0)
    deployed(diary, timeout_s=60.0)
    diary.calls("fc-1")
    diary.ready("c1")
    diary.at(2.0).deploys(code="two", timeout_s=60.0)
    diary.calls("fc-2")
    diary.ready("c2")
    diary.at(50.0)
    assert [line for line in diary.meanwhile if line.startswith("kill")] == []
    assert "tell 1: fc-1[0]" in diary.completes("c1", 1, 0)
    diary.at(60.0)
    assert "kill c1: did not leave within its grace" in diary.meanwhile


def test_a_former_container_that_dies_is_no_reason_to_wait_for_another_replacement(diary) -> None:
    deployed(diary, min_containers=2)
    diary.ready("c1")
    diary.ready("c2")
    diary.at(2.0).deploys(code="two", min_containers=2)
    diary.ready("c3")
    assert diary.aloud(diary.exits("c1")) == ["drain c2"]
    assert diary.calls("fc-1") == ["deliver #1 to c3: fc-1[0]"]


def test_what_was_learned_of_the_former_code_is_void(diary) -> None:
    deployed(diary)
    diary.calls("fc-1")
    diary.ready("c1")
    diary.completes("c1", 1, 0, busy_s=1.0)
    diary.at(2.0).deploys(code="two")
    assert diary.pool().estimates.service_s is None


def test_the_serving_version_rules_how_inputs_are_placed(diary) -> None:
    deployed(diary, max_containers=1, batching=Batching(2, 0))
    diary.calls("fc-1", 2)
    diary.ready("c1")
    diary.at(2.0).deploys(code="two", max_containers=2)
    diary.calls("fc-2", 2)
    assert diary.completes("c1", 1, 0, 2) == ["tell 1: fc-1[0:2]", "deliver #2 to c1: fc-2[0:2] (batch)"]
    diary.calls("fc-3", 2)
    assert diary.ready("c2")[:2] == ["drain c1", "deliver #3 to c2: fc-3[0]"], "and no batches any more"


# ---------------------------------------------------------------- recreate


def test_recreate_interrupts_what_runs_and_runs_it_again(diary) -> None:
    deployed(diary)
    diary.calls("fc-1")
    diary.ready("c1")
    assert diary.aloud(diary.at(2.0).deploys(code="two", strategy=Strategy.RECREATE)) == [
        "interrupt c1",
        "version 2 is live",
        "start c2 of version 2",
    ]
    assert diary.aloud(diary.exits("c1")) == []
    assert diary.ready("c2") == ["deliver #2 to c2: fc-1[0]"]
    assert diary.completes("c2", 2, 0, status=OutputStatus.FAILURE) == ["tell 1: fc-1[0] FAILURE"]


def test_recreate_gives_the_interrupted_their_grace_and_no_more(new_diary) -> None:
    diary = new_diary(exit_grace_s=4.0)
    deployed(diary, min_containers=1)
    diary.ready("c1")
    diary.at(2.0).deploys(code="two", strategy=Strategy.RECREATE)
    assert diary.at(5.9).meanwhile == []
    assert diary.at(6.1).meanwhile == ["kill c1: did not leave within its grace"]
