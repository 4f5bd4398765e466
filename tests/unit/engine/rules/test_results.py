"""A diary of what is written down of spawned calls: everything in order, and before anybody hears of it."""

from __future__ import annotations

import pytest

from swell.model import Batching, CallKind, Concurrency, OutputStatus, RetryPolicy
from swell.records import OutputsRecord
from swell.wire import messages as m

FAILURE, TERMINATED = OutputStatus.FAILURE, OutputStatus.TERMINATED


def spawned(diary, count: int = 1, **options) -> None:
    """One container that was given the first inputs of fc-1, as delivery #1, and client 2 that follows them."""
    diary.at(1.0).deploys(max_containers=1, **options)
    diary.spawns("fc-1", count)
    diary.watches("fc-1", 0, count)
    diary.ready("c1")


# ---------------------------------------------------------------- inputs


def test_a_call_is_written_down_before_it_is_accepted_and_accepted_before_it_runs(diary) -> None:
    diary.at(1.0).deploys()
    assert diary.spawns("fc-1", 2) == [
        "record call fc-1 with 2 inputs",
        "record inputs fc-1[0:2]",
        "accept fc-1 up to 2",
        "start c1",
        "start c2",
    ]


def test_every_part_of_a_call_is_accepted_for_itself(diary) -> None:
    diary.at(1.0).deploys(max_containers=1)
    assert diary.spawns("fc-1", 2, sealed=False)[:3] == [
        "record call fc-1 with 2 inputs, more may come",
        "record inputs fc-1[0:2]",
        "accept fc-1 up to 2",
    ]
    assert diary.puts("fc-1", 2, 2, sealed=False) == [
        "record inputs fc-1[2:4]",
        "record that fc-1 has 4 inputs",
        "accept fc-1 up to 4",
    ]
    assert diary.puts("fc-1", 4, 0) == ["record that fc-1 has 4 inputs, all", "accept fc-1 up to 4"]


def test_what_a_limit_refuses_is_not_written_down(new_diary) -> None:
    diary = new_diary(pending_async_max=3, retry_after_s=0.5)
    diary.at(1.0).deploys()
    assert diary.spawns("fc-1", 5)[1:4] == [
        "record call fc-1 with 3 inputs, more may come",
        "record inputs fc-1[0:3]",
        "accept fc-1 up to 3",
    ]
    (refused,) = diary.spawns("fc-2")
    assert refused.startswith("refuse fc-2 from 0 on for 0.5 s")
    diary.restarts()
    assert diary.pool().counts.pending[True] == 3


def test_an_empty_call_is_over_as_soon_as_it_is_accepted_however_much_waits(new_diary) -> None:
    diary = new_diary(backlog_calls_max=2)
    diary.at(1.0).deploys()
    for number in range(5):
        diary.spawns(f"fc-{number}")
    assert diary.spawns("fc-none", 0) == [
        "record call fc-none with 0 inputs",
        "accept fc-none up to 0",
        "record fc-none as ended",
    ]


def test_what_a_client_that_vanishes_had_sent_is_all_there_will_be(diary) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.spawns("fc-1", 2, sealed=False, client=3)
    diary.ready("c1")
    assert diary.vanishes(3) == ["record that fc-1 has 2 inputs, all"]
    diary.completes("c1", 1, 0, busy_s=1.0)
    assert diary.completes("c1", 2, 0) == ["record fc-1[1]", "record fc-1 as ended"]


def test_a_client_that_vanishes_when_all_it_sent_has_run_ends_its_call(diary) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.spawns("fc-1", sealed=False, client=3)
    diary.ready("c1")
    diary.completes("c1", 1, 0)
    assert diary.vanishes(3) == ["record that fc-1 has 1 inputs, all", "record fc-1 as ended"]


def test_without_room_for_results_nothing_is_spawned_and_the_rest_goes_on(diary) -> None:
    spawned(diary)
    diary.troubles("only 3 MiB are free")
    assert diary.spawns("fc-2") == ["refuse fc-2 from 0 on for good: nothing can be spawned: only 3 MiB are free"]
    assert diary.completes("c1", 1, 0) == ["record fc-1[0]", "tell 2: fc-1[0]", "record fc-1 as ended"]
    assert diary.calls("fc-3") == ["deliver #2 to c1: fc-3[0]"]
    diary.troubles("")
    assert "accept fc-4 up to 1" in diary.spawns("fc-4")


# ---------------------------------------------------------------- results


