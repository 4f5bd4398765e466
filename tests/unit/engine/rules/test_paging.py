"""A diary of spawned calls that are too many to be in memory: read back in time, in order, and no more than fit."""

from __future__ import annotations

import pytest

from swell.model import Concurrency, OutputStatus, RetryPolicy
from swell.records import CallGrown, CallsCancelled
from swell.wire import messages as m

FAILURE = OutputStatus.FAILURE


def spawns_long(diary, call_id: str, count: int, *, size: int = 4, **how) -> None:
    """Spawn a call of many inputs, `size` in each message."""
    diary.spawns(call_id, size, sealed=count <= size, **how)
    for first in range(size, count, size):
        diary.puts(call_id, first, size, sealed=first + size >= count, **how)


def ran(told: list[str]) -> list[str]:
    """Return what was delivered."""
    return [line.split(": ")[1] for line in told if line.startswith("deliver ")]


def runs_all(diary, name: str = "c1", *, busy_s: float = 1.0) -> list[str]:
    """Have a container run what it has and gets, one after another, while the store answers; return what ran."""
    told: list[str] = []
    container = diary.engine.state.containers[diary.id(name)]
    while container.deliveries or diary.unread:
        for number, delivery in list(container.deliveries.items()):
            position = min(delivery.open)
            told += ran(diary.completes(name, number, position, busy_s=busy_s))
        told += ran(diary.reads())
    return told


def stored(new_diary, **settings):
    """A diary of three calls, the last of which, fc-2, is in the store alone."""
    diary = new_diary(backlog_calls_max=2, **settings)
    diary.at(1.0).deploys(max_containers=1)
    for number in range(3):
        diary.spawns(f"fc-{number}", 2)
    diary.ready("c1")
    return diary


# ---------------------------------------------------------------- a long call


def test_of_a_long_call_a_window_is_in_memory_and_the_rest_in_the_store(new_diary) -> None:
    diary = new_diary(backlog_inputs_max=8)
    diary.at(1.0).deploys(max_containers=1)
    spawns_long(diary, "fc-1", 40)
    call = diary.engine.state.calls["fc-1"]
    assert (call.pending, call.in_memory, call.stored) == (40, 8, 32)
    assert diary.pool().counts.pending[True] == 40


def test_it_is_read_on_before_the_window_is_empty_and_runs_in_order(new_diary) -> None:
    diary = new_diary(backlog_inputs_max=8)
    diary.at(1.0).deploys(max_containers=1)
    spawns_long(diary, "fc-1", 24)
    diary.ready("c1")
    told = [line for number in range(1, 6) for line in diary.completes("c1", number, 0, busy_s=1.0)]
    assert [line for line in told if line.startswith("load")] == ["load 5 inputs of fc-1 from 8 on"]
    assert ran(told) + runs_all(diary) == [f"fc-1[{index}]" for index in range(1, 24)]
    assert diary.engine.state.calls == {}


def test_bytes_bound_the_window_too(new_diary) -> None:
    diary = new_diary(backlog_bytes_max=1_024)
    diary.at(1.0).deploys(max_containers=1)
    diary.spawns("fc-1", 4, size=300, sealed=False)
    for first in range(4, 40, 4):
        diary.puts("fc-1", first, 4, size=300, sealed=first == 36)
    pool, call = diary.pool(), diary.engine.state.calls["fc-1"]
    assert call.in_memory == 4
    diary.ready("c1")
    largest = 0
    for number in range(1, 41):
        diary.completes("c1", number, 0, busy_s=1.0)
        diary.reads()
        largest = max(largest, pool.window.bytes_in_memory)
    assert diary.engine.state.calls == {}
    assert largest <= 2_400, "a span is read whole, and a second one when the first is nearly done"


def test_many_long_calls_share_the_bytes(new_diary) -> None:
    diary = new_diary(backlog_bytes_max=4_096)
    diary.at(1.0).deploys(max_containers=1)
    for number in range(20):
        diary.spawns(f"fc-{number}", 1, size=256, sealed=False)
        for first in range(1, 8):
            diary.puts(f"fc-{number}", first, 1, size=256, sealed=first == 7)
    pool = diary.pool()
    diary.ready("c1")
    largest = done = 0
    while diary.engine.state.calls:
        done += 1
        diary.completes("c1", done, 0, busy_s=1.0)
        diary.reads()
        largest = max(largest, pool.window.bytes_in_memory)
    assert done == 160
    assert largest <= 20 * 256 + 4_096, "each call has one span at hand, whatever its size"


