"""A diary of how inputs end, and of those that go round again."""

from __future__ import annotations

import pytest

from swell.engine.events import ContainerMessage, SendToClient
from swell.model import Batching, CallKind, Concurrency, OutputStatus, Resources, RetryPolicy
from swell.wire import messages as m

FAILURE, TERMINATED = OutputStatus.FAILURE, OutputStatus.TERMINATED


def running(diary, count: int = 1, **options) -> None:
    """One container that was given the inputs of fc-1, as delivery #1."""
    diary.opens(max_containers=1, **options)
    diary.calls("fc-1", count)
    diary.ready("c1")


def told(diary) -> bytes:
    """Return the payload of the outputs that a client was just told."""
    return next(bytes(effect.payload) for effect in diary.last if isinstance(effect, SendToClient))


# ---------------------------------------------------------------- results


def test_a_failure_without_a_policy_is_the_callers(diary) -> None:
    running(diary)
    assert diary.completes("c1", 1, 0, status=FAILURE) == ["tell 1: fc-1[0] FAILURE"]


def test_a_failure_is_tried_again_after_its_delay_and_then_told(diary) -> None:
    running(diary, retry=RetryPolicy(1, 1.0, 3.0))
    assert diary.at(10.0).completes("c1", 1, 0, status=FAILURE) == []
    assert diary.at(12.9).meanwhile == []
    assert diary.at(13.1).meanwhile == ["deliver #2 to c1: fc-1[0]"]
    assert diary.completes("c1", 2, 0, status=FAILURE) == ["tell 1: fc-1[0] FAILURE"]


def test_a_retry_that_finds_no_container_brings_one_up(diary) -> None:
    running(diary, retry=RetryPolicy(1, 1.0, 30.0), scaledown_window=5)
    diary.completes("c1", 1, 0, status=FAILURE)
    assert diary.at(29.0).meanwhile == ["drain c1"]
    diary.exits("c1", "exited with status 0")
    assert diary.at(30.1).meanwhile == ["start c2"]


def test_one_failure_does_not_hold_up_its_neighbours(diary) -> None:
    running(diary, 4, concurrency=Concurrency(4, 4), retry=RetryPolicy(1))
    mixed = m.Completed([(1, 0, 4)], [1, 2, 3, 4], [(2, int(FAILURE))])
    assert diary.answers("c1", mixed, b"abcd") == ["tell 1: fc-1[0:2], fc-1[3]"]


def test_the_same_result_twice_is_told_once(diary) -> None:
    running(diary)
    assert diary.completes("c1", 1, 0) == ["tell 1: fc-1[0]"]
    assert diary.completes("c1", 1, 0) == []


def test_half_a_result_twice_is_told_once(diary) -> None:
    running(diary, 3, concurrency=Concurrency(3, 3))
    assert diary.completes("c1", 1, 0, 2) == ["tell 1: fc-1[0:2]"]
    assert diary.completes("c1", 1, 0, 3) == ["tell 1: fc-1[2]"]


def test_results_of_several_deliveries_in_one_message_are_told_in_one(diary) -> None:
    running(diary, 2, concurrency=Concurrency(4, 4))
    assert diary.calls("fc-2", 3) == ["deliver #2 to c1: fc-2[0:2] (parallel)"]
    assert diary.answers("c1", m.Completed([(2, 0, 1), (2, 1, 1)], [1, 2]), b"ab") == [
        "tell 1: fc-2[0], fc-2[1]",
        "deliver #3 to c1: fc-2[2] (parallel)",
    ]


def test_the_same_result_twice_in_one_message_is_told_once(diary) -> None:
    running(diary, 2, concurrency=Concurrency(2, 2))
    assert diary.answers("c1", m.Completed([(1, 0, 1), (1, 0, 1)], [1, 2]), b"ab") == ["tell 1: fc-1[0]"]
    assert diary.completes("c1", 1, 1) == ["tell 1: fc-1[1]"]


