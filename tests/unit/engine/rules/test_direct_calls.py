"""A diary of direct calls: what is known of those that end well, and what becomes of those that are announced."""

from __future__ import annotations

import pytest

from swell.model import OutputStatus, RetryPolicy
from swell.wire import leases as cl
from swell.wire import messages as m
from swell.wire.codec import for_client
from swell.wire.queries import Story

FAILURE, TERMINATED, NOT_BEGUN = int(OutputStatus.FAILURE), int(OutputStatus.TERMINATED), cl.NOT_BEGUN
RETRY = RetryPolicy(1, initial_delay_s=1.0)


def words(story: object) -> list[str]:
    assert isinstance(story, Story)
    return [line.text for line in story.lines]


# ---------------------------------------------------------------- calls that end before anybody announces them


def test_they_are_counted_timed_and_remembered(diary) -> None:
    diary.leased()
    assert diary.at(2.0).reports("c1", "fc-2", "fc-3", took=0.002, age_s=0.5) == []
    pool = diary.pool()
    assert (pool.counts.accepted, pool.counts.done, pool.measures.ended[1]) == (3, 3, 3)
    assert sum(pool.measures.run.times().counts) == sum(pool.measures.wait.times().counts) == 3
    story = diary.story("in-2:0")
    container = diary.id("c1")
    assert f"sent straight to container {container}, on a call lease of its client" in words(story)
    assert (story.state, [part.name for part in story.parts]) == ("succeeded", ["ran"])
    assert story.parts[0].seconds == pytest.approx(0.002)
    assert [row.call_id for row in diary.engine.stats.calls()][:2] == ["fc-3", "fc-2"]


def test_a_failure_is_counted_as_one(diary) -> None:
    diary.leased()
    diary.at(1.1).reports("c1", "fc-2", status=FAILURE)
    assert diary.pool().measures.ended == {1: 1, 2: 1}
    assert diary.story("fc-2").state == "ended"


def test_a_failure_that_is_tried_again_is_no_end(diary) -> None:
    diary.leased(retry=RETRY)
    diary.at(1.1).reports("c1", "fc-2", status=FAILURE)
    assert diary.pool().measures.ended == {1: 1}


def test_what_was_not_begun_is_no_call(diary) -> None:
    diary.leased()
    diary.at(1.1).reports("c1", "fc-2", status=NOT_BEGUN)
    assert diary.pool().counts.accepted == 1


def test_a_report_that_comes_twice_counts_once(diary) -> None:
    diary.leased()
    diary.at(1.1).reports("c1", "fc-2")
    diary.reports("c1", "fc-2")
    assert diary.pool().counts.done == 2


@pytest.mark.parametrize(
    "report",
    [
        cl.DirectReport("l1", ["fc-2"], [], [0.1]),
        cl.DirectReport("l1", ["fc-2"], [0.1], [0.1, 0.1]),
        cl.DirectReport("l1", ["fc-2"], [0.1], [0.1], [(1, 2)]),
        cl.DirectReport("l1", ["fc-2"], [0.1], [0.1], parents=["a", "b"]),
        cl.DirectReport("l1", ["fc-2"], [float("inf")], [0.1]),
    ],
    ids=str,
)
def test_a_report_that_does_not_fit_itself_kills_its_container(diary, report: cl.DirectReport) -> None:
    diary.leased()
    assert diary.at(1.1).answers("c1", report)[0].startswith("kill c1: ")


# ---------------------------------------------------------------- calls that take long


@pytest.mark.parametrize("first", [1, "c1"])
def test_an_announced_call_is_an_input_that_runs(diary, first: int | str) -> None:
    diary.leased()
    assert diary.at(1.1).announces("fc-2", by=first) == []
    assert diary.announces("fc-2", by="c1" if first == 1 else 1) == []
    assert diary.pool().counts.running_total == diary.pool().running == 1
    [row, _] = diary.engine.stats.calls()
    assert (row.call_id, row.running) == ("fc-2", 1)
    assert diary.story("in-2:0").state == "running"


def test_it_ends_with_the_report_and_its_client_is_told_nothing(diary) -> None:
    diary.leased()
    diary.at(1.1).announces("fc-2")
    assert diary.reports("c1", "fc-2") == []
    assert diary.pool().running == 1  # the lease, which is vacant
    assert diary.pool().measures.ended == {1: 2}
    assert diary.story("in-2:0").state == "succeeded"