def test_one_input_does_not_wait_behind_a_million(new_diary) -> None:
    diary = new_diary(backlog_inputs_max=8)
    diary.at(1.0).deploys(max_containers=1)
    spawns_long(diary, "fc-many", 1_000, size=100)
    diary.ready("c1")
    diary.spawns("fc-one", client=2)
    assert ran(diary.completes("c1", 1, 0, busy_s=1.0)) in (["fc-one[0]"], ["fc-many[1]"])
    assert "fc-one" not in diary.engine.state.calls or ran(diary.completes("c1", 2, 0, busy_s=1.0)) == ["fc-one[0]"]


def test_nor_if_the_million_takes_up_all_the_bytes(new_diary) -> None:
    diary = new_diary(backlog_bytes_max=1_024)
    diary.at(1.0).deploys(max_containers=1)
    diary.spawns("fc-many", 1, size=1_000, sealed=False)
    for first in range(1, 200):
        diary.puts("fc-many", first, 1, size=1_000, sealed=first == 199)
    diary.spawns("fc-one")
    diary.ready("c1")
    assert "fc-one[0]" in runs_all_until(diary, 10)


def runs_all_until(diary, count: int) -> list[str]:
    told: list[str] = []
    for number in range(1, count + 1):
        told += ran(diary.completes("c1", number, 0, busy_s=1.0)) + ran(diary.reads())
    return told


def test_a_failed_input_of_a_long_call_keeps_its_place(new_diary) -> None:
    diary = new_diary(backlog_inputs_max=8)
    diary.at(1.0).deploys(max_containers=1, retry=RetryPolicy(1, 1.0, 1.0))
    spawns_long(diary, "fc-1", 24)
    diary.ready("c1")
    diary.completes("c1", 1, 0, busy_s=1.0, status=FAILURE)
    diary.completes("c1", 2, 0, busy_s=1.0)
    diary.at(3.0)
    assert ran(diary.completes("c1", 3, 0, busy_s=1.0)) == ["fc-1[0]"]
    assert runs_all(diary) == [f"fc-1[{index}]" for index in range(3, 24)]


def test_what_waits_for_a_retry_does_not_keep_the_rest_of_a_long_call_from_running(new_diary) -> None:
    diary = new_diary(backlog_inputs_max=4)
    diary.at(1.0).deploys(max_containers=1, retry=RetryPolicy(1, 1.0, 30.0))
    spawns_long(diary, "fc-1", 16)
    diary.ready("c1")
    for number in range(1, 17):
        diary.completes("c1", number, 0, busy_s=1.0, status=FAILURE)
        diary.reads()
    call = diary.engine.state.calls["fc-1"]
    assert (call.stored, call.pending, len(call.failures)) == (0, 16, 16), "each has had its first attempt"


# ---------------------------------------------------------------- many calls


def test_of_very_many_calls_the_first_are_in_memory_and_the_rest_follow_in_order(new_diary) -> None:
    diary = new_diary(backlog_calls_max=4)
    diary.at(1.0).deploys(max_containers=1)
    for number in range(12):
        assert diary.spawns(f"fc-{number}")[2] == f"accept fc-{number} up to 1"
    pool = diary.pool()
    assert (len(pool.window.calls), pool.window.stored_calls, pool.counts.pending[True]) == (4, 8, 12)
    assert diary.ready("c1") == ["deliver #1 to c1: fc-0[0]"]
    assert runs_all(diary) == [f"fc-{number}[0]" for number in range(1, 12)]
    assert (pool.window.stored_calls, pool.window.stored_inputs, pool.counts.pending[True]) == (0, 0, 0)


def test_calls_are_asked_for_when_half_are_left_and_not_read_twice(new_diary) -> None:
    diary = new_diary(backlog_calls_max=4)
    diary.at(1.0).deploys(max_containers=1)
    for number in range(6):
        diary.spawns(f"fc-{number}")
    diary.ready("c1")
    assert not any(line.startswith("load") for line in diary.completes("c1", 1, 0, busy_s=1.0))
    assert diary.completes("c1", 2, 0, busy_s=1.0)[-1:] == ["load 2 calls after 4"]
    diary.spawns("fc-6")
    assert diary.pool().window.stored_calls == 3, "nobody overtakes those that wait in the store"