def test_results_of_several_calls_in_one_message_go_to_each(diary) -> None:
    running(diary, 1, concurrency=Concurrency(2, 2))
    diary.calls("fc-2", client=2)
    assert diary.answers("c1", m.Completed([(1, 0, 1), (2, 0, 1)], [1, 2]), b"ab") == [
        "tell 1: fc-1[0]",
        "tell 2: fc-2[0]",
    ]


def test_what_a_container_says_after_its_end_is_void(diary) -> None:
    running(diary)
    known = diary.id("c1")
    diary.exits("c1")
    diary.ready("c2")
    assert diary.feed(ContainerMessage(known, m.Completed([(1, 0, 1)], [1]), b"x")) == []


def test_spawned_results_are_recorded_and_sent_to_who_watches(diary) -> None:
    diary.opens(max_containers=1)
    assert diary.calls("fc-1", 2, kind=CallKind.SPAWN) == [
        "record call fc-1 with 2 inputs",
        "record inputs fc-1[0:2]",
        "accept fc-1 up to 2",
        "start c1",
    ]
    diary.ready("c1")
    assert diary.completes("c1", 1, 0, busy_s=1.0)[:1] == ["record fc-1[0]"]
    watch = diary.says(m.Watch(5, "fc-1", 0, 2), client=2)
    assert watch == ["send what is recorded of fc-1[0:2] to 2"]
    done = diary.completes("c1", 2, 0)
    assert done == ["record fc-1[1]", "tell 2: fc-1[1]", "record fc-1 as ended"]
    assert diary.says(m.DescribeCall(6, "fc-1")) == ["load fc-1"]


def test_who_stopped_watching_is_told_nothing(diary) -> None:
    diary.opens()
    diary.calls("fc-1", kind=CallKind.SPAWN)
    diary.says(m.Watch(5, "fc-1", 0, 1), client=2)
    diary.says(m.Unwatch(5, "fc-1"), client=2)
    diary.ready("c1")
    assert "tell 2: fc-1[0]" not in diary.completes("c1", 1, 0)


def test_blobs_are_dropped_when_their_inputs_have_ended_and_not_before(diary) -> None:
    diary.opens(max_containers=1, retry=RetryPolicy(1))
    diary.calls("fc-1", 3, blobs=[0, 2])
    diary.ready("c1")
    assert diary.completes("c1", 1, 0, status=FAILURE, busy_s=1.0) == ["deliver #2 to c1: fc-1[1]"]
    assert "drop blobs of fc-1[2]" not in diary.completes("c1", 2, 0, busy_s=1.0)
    assert "drop blobs of fc-1[2]" in diary.completes("c1", 3, 0, busy_s=1.0)
    diary.at(2.0)
    assert "drop blobs of fc-1[0]" in diary.completes("c1", 4, 0)


# ---------------------------------------------------------------- losses


def test_a_crash_is_no_attempt(diary) -> None:
    running(diary, retry=RetryPolicy(1))
    for number in range(1, 4):
        assert diary.exits(f"c{number}") == [f"start c{number + 1}"]
        assert diary.ready(f"c{number + 1}") == [f"deliver #{number + 1} to c{number + 1}: fc-1[0]"]
    assert diary.completes("c4", 4, 0, status=FAILURE) == [], "this was the first attempt"


def test_an_input_that_keeps_killing_is_named_with_the_bound(new_diary) -> None:
    diary = new_diary(poison_crashes_max=2)
    running(diary)
    diary.exits("c1")
    diary.ready("c2")
    assert diary.exits("c2", "killed by signal 11") == ["tell 1: fc-1[0] INTERNAL_FAILURE"]