def test_a_result_is_written_down_told_to_those_who_follow_and_ends_the_call(diary) -> None:
    spawned(diary, 2)
    assert diary.completes("c1", 1, 0, busy_s=1.0) == ["record fc-1[0]", "tell 2: fc-1[0]", "deliver #2 to c1: fc-1[1]"]
    assert diary.completes("c1", 2, 0) == ["record fc-1[1]", "tell 2: fc-1[1]", "record fc-1 as ended"]


def test_inputs_are_let_go_as_soon_as_all_that_came_with_them_have_results(diary) -> None:
    spawned(diary)
    diary.spawns("fc-2", 2, sealed=False)
    diary.puts("fc-2", 2, 1)
    assert diary.completes("c1", 1, 0, busy_s=1.0)[-1:] == ["deliver #2 to c1: fc-2[0]"]
    assert diary.completes("c1", 2, 0, busy_s=1.0) == ["record fc-2[0]", "deliver #3 to c1: fc-2[1]"]
    assert diary.completes("c1", 3, 0, busy_s=1.0) == [
        "record fc-2[1]",
        "record spans [0] of fc-2 as done",
        "deliver #4 to c1: fc-2[2]",
    ]
    assert diary.completes("c1", 4, 0) == ["record fc-2[2]", "record fc-2 as ended"]


def test_results_that_follow_each_other_are_one_record(diary) -> None:
    spawned(diary, 5, concurrency=Concurrency(5, 5))
    mixed = m.Completed([(1, 0, 2), (1, 3, 2)], [1, 2, 3, 4], [(1, int(FAILURE))])
    assert diary.answers("c1", mixed, b"abcd") == [
        "record fc-1[0:2] FAILURE",
        "tell 2: fc-1[0:2] FAILURE",
        "record fc-1[3:5]",
        "tell 2: fc-1[3:5]",
    ]


def test_of_a_record_everybody_hears_the_part_that_they_follow(diary) -> None:
    diary.at(1.0).deploys(concurrency=Concurrency(6, 6))
    diary.spawns("fc-1", 6)
    diary.watches("fc-1", 1, 3, client=2)
    diary.watches("fc-1", 2, 9, client=3)
    diary.watches("fc-1", 0, 1, client=4)
    diary.ready("c1")
    mixed = m.Completed([(1, 1, 4)], [1, 3, 6, 10], [(2, int(FAILURE))], [3])
    assert diary.answers("c1", mixed, b"abbcccdddd") == [
        "record fc-1[1:5] FAILURE",
        "tell 2: fc-1[1:3]",
        "tell 3: fc-1[2:5] FAILURE",
    ]
    told = {
        effect.client: (effect.message, bytes(effect.payload)) for effect in diary.last if hasattr(effect, "client")
    }
    assert told[2] == (m.Outputs("fc-1", [(1, 2)], [1, 3], [], []), b"abb")
    assert told[3] == (m.Outputs("fc-1", [(2, 3)], [2, 5, 9], [(1, int(FAILURE))], [2]), b"bbcccdddd")


def test_what_cannot_start_fails_with_one_record_for_all_that_is_stored(new_diary) -> None:
    diary = new_diary(start_failures_max=1, backlog_inputs_max=4)
    diary.opens(max_containers=1)
    diary.spawns("fc-1", 4, sealed=False)
    diary.puts("fc-1", 4, 3, sealed=False)
    diary.puts("fc-1", 7, 3)
    diary.watches("fc-1", 2, 8)
    diary.reads()
    assert diary.fails_to_start("c1") == [
        "record fc-1[0:4] alike INIT_FAILURE",
        "tell 2: fc-1[2:4] INIT_FAILURE",
        "record spans [0] of fc-1 as done",
        "record fc-1[4:10] alike INIT_FAILURE",
        "send what is recorded of fc-1[4:8] to 2",
        "record fc-1 as ended",
    ]
    (told,) = (effect for effect in diary.last if hasattr(effect, "message"))
    assert (told.message.ends, bytes(told.payload)) == ([9, 18], b"exception" * 2)
    assert diary.reads() == ["2 gets 4 INIT_FAILURE, 5 INIT_FAILURE, 6 INIT_FAILURE, 7 INIT_FAILURE of fc-1"]


def test_what_had_ended_before_a_restart_keeps_its_result_when_the_rest_is_cancelled(new_diary) -> None:
    diary = new_diary(backlog_inputs_max=4)
    diary.at(1.0).deploys(max_containers=1, concurrency=Concurrency(9, 9))
    diary.spawns("fc-1", 4, sealed=False)
    diary.puts("fc-1", 4, 4)
    diary.ready("c1")
    diary.reads()
    diary.completes("c1", 2, 1)
    diary.restarts()
    diary.reads(1)
    diary.watches("fc-1", 4, 8)
    diary.reads()
    assert diary.cancels("fc-1")[1:] == [
        "record fc-1[4:8] alike TERMINATED",
        "send what is recorded of fc-1[4:8] to 2",
        "record fc-1 as ended",
    ]
    assert diary.reads() == ["2 gets 4 TERMINATED, 5 SUCCESS, 6 TERMINATED, 7 TERMINATED of fc-1"]