def test_a_call_that_others_are_stored_before_stays_behind_them(new_diary) -> None:
    diary = new_diary(backlog_calls_max=2)
    diary.at(1.0).deploys(max_containers=1)
    for number in range(4):
        diary.spawns(f"fc-{number}")
    diary.ready("c1")
    diary.completes("c1", 1, 0, busy_s=1.0)
    diary.spawns("fc-4")
    assert runs_all(diary) == [f"fc-{number}[0]" for number in range(2, 5)]


def test_a_call_that_is_still_fed_is_in_memory_and_read_only_once(new_diary) -> None:
    diary = new_diary(backlog_calls_max=2)
    diary.at(1.0).deploys(max_containers=1)
    for number in range(4):
        diary.spawns(f"fc-{number}")
    diary.spawns("fc-fed", sealed=False)
    diary.puts("fc-fed", 1, 1)
    diary.ready("c1")
    ran_then = runs_all(diary)
    assert sorted(ran_then) == ["fc-1[0]", "fc-2[0]", "fc-3[0]", "fc-fed[0]", "fc-fed[1]"]
    assert diary.engine.state.calls == {}


def test_what_ended_while_it_was_being_read_is_not_run_again(new_diary) -> None:
    """A call is read because somebody asks, and with others because it is their turn: it ends between the answers."""
    diary = new_diary(backlog_calls_max=2)
    diary.at(1.0).deploys(max_containers=2)
    for number in range(4):
        diary.spawns(f"fc-{number}")
    diary.ready("c1")
    diary.ready("c2")
    diary.says(m.DescribeCall(5, "fc-2"))
    diary.completes("c1", 1, 0, busy_s=1.0)
    assert diary.pool().window.is_reading_calls
    assert ran(diary.reads(1)) == ["fc-2[0]"]
    assert "record fc-2 as ended" in diary.completes("c1", 3, 0, busy_s=1.0)
    assert ran(diary.reads()) == ["fc-3[0]"]
    diary.completes("c2", 2, 0, busy_s=1.0)
    diary.completes("c1", 4, 0, busy_s=1.0)
    assert diary.pool().counts.pending == {True: 0, False: 0}


def test_nor_is_what_somebody_asks_about_when_it_has_just_ended(new_diary) -> None:
    diary = new_diary(backlog_calls_max=2)
    diary.at(1.0).deploys(max_containers=2)
    for number in range(3):
        diary.spawns(f"fc-{number}")
    diary.ready("c1")
    diary.ready("c2")
    diary.completes("c1", 1, 0, busy_s=1.0)
    assert diary.pool().window.is_reading_calls
    assert diary.watches("fc-2") == ["load fc-2"]
    assert ran(diary.reads(1)) == ["fc-2[0]"]
    assert "record fc-2 as ended" in diary.completes("c1", 3, 0, busy_s=1.0)
    assert diary.reads() == ["load fc-2", "send what is recorded of fc-2[0:1] to 2", "2 gets 0 SUCCESS of fc-2"]


def test_what_waits_for_a_retry_does_not_keep_other_calls_from_running(new_diary) -> None:
    diary = new_diary(backlog_calls_max=4)
    diary.at(1.0).deploys(max_containers=1, retry=RetryPolicy(1, 1.0, 30.0))
    for number in range(12):
        diary.spawns(f"fc-{number}")
    diary.ready("c1")
    for number in range(1, 13):
        diary.completes("c1", number, 0, busy_s=1.0, status=FAILURE)
        diary.reads()
    assert diary.pool().window.stored_calls == 0
    assert all(call.failures for call in diary.engine.state.calls.values())


# ---------------------------------------------------------------- after a restart


def test_calls_go_on_where_they_were(new_diary) -> None:
    diary = new_diary(backlog_inputs_max=8)
    diary.at(1.0).deploys(max_containers=1, concurrency=Concurrency(8, 8))
    spawns_long(diary, "fc-1", 12)
    diary.ready("c1")
    for position in (0, 2, 3, 6):
        diary.completes("c1", 1, position, busy_s=1.0)
    diary.restarts()
    assert diary.pool().counts.pending[True] == 8
    assert diary.reads() == ["start c2"]
    call = diary.engine.state.calls["fc-1"]
    assert (call.done, call.pending) == (4, 8)
    diary.ready("c2")
    diary.reads()
    left = {index for part in diary.deliveries("c2") for index in indexes_of(diary, "c2", part)}
    assert left == {1, 4, 5, 7, 8, 9, 10, 11}