def test_of_a_queue_everything_is_suspect_once_and_the_unread_never(new_diary) -> None:
    diary = new_diary(poison_crashes_max=1)
    running(diary)
    diary.completes("c1", 1, 0, busy_s=0.0001)
    diary.calls("fc-2", 100)
    diary.completes("c1", 2, 0, 30, busy_s=0.0001)
    first = diary.deliveries("c1")[2]
    assert diary.deliveries("c1").keys() == {2, 3}
    diary.exits("c1")
    backlog = next(iter(diary.engine.state.pools.values())).backlog
    assert [span.first for span in backlog.due() if span.alone] == list(range(30, first)), "the queue it was in"
    assert sum(len(span) for span in backlog.due() if not span.alone) == 100 - first, "what it had not read"
    assert diary.ready("c2") == ["deliver #4 to c2: fc-2[30]"]
    assert diary.completes("c2", 4, 0)[1:] == ["deliver #5 to c2: fc-2[31]"], "alone, and in order"


def test_neighbours_in_a_concurrent_container_are_tried_alone_before_anybody_is_blamed(new_diary) -> None:
    diary = new_diary(poison_crashes_max=1)
    running(diary, 3, concurrency=Concurrency(3, 3))
    assert diary.exits("c1") == ["start c2"], "three suspects: nobody is failed"
    assert diary.ready("c2") == ["deliver #2 to c2: fc-1[0] (parallel)"]
    assert diary.exits("c2") == ["tell 1: fc-1[0] INTERNAL_FAILURE", "start c3"]
    assert diary.ready("c3") == ["deliver #3 to c3: fc-1[1] (parallel)"]
    assert diary.completes("c3", 3, 0) == ["tell 1: fc-1[1]", "deliver #4 to c3: fc-1[2] (parallel)"]


# ---------------------------------------------------------------- more memory than a container may use


def test_an_input_that_had_alone_the_container_that_outgrew_its_limit_fails_at_once(diary) -> None:
    running(diary)
    assert diary.outgrows("c1") == ["tell 1: fc-1[0] OUT_OF_MEMORY"]


def test_the_error_tells_the_memory_used_and_what_was_asked_for(diary) -> None:
    running(diary, resources=Resources(memory_bytes=128 << 20, memory_limit_bytes=256 << 20))
    diary.outgrows("c1", used_mib=612, limit_mib=256)
    assert told(diary) == (
        b"input 0: its container used 612 MiB of memory; its limit is 256 MiB. It asked for memory=(128, 256), which "
        b"is (request, limit): raise the limit, or use less"
    )


def test_retries_that_were_asked_for_are_made_and_counted_as_for_any_failure(diary) -> None:
    running(diary, retry=RetryPolicy(1, 1.0, 1.0))
    assert diary.outgrows("c1") == []
    diary.at(1.1)
    diary.ready("c2")
    assert diary.outgrows("c2") == ["tell 1: fc-1[0] OUT_OF_MEMORY"]


def test_inputs_that_shared_a_container_run_again_alone_at_no_cost_and_only_the_greedy_one_fails(new_diary) -> None:
    diary = new_diary(poison_crashes_max=1)
    running(diary, 3, concurrency=Concurrency(3, 3))
    assert diary.outgrows("c1") == ["start c2"]
    assert diary.ready("c2") == ["deliver #2 to c2: fc-1[0] (parallel)"]
    assert diary.completes("c2", 2, 0) == ["tell 1: fc-1[0]", "deliver #3 to c2: fc-1[1] (parallel)"]
    assert diary.outgrows("c2") == ["tell 1: fc-1[1] OUT_OF_MEMORY", "start c3"]
    assert diary.ready("c3") == ["deliver #4 to c3: fc-1[2] (parallel)"]
    assert diary.completes("c3", 4, 0) == ["tell 1: fc-1[2]"]


def test_inputs_of_a_batch_run_again_alone(diary) -> None:
    diary.opens(max_containers=1, batching=Batching(3, 0))
    diary.calls("fc-1", 3)
    diary.ready("c1")
    diary.outgrows("c1")
    assert diary.ready("c2") == ["deliver #2 to c2: fc-1[0] (batch)"]