def test_equal_results_of_very_many_inputs_are_told_in_messages_of_some_size(new_diary) -> None:
    diary = new_diary(start_failures_max=1)
    diary.opens(max_containers=1)
    diary.spawns("fc-1", 1_040)
    diary.watches("fc-1", 0, 1_040)
    diary.answers("c1", m.StartFailed("no module"), b"x" * 2_300)
    diary.exits("c1")
    told = [effect for effect in diary.last if isinstance(getattr(effect, "message", None), m.Outputs)]
    assert [effect.message.parts for effect in told] == [[(0, 455)], [(455, 455)], [(910, 130)]]
    assert max(len(effect.payload) for effect in told) <= 1 << 20


def test_a_cancelled_call_is_a_handful_of_records_whatever_its_length(new_diary) -> None:
    diary = new_diary(backlog_inputs_max=8)
    spawned(diary)
    diary.spawns("fc-2", 1, sealed=False)
    for first in range(1, 1_000):
        diary.puts("fc-2", first, 1, sealed=False)
    diary.completes("c1", 1, 0, busy_s=1.0)
    assert diary.cancels("fc-2") == [
        "record fc-2[1:8] alike TERMINATED",
        "record fc-2[8:1000] alike TERMINATED",
        "cancel #2[0] in c1",
        "record fc-2[0] TERMINATED",
        "record fc-2 as ended",
    ]


# ---------------------------------------------------------------- attempts


def test_a_failed_attempt_is_written_down_with_when_it_is_tried_again(diary) -> None:
    spawned(diary, retry=RetryPolicy(2, 1.0, 3.0))
    assert diary.at(10.0).completes("c1", 1, 0, status=FAILURE) == ["record 1 failures and 0 crashes of fc-1[0]"]
    assert diary.at(13.1).meanwhile == ["deliver #2 to c1: fc-1[0]"]
    assert diary.completes("c1", 2, 0, status=FAILURE) == ["record 2 failures and 0 crashes of fc-1[0]"]
    diary.at(20.0)
    assert diary.completes("c1", 3, 0, status=FAILURE) == [
        "record fc-1[0] FAILURE",
        "tell 2: fc-1[0] FAILURE",
        "record fc-1 as ended",
    ]


def test_attempts_and_delays_survive_the_server(diary) -> None:
    spawned(diary, retry=RetryPolicy(1, 1.0, 30.0))
    diary.at(10.0).completes("c1", 1, 0, status=FAILURE)
    diary.at(11.0).restarts()
    assert diary.aloud(diary.reads()) == []
    assert diary.at(39.0).meanwhile == []
    assert diary.at(40.1).meanwhile == ["start c2"]
    diary.ready("c2")
    assert diary.completes("c2", 1, 0, status=FAILURE) == ["record fc-1[0] FAILURE", "record fc-1 as ended"]


def test_a_lost_container_is_written_down_against_what_it_ran(new_diary) -> None:
    diary = new_diary(poison_crashes_max=2)
    spawned(diary)
    assert diary.exits("c1")[0] == "record 0 failures and 1 crashes of fc-1[0]"
    diary.restarts()
    diary.reads()
    diary.ready("c3")
    assert diary.exits("c3")[:2] == ["record fc-1[0] INTERNAL_FAILURE", "record fc-1 as ended"]


def test_what_is_stopped_though_nobody_asked_counts_as_lost(diary) -> None:
    spawned(diary, 2, batching=Batching(2, 0))
    assert diary.completes("c1", 1, 0, 2, status=TERMINATED) == [
        "record 0 failures and 1 crashes of fc-1[0]",
        "record 0 failures and 1 crashes of fc-1[1]",
        "deliver #2 to c1: fc-1[0:2] (batch)",
    ]


def test_a_timeout_with_a_retry_left_is_an_attempt(diary) -> None:
    spawned(diary, retry=RetryPolicy(1), timeout_s=5.0, is_async=True)
    assert diary.at(6.1).meanwhile[:2] == ["cancel #1[0] in c1", "record 1 failures and 0 crashes of fc-1[0]"]