def indexes_of(diary, name: str, number: int) -> list[int]:
    delivery = diary.engine.state.containers[diary.id(name)].deliveries[number]
    return [delivery.locate(position)[2] for position in sorted(delivery.open)]


def test_a_retry_that_waits_in_the_tail_waits_on_alone(new_diary) -> None:
    diary = new_diary(backlog_inputs_max=4)
    diary.at(1.0).deploys(max_containers=1, retry=RetryPolicy(1, 1.0, 30.0), concurrency=Concurrency(12, 12))
    spawns_long(diary, "fc-1", 4)
    spawns_long(diary, "fc-2", 8)
    diary.ready("c1")
    diary.reads()
    assert diary.deliveries("c1") == {1: 8, 2: 4}
    diary.at(2.0).completes("c1", 2, 1, status=FAILURE)
    diary.at(3.0).restarts()
    diary.reads()
    diary.ready("c2")
    diary.reads()
    running = [index for number in diary.deliveries("c2") for index in indexes_of(diary, "c2", number)]
    assert len(running) == 11
    assert diary.at(31.9).meanwhile == []
    assert ran(diary.at(32.1).meanwhile) == ["fc-2[5] (parallel)"]


def test_a_call_whose_feeder_went_with_the_server_is_what_had_arrived(diary) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.spawns("fc-1", 2, sealed=False)
    diary.restarts()
    assert "record that fc-1 has 2 inputs, all" in diary.reads()
    diary.ready("c2")
    assert runs_all(diary, "c2") == ["fc-1[1]"]
    assert diary.engine.state.calls == {}


def test_a_call_that_had_everything_but_its_end_gets_it(diary) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.spawns("fc-1", sealed=False)
    diary.ready("c1")
    diary.completes("c1", 1, 0)
    diary.restarts()
    assert diary.reads() == ["record that fc-1 has 1 inputs, all", "record fc-1 as ended"]
    assert diary.pool().is_empty


def test_new_calls_come_behind_those_of_the_former_server(new_diary) -> None:
    diary = new_diary(backlog_calls_max=4)
    diary.at(1.0).deploys(max_containers=1)
    for number in range(3):
        diary.spawns(f"fc-{number}")
    diary.restarts()
    diary.spawns("fc-new")
    diary.reads()
    assert ran(diary.ready("c2")) + runs_all(diary, "c2") == ["fc-0[0]", "fc-1[0]", "fc-2[0]", "fc-new[0]"]


# ---------------------------------------------------------------- in flight


def test_inputs_that_are_read_when_their_call_is_cancelled_are_not_wanted_any_more(new_diary) -> None:
    diary = new_diary(backlog_inputs_max=4)
    diary.at(1.0).deploys(max_containers=1)
    spawns_long(diary, "fc-1", 12)
    diary.ready("c1")
    for number in (1, 2):
        diary.completes("c1", number, 0, busy_s=1.0)
    assert diary.engine.state.calls["fc-1"].loading
    diary.cancels("fc-1")
    assert diary.reads() == []
    assert diary.pool().counts.pending == {True: 0, False: 0}


def test_inputs_that_are_read_when_their_app_stops_are_not_wanted_any_more(new_diary) -> None:
    diary = new_diary(backlog_inputs_max=4, backlog_calls_max=2)
    diary.at(1.0).deploys(max_containers=1)
    spawns_long(diary, "fc-1", 12)
    for number in (2, 3, 4):
        diary.spawns(f"fc-{number}")
    diary.ready("c1")
    for number in range(1, 6):
        diary.completes("c1", number, 0, busy_s=1.0)
    assert diary.unread
    assert "record calls of 1 functions as cancelled" in diary.stops()
    assert diary.reads() == []
    diary.exits("c1")
    assert diary.engine.state.calls == diary.engine.state.pools == {}


def test_a_store_that_lacks_what_waits_in_it_is_a_defect_and_not_an_endless_wait(new_diary) -> None:
    diary = stored(new_diary)
    diary.keep(CallsCancelled((diary.function(),), "by another hand", 2.0))
    for number in range(1, 4):
        diary.completes("c1", number, 0, busy_s=1.0)
    with pytest.raises(AssertionError, match="the store has none of 1 calls"):
        diary.reads()


def test_what_is_sealed_when_it_is_read_back_is_written_down_once(diary) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.spawns("fc-1", sealed=False)
    diary.restarts()
    diary.reads()
    diary.restarts()
    diary.reads()
    assert not any(isinstance(getattr(effect, "record", None), CallGrown) for effect in diary.last)