def test_of_a_queue_the_head_is_suspect_and_the_unread_is_not(diary) -> None:
    running(diary)
    diary.completes("c1", 1, 0, busy_s=0.0001)
    diary.calls("fc-2", 100)
    diary.completes("c1", 2, 0, 30, busy_s=0.0001)
    first = diary.deliveries("c1")[2]
    diary.outgrows("c1")
    backlog = next(iter(diary.engine.state.pools.values())).backlog
    assert [span.first for span in backlog.due() if span.alone] == list(range(30, first)), "the queue it was in"
    assert diary.ready("c2") == ["deliver #4 to c2: fc-2[30]"]
    assert "tell 1: fc-2[30] OUT_OF_MEMORY" in diary.outgrows("c2")


def test_no_crash_is_counted_for_memory_that_others_may_have_used(new_diary) -> None:
    diary = new_diary(poison_crashes_max=2)
    running(diary, 2, concurrency=Concurrency(2, 2))
    diary.outgrows("c1")
    diary.ready("c2")
    assert diary.exits("c2") == ["start c3"], "this was the first crash of two"


def test_a_cancelled_input_is_not_blamed_for_memory(diary) -> None:
    running(diary)
    diary.cancels("fc-1")
    assert diary.outgrows("c1") == [], "the input that it had was cancelled: there is none to blame"


def test_a_container_that_outgrows_its_limit_while_it_starts_has_failed_to_start(new_diary) -> None:
    diary = new_diary(start_failures_max=1)
    diary.opens(max_containers=1)
    diary.calls("fc-1")
    assert diary.outgrows("c1") == ["tell 1: fc-1[0] INIT_FAILURE"]
    assert b"used 612 MiB" in told(diary)


def test_a_container_that_was_told_to_leave_is_judged_for_its_memory_all_the_same(diary) -> None:
    running(diary)
    diary.engine._rules.containers.drain(next(iter(diary.engine.state.containers.values())), diary.now)
    assert "tell 1: fc-1[0] OUT_OF_MEMORY" in diary.outgrows("c1")


# ---------------------------------------------------------------- cancellation


def test_a_cancelled_call_is_over_at_once_and_its_slot_is_free_when_the_container_says_so(diary) -> None:
    running(diary)
    diary.calls("fc-2")
    assert diary.cancels("fc-1") == ["cancel #1[0] in c1", "tell 1: fc-1[0] TERMINATED"]
    assert diary.completes("c1", 1, 0, status=TERMINATED) == ["deliver #2 to c1: fc-2[0]"]
    assert diary.cancels("fc-1") == []


def test_what_waits_is_cancelled_without_a_word_to_anybody_else(diary) -> None:
    running(diary, 5)
    assert diary.cancels("fc-1") == [
        "tell 1: fc-1[1:5] TERMINATED",
        "cancel #1[0] in c1",
        "tell 1: fc-1[0] TERMINATED",
    ]


def test_who_resists_for_longer_than_the_grace_is_killed_once(new_diary) -> None:
    diary = new_diary(cancel_grace_s=3.0)
    running(diary)
    diary.at(1.0).cancels("fc-1")
    assert diary.at(3.9).meanwhile == []
    assert diary.at(30.0).meanwhile == ["kill c1: a cancelled input would not stop"]


def test_a_late_result_of_a_cancelled_input_is_ignored(diary) -> None:
    running(diary)
    diary.cancels("fc-1")
    assert diary.completes("c1", 1, 0) == []


def test_a_cancellation_may_ask_for_the_container(diary) -> None:
    running(diary)
    diary.cancels("fc-1", kill=True)
    assert diary.at(diary.now).meanwhile == ["kill c1: a cancelled input would not stop"]


def test_the_rest_of_a_cancelled_batch_goes_round_again(diary) -> None:
    diary.opens(max_containers=1, batching=Batching(3, 0))
    diary.calls("fc-1", 2)
    diary.calls("fc-2")
    diary.calls("fc-3", 2)
    diary.ready("c1")
    diary.cancels("fc-2")
    everything = m.Completed([(1, 0, 3)], [0, 0, 0], [(i, int(TERMINATED)) for i in range(3)])
    assert diary.answers("c1", everything) == ["deliver #2 to c1: fc-1[0], fc-3[0], fc-1[1] (batch)"]