def test_of_calls_whose_caller_waits_nothing_is_written_down(diary) -> None:
    diary.at(1.0).deploys(max_containers=1, retry=RetryPolicy(1))
    diary.calls("fc-1", 3)
    diary.ready("c1")
    told = diary.completes("c1", 1, 0, status=FAILURE, busy_s=1.0)
    told += diary.completes("c1", 2, 0, busy_s=1.0) + diary.exits("c1") + diary.cancels("fc-1")
    assert [line for line in told if line.startswith("record ")] == ["record the end of c1"]


# ---------------------------------------------------------------- the end of a server


def test_a_failure_while_the_server_stops_is_tried_again_by_the_next_one(diary) -> None:
    spawned(diary, retry=RetryPolicy(1))
    diary.at(2.0).shuts_down()
    assert diary.completes("c1", 1, 0, status=FAILURE) == ["record 1 failures and 0 crashes of fc-1[0]"]
    diary.exits("c1", "exited with status 0")
    diary.at(4.0).restarts()
    assert diary.aloud(diary.reads()) == ["start c2"]
    diary.ready("c2")
    assert diary.completes("c2", 1, 0) == ["record fc-1[0]", "record fc-1 as ended"]


def test_a_result_that_comes_while_the_server_stops_counts(diary) -> None:
    spawned(diary)
    diary.at(2.0).shuts_down()
    assert diary.completes("c1", 1, 0) == ["record fc-1[0]", "tell 2: fc-1[0]", "record fc-1 as ended"]


def test_what_a_stopping_server_takes_away_from_a_container_is_nobodys_fault(new_diary) -> None:
    diary = new_diary(exit_grace_s=2.0, poison_crashes_max=1)
    spawned(diary)
    diary.at(2.0).shuts_down()
    assert diary.at(4.1).meanwhile == ["kill c1: did not leave within its grace"]
    assert diary.exits("c1") == ["record the end of c1", "ap-shop-1 ended"]
    diary.restarts()
    assert "start c2" in diary.reads()


# ---------------------------------------------------------------- when


@pytest.mark.parametrize(
    ("status", "container"), [(OutputStatus.SUCCESS, "c1"), (FAILURE, "c1"), (OutputStatus.GENERATOR_DONE, "c1")]
)
def test_a_result_says_when_it_came_left_and_ended_and_where(diary, status: OutputStatus, container: str) -> None:
    spawned(diary)
    diary.at(3.0).completes("c1", 1, 0, status=status)
    (record,) = (effect.record for effect in diary.last if isinstance(getattr(effect, "record", None), OutputsRecord))
    trace = record.trace
    assert (trace.queued_at, trace.delivered_at, trace.ended_at) == (1.0, 1.0, 3.0)
    assert trace.container_id == diary.id(container)


def test_what_was_cancelled_while_it_ran_says_where(diary) -> None:
    spawned(diary, 2)
    diary.at(3.0).cancels("fc-1")
    traces = [
        effect.record.trace for effect in diary.last if isinstance(getattr(effect, "record", None), OutputsRecord)
    ]
    assert [(trace.delivered_at, trace.ended_at) for trace in traces] == [(None, 3.0), (1.0, 3.0)]
    assert [trace.container_id for trace in traces] == ["", diary.id("c1")]


def test_kinds_of_calls_are_not_confused(diary) -> None:
    """Results of a spawned call are for everybody, those of a caller that waits for nobody else."""
    diary.at(1.0).deploys(max_containers=1)
    diary.calls("fc-1", kind=CallKind.REMOTE, client=1)
    diary.ready("c1")
    (refused,) = diary.watches("fc-1", client=2)
    assert "is not a spawned call" in refused
    assert diary.completes("c1", 1, 0) == ["tell 1: fc-1[0]"]


def test_results_that_come_together_are_written_down_by_span_and_delivery(diary) -> None:
    diary.at(1.0).deploys(max_containers=1, concurrency=Concurrency(4, 4))
    diary.spawns("fc-1", 2, sealed=False)
    diary.ready("c1")
    diary.puts("fc-1", 2, 3)
    together = m.Completed([(1, 0, 2), (2, 0, 2)], [1, 3, 4, 6], [], [2])
    said = diary.answers("c1", together, b"abbcdd")
    assert said[:2] == ["record fc-1[0:2]", "record fc-1[2:4]"]
    records = [effect.record for effect in diary.last if isinstance(getattr(effect, "record", None), OutputsRecord)]
    assert [(r.first, r.count, r.ends, r.payload, r.blobs) for r in records] == [
        (0, 2, [1, 3], b"abb", []),
        (2, 2, [1, 3], b"cdd", [0]),
    ]