def test_it_ends_when_its_client_has_the_answer(diary) -> None:
    diary.leased()
    diary.at(1.1).announces("fc-2")
    diary.says(cl.DirectAnswered("fc-2", 1))
    assert "fc-2" not in diary.engine.state.calls
    diary.reports("c1", "fc-2")
    assert diary.pool().measures.ended == {1: 2}


def test_an_announcement_after_the_report_means_nothing(diary) -> None:
    diary.leased()
    diary.at(1.1).reports("c1", "fc-2")
    assert diary.announces("fc-2") == []
    assert diary.says(cl.DirectAnswered("fc-2", 1)) == []
    assert "fc-2" not in diary.engine.state.calls


def test_the_announcement_of_a_container_after_the_answer_means_nothing(diary) -> None:
    diary.leased()
    diary.at(1.1).announces("fc-2")
    diary.says(cl.DirectAnswered("fc-2", 1))
    diary.announces("fc-2", by="c1")
    assert "fc-2" not in diary.engine.state.calls


def test_only_who_has_announced_it_may_end_it(diary) -> None:
    diary.leased()
    diary.at(1.1).announces("fc-2")
    diary.says(cl.DirectAnswered("fc-2", 1), client=2)
    assert "fc-2" in diary.engine.state.calls


def test_it_cannot_have_begun_before_its_lease(diary) -> None:
    diary.leased(timeout_s=5.0)
    assert diary.at(1.1).announces("fc-2", age_s=1_000.0) == []
    diary.at(5.9)
    assert not any("cancel" in line for line in diary.meanwhile)


def test_a_container_cannot_announce_on_the_lease_of_another(diary) -> None:
    diary.opens(min_containers=2)
    diary.wants("fc-1")
    diary.ready("c1", takes_calls=True)
    diary.ready("c2", takes_calls=True)
    diary.completes("c1", 1, 0)
    diary.at(1.0).announces("fc-2", by="c2")
    assert "fc-2" not in diary.engine.state.calls


def test_a_container_that_announces_what_is_no_call_is_killed(diary) -> None:
    diary.leased()
    assert "no call" in diary.at(1.1).announces("../fc", by="c1")[0]


def test_a_client_that_announces_what_is_no_call_is_refused(diary) -> None:
    diary.leased()
    assert diary.at(1.1).announces("../fc")[0].startswith("refuse ../fc from 0 on for good")


# ---------------------------------------------------------------- timeouts and cancellation


def test_it_times_out(diary) -> None:
    diary.leased(timeout_s=2.0)
    diary.at(1.1).announces("fc-2", age_s=0.1)
    diary.at(3.0)
    told = ["cancel fc-2 in c1", "tell 1: fc-2[0] TIMEOUT", "kill c1: ran longer than timeout = 2 s"]
    assert diary.meanwhile == told


def test_its_time_begins_when_its_container_begins_it_not_when_it_was_sent(diary) -> None:
    diary.leased(timeout_s=2.0)
    diary.at(1.6).announces("fc-2", age_s=0.5)
    diary.announces("fc-2", by="c1", age_s=0.1)
    diary.at(3.4)
    assert not any("cancel" in line for line in diary.meanwhile)
    diary.at(3.6)
    assert "cancel fc-2 in c1" in diary.meanwhile


def test_a_timeout_is_told_to_a_client_that_announces_late(diary) -> None:
    diary.leased(timeout_s=2.0)
    diary.at(1.1).announces("fc-2", by="c1", age_s=0.1)
    diary.at(3.0)
    assert diary.meanwhile == ["cancel fc-2 in c1", "kill c1: ran longer than timeout = 2 s"]
    diary.exits("c1")
    assert diary.announces("fc-2", is_lost=True) == ["tell 1: fc-2[0] TIMEOUT"]
    assert "fc-2" not in diary.engine.state.calls