def test_a_client_that_vanishes_takes_its_calls_with_it_and_no_others(diary) -> None:
    diary.opens(max_containers=1, detach=True)
    diary.calls("fc-1", client=2)
    diary.calls("fc-2", client=3)
    diary.calls("fc-3", kind=CallKind.SPAWN, client=2)
    diary.vanishes(2)
    assert sorted(diary.engine.state.calls) == ["fc-2", "fc-3"]


# ---------------------------------------------------------------- time


@pytest.mark.parametrize("is_async", [False, True])
def test_a_timeout_ends_the_attempt_and_in_synchronous_code_the_container(diary, is_async: bool) -> None:
    running(diary, timeout_s=10.0, is_async=is_async)
    assert diary.at(9.9).meanwhile == []
    kill = [] if is_async else ["kill c1: ran longer than timeout = 10 s"]
    assert diary.at(10.1).meanwhile == ["cancel #1[0] in c1", "tell 1: fc-1[0] TIMEOUT", *kill]
    assert sum(line.startswith("kill") for line in diary.at(60.0).meanwhile) == len(kill) ^ 1, "nobody is killed twice"


def test_only_the_input_that_runs_times_out_and_the_next_has_its_own_time(diary) -> None:
    running(diary, timeout_s=10.0, is_async=True)
    diary.completes("c1", 1, 0, busy_s=0.0001)
    assert diary.at(20.0).calls("fc-2", 3) == ["deliver #2 to c1: fc-2[0:3]"]
    # The container keeps all three: it is asked to give back, but stuck, and does not even hear that.
    assert diary.at(29.9).meanwhile == ["reclaim #2 from c1"]
    assert diary.at(30.1).meanwhile == ["cancel #2[0] in c1", "tell 1: fc-2[0] TIMEOUT"]
    diary.at(31.0).completes("c1", 2, 0, status=TERMINATED)
    assert diary.at(40.9).meanwhile == []
    assert diary.at(41.1).meanwhile == ["cancel #2[1] in c1", "tell 1: fc-2[1] TIMEOUT"]
    diary.at(42.0).completes("c1", 2, 1, status=TERMINATED)
    assert diary.at(51.9).meanwhile == []
    assert diary.at(52.1).meanwhile == ["cancel #2[2] in c1", "tell 1: fc-2[2] TIMEOUT"]


def test_time_spent_in_a_containers_queue_does_not_count(diary) -> None:
    running(diary, timeout_s=10.0)
    diary.completes("c1", 1, 0, busy_s=0.0001)
    diary.at(20.0).calls("fc-2", 60)
    diary.completes("c1", 2, 0, 20, busy_s=0.0001)
    (first, count), (second, _) = diary.deliveries("c1").items()
    diary.at(28.0).completes("c1", first, 20, count - 20, busy_s=0.0001)
    assert not any("TIMEOUT" in line for line in diary.at(37.9).meanwhile)
    late = diary.at(38.1).meanwhile
    assert late[:2] == [f"cancel #{second}[0] in c1", f"tell 1: fc-2[{count}] TIMEOUT"]


def test_a_timeout_is_a_failure_to_the_retry_policy(diary) -> None:
    running(diary, timeout_s=10.0, retry=RetryPolicy(1, 1.0, 1.0))
    assert diary.at(10.1).meanwhile == ["cancel #1[0] in c1", "kill c1: ran longer than timeout = 10 s"]
    assert diary.exits("c1") == [], "nothing to run until the retry is due"
    assert diary.at(11.1).meanwhile == ["start c2"]
    assert diary.ready("c2") == ["deliver #2 to c2: fc-1[0]"]
    assert "tell 1: fc-1[0] TIMEOUT" in diary.at(30.0).meanwhile