def test_an_end_in_the_queue_is_told_to_a_client_that_announces_late(diary) -> None:
    """Its container is lost, and with that it waits among others; its app closes while no client has announced it."""
    diary.leased()
    diary.at(1.1).announces("fc-2", by="c1")
    diary.exits("c1")
    assert diary.engine.state.calls["fc-2"].pending == 1
    assert not any("fc-2" in line for line in diary.closes())
    assert "fc-2" not in diary.engine.state.calls
    assert diary.announces("fc-2", is_lost=True) == ["tell 1: fc-2[0] TERMINATED"]
    assert diary.announces("fc-2", is_lost=True) == []  # once


def test_that_no_container_starts_is_told_to_a_client_that_announces_late(diary) -> None:
    diary.leased()
    diary.at(1.1).announces("fc-2", by="c1")
    diary.exits("c1")
    for _ in range(100):
        for name in diary.where():
            assert not any("tell" in line for line in diary.fails_to_start(name))
        if "fc-2" not in diary.engine.state.calls:
            break
        diary.at(diary.engine.next_deadline())
    assert diary.announces("fc-2", is_lost=True) == ["tell 1: fc-2[0] INIT_FAILURE"]


def test_a_timeout_is_retried(diary) -> None:
    diary.leased(timeout_s=2.0, retry=RETRY)
    diary.at(1.1).announces("fc-2", age_s=0.1)
    diary.at(3.0)
    diary.exits("c1")
    diary.announces("fc-2", is_lost=True)
    diary.at(5.0)
    assert "deliver #3 to c2: fc-2[0]" in diary.ready("c2")


def test_it_is_cancelled_with_its_client(diary) -> None:
    diary.leased()
    diary.at(1.1).announces("fc-2", by="c1")
    diary.announces("fc-2", by=3)
    assert "cancel fc-2 in c1" in diary.vanishes(client=3)
    assert diary.reports("c1", "fc-2", status=TERMINATED) == []
    assert diary.pool().measures.ended == {1: 1, 3: 1}


def test_a_call_whose_client_hangs_up_is_cancelled(diary) -> None:
    diary.leased()
    diary.at(1.1).announces("fc-2", by="c1")
    assert diary.answers("c1", cl.Abandoned("fc-2")) == ["cancel fc-2 in c1"]
    diary.reports("c1", "fc-2", status=TERMINATED)
    assert diary.closes_lease("c1") == []
    assert len(diary.pool().fleet.idle) == 1


def test_what_does_not_stop_costs_its_container(new_diary) -> None:
    diary = new_diary(cancel_grace_s=1.0)
    diary.leased()
    diary.at(1.1).announces("fc-2")
    diary.cancels("fc-2")
    diary.at(2.2)
    assert "kill c1: a cancelled input would not stop" in diary.meanwhile


def test_its_slot_is_taken_until_the_lease_is_closed_and_it_has_stopped(diary) -> None:
    diary.leased(max_containers=1)
    diary.at(1.1).announces("fc-2", by="c1")
    diary.announces("fc-2")
    assert diary.calls("fc-3", client=2) == ["recall l1 from c1"]
    assert diary.closes_lease("c1") == []
    assert diary.at(1.2).reports("c1", "fc-2") == ["deliver #3 to c1: fc-3[0]"]


# ---------------------------------------------------------------- attempts that fail


def test_a_failed_attempt_is_retried_through_the_server(diary) -> None:
    diary.leased(retry=RETRY, max_containers=1)
    assert diary.at(1.1).announces("fc-2", failed=True) == []
    diary.reports("c1", "fc-2", status=FAILURE)
    diary.at(2.11)
    assert diary.meanwhile == ["recall l1 from c1"]
    assert diary.closes_lease("c1") == ["deliver #3 to c1: fc-2[0]"]
    assert diary.completes("c1", 3, 0) == ["tell 1: fc-2[0]"]
    assert diary.pool().measures.retried == 1


@pytest.mark.parametrize("order", ["report first", "client first", "all three"])
def test_a_failed_attempt_counts_once_whoever_tells_first(diary, order: str) -> None:
    diary.leased(retry=RetryPolicy(5))
    diary.at(1.1)
    if order == "all three":
        diary.announces("fc-2", by="c1")
    if order != "client first":
        diary.reports("c1", "fc-2", status=FAILURE)
    diary.announces("fc-2", failed=True)
    if order == "client first":
        diary.reports("c1", "fc-2", status=FAILURE)
    assert diary.engine.state.calls["fc-2"].failures == {0: 1}
    assert diary.engine.state.calls["fc-2"].client == 1


@pytest.mark.parametrize("how", ["closed", "lost"])
def test_a_failed_attempt_counts_though_its_lease_is_over(diary, how: str) -> None:
    diary.leased(retry=RETRY)
    diary.at(1.1).reports("c1", "fc-2", status=FAILURE)
    diary.closes_lease("c1") if how == "closed" else diary.exits("c1")
    assert diary.announces("fc-2", failed=True) == []
    assert diary.engine.state.calls["fc-2"].failures == {0: 1}
    diary.at(2.11)
    assert diary.meanwhile == (["deliver #2 to c1: fc-2[0]"] if how == "closed" else ["start c2"])


# ---------------------------------------------------------------- containers and connections that are lost


@pytest.mark.parametrize("who", ["the container", "the client", "both"])
def test_a_call_in_a_lost_container_runs_again_elsewhere(diary, who: str) -> None:
    diary.leased()
    diary.at(1.1)
    if who != "the client":
        diary.announces("fc-2", by="c1")
    if who == "both":
        diary.announces("fc-2")
    diary.exits("c1")
    diary.announces("fc-2", is_lost=True)
    assert "deliver #3 to c2: fc-2[0]" in diary.ready("c2")
    assert diary.completes("c2", 3, 0) == ["tell 1: fc-2[0]"]
    assert diary.pool().measures.lost == 1


def test_a_call_whose_client_sees_the_end_first_is_blamed_as_well(new_diary) -> None:
    diary = new_diary(poison_crashes_max=1)
    diary.leased()
    assert diary.at(1.1).announces("fc-2", is_lost=True) == []
    [told] = [line for line in diary.exits("c1") if line.startswith("tell")]
    assert told == "tell 1: fc-2[0] INTERNAL_FAILURE"


def test_a_call_whose_client_sees_the_end_last_is_blamed_as_well(new_diary) -> None:
    diary = new_diary(poison_crashes_max=1)
    diary.leased()
    diary.exits("c1")
    assert diary.at(1.1).announces("fc-2", is_lost=True) == ["tell 1: fc-2[0] INTERNAL_FAILURE"]


def test_a_call_that_used_too_much_memory_has_failed(diary) -> None:
    diary.leased()
    diary.outgrows("c1")
    assert diary.at(1.1).announces("fc-2", is_lost=True) == ["tell 1: fc-2[0] OUT_OF_MEMORY"]


def test_nobody_is_blamed_for_a_container_that_the_engine_ends(new_diary) -> None:
    diary = new_diary(poison_crashes_max=1)
    diary.leased()
    diary.says(m.Hello("", 0, ""))  # whatever else is said
    from swell.wire.queries import StopContainer

    diary.says(StopContainer(4, diary.id("c1"), graceful=False))
    diary.exits("c1")
    diary.at(1.1).announces("fc-2", is_lost=True)
    assert diary.engine.state.calls["fc-2"].crashes == {}


def test_a_call_that_was_never_begun_is_one_like_any_other(diary) -> None:
    diary.leased()
    diary.at(1.3).closes_lease("c1")
    assert diary.announces("fc-2", is_lost=True) == ["deliver #2 to c1: fc-2[0]"]


def test_a_connection_that_broke_while_its_container_lives(diary) -> None:
    diary.leased()
    diary.at(1.1).announces("fc-2", is_lost=True)
    assert diary.closes_lease("c1") == ["deliver #3 to c1: fc-2[0]"]


def test_a_client_that_sees_the_end_after_it_was_told_is_told_once(new_diary) -> None:
    diary = new_diary(poison_crashes_max=1)
    diary.leased()
    diary.at(1.1).announces("fc-2")
    assert "tell 1: fc-2[0] INTERNAL_FAILURE" in diary.exits("c1")
    assert diary.announces("fc-2", is_lost=True) == []
    assert "fc-2" not in diary.engine.state.calls


def test_an_answer_that_was_reported_and_did_not_arrive_is_none(diary) -> None:
    diary.leased()
    diary.at(1.1).reports("c1", "fc-2")
    diary.exits("c1")
    diary.announces("fc-2", is_lost=True)
    assert diary.engine.state.calls["fc-2"].pending == 1


def test_an_answer_that_never_arrived_is_none(diary) -> None:
    diary.leased()
    diary.at(1.1).announces("fc-2", is_lost=True)
    assert diary.reports("c1", "fc-2") == ["recall l1 from c1"]
    assert diary.pool().backlog.count == 1


def test_a_call_that_its_client_sends_to_the_server_instead(diary) -> None:
    diary.leased(max_containers=1)
    diary.at(1.1).announces("fc-2")
    assert diary.wants("fc-2") == ["recall l1 from c1"]
    assert diary.reports("c1", "fc-2", status=NOT_BEGUN) == []
    assert diary.closes_lease("c1") == ["deliver #3 to c1: fc-2[0]"]


def test_an_announced_call_that_is_not_there_is_its_clients_to_send_again(diary) -> None:
    diary.leased()
    diary.at(1.1).announces("fc-2")
    assert diary.closes_lease("c1") == []
    assert "fc-2" not in diary.engine.state.calls
    assert diary.calls("fc-2") == ["deliver #3 to c1: fc-2[0]"]


def test_an_announced_call_that_is_not_there_runs_elsewhere_when_its_client_sees_the_end(diary) -> None:
    diary.leased()
    diary.at(1.1).announces("fc-2")
    assert diary.closes_lease("c1") == []
    assert diary.announces("fc-2", is_lost=True) == ["deliver #3 to c1: fc-2[0]"]


def test_a_result_in_place_of_the_answer_goes_to_the_connection_that_announced_last(diary) -> None:
    diary.leased()
    diary.at(1.1).announces("fc-2", by=1)
    diary.announces("fc-2", by=5, is_lost=True)
    diary.exits("c1")
    diary.ready("c2")
    assert diary.completes("c2", 3, 0) == ["tell 5: fc-2[0]"]
    assert diary.engine.state.clients.calls_of == {}


def test_an_app_that_is_closing_takes_no_announcement(diary) -> None:
    diary.leased()
    diary.closes()
    assert diary.announces("fc-2")[0].startswith("refuse fc-2")
    assert diary.announces("fc-3", by="c1") == []


def test_messages_of_leases_pass_the_wire() -> None:
    granted = cl.LeaseGranted("cl-1", "token", "fu-1", "ta-1", True)
    from swell.wire.codec import encode

    assert for_client(1_000).feed(encode(granted)) == [(granted, b"")]


# ---------------------------------------------------------------- what others have to do with it


def test_nobody_is_told_the_result_of_a_call_that_another_client_has_opened(diary) -> None:
    diary.leased()
    diary.calls("fc-other", 1, client=2)
    diary.spawns("fc-spawned", client=2)
    for call_id in ("fc-other", "fc-spawned"):
        assert diary.at(1.2).announces(call_id, by=9) == []
        assert diary.engine.state.calls[call_id].client == 2


@pytest.mark.parametrize("by", ["c1", 1])
def test_a_call_that_runs_is_finished_by_a_deployment_without_its_function(diary, by: int | str) -> None:
    diary.deploys("f", "g")
    diary.finds("f")
    diary.wants("fc-1")
    diary.ready("c1", takes_calls=True)
    diary.at(1.0).completes("c1", 1, 0)
    diary.at(1.1).deploys("g", code="two")
    assert diary.at(1.102).announces("fc-2", by=by) == []
    assert "fc-2" in diary.engine.state.calls


def test_a_lease_that_does_not_come_back_keeps_no_other_from_being_recalled(diary) -> None:
    diary.opens(max_containers=2, min_containers=2)
    diary.wants("fc-1")
    for name in ("c1", "c2"):
        diary.ready(name, takes_calls=True)
    diary.at(1.0).completes("c1", 1, 0)
    diary.wants("fc-2", client=2)
    diary.completes("c2", 2, 0)
    diary.at(1.01).announces("fc-long", "l1")  # it keeps its container from answering
    diary.calls("fc-waits", 1, client=3)
    told: list[str] = []
    for turn in range(1, 10):
        told += diary.at(1.01 + turn * 0.05).reports("c2", f"fc-short-{turn}", lease="l2")
        told += diary.meanwhile
    assert "recall l2 from c2" in told
