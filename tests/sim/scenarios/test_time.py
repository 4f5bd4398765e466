"""Stories of retries, timeouts, cancellations, batches and generators, told with times."""

from __future__ import annotations

import pytest

from swell.config import Settings
from swell.model import Batching, Concurrency, OutputStatus, RetryPolicy
from swell.sim.play import Play
from swell.sim.work import Mishap, Work

KILL, FAIL, HANG = Mishap.KILL, Mishap.FAIL, Mishap.HANG
SUCCESS, FAILURE, TIMEOUT = OutputStatus.SUCCESS, OutputStatus.FAILURE, OutputStatus.TIMEOUT
TERMINATED = OutputStatus.TERMINATED


def test_delays_between_attempts_follow_the_policy() -> None:
    play = Play()
    f = play.function("f", retry=RetryPolicy(3, 3.0, 1.0, max_delay_s=5.0))
    call = play.remote(f, Work(0.0, (FAIL,) * 3))
    play.run()
    assert play.of(call).statuses == {0: SUCCESS}
    assert play.took(call) == pytest.approx(1 + 3 + 5, abs=0.1)


def test_the_last_failure_reaches_the_caller_when_no_retry_is_left() -> None:
    play = Play()
    f = play.function("f", retry=RetryPolicy(2, 1.0, 1.0))
    call = play.remote(f, Work(0.0, (FAIL,) * 3))
    play.run()
    assert play.of(call).statuses == {0: FAILURE}
    assert play.took(call) == pytest.approx(2.0, abs=0.1)


def test_other_inputs_run_while_one_waits_for_its_retry() -> None:
    play = Play()
    f = play.function("f", max_containers=1, retry=RetryPolicy(1, 1.0, 10.0))
    call = play.map(f, [Work(0.001, (FAIL,))] + [Work(0.001)] * 50)
    play.run(1.0)
    assert len(play.of(call).statuses) == 50
    play.run()
    assert play.took(call) == pytest.approx(10.0, abs=0.1)


def test_a_timeout_counts_execution_and_not_the_wait_before_it() -> None:
    play = Play(start_s=3.0)
    f = play.function("f", max_containers=1, timeout_s=2.0)
    call = play.map(f, [Work(1.5)] * 5)
    play.run()
    assert set(play.of(call).statuses.values()) == {SUCCESS}


@pytest.mark.parametrize("is_async", [False, True])
def test_a_timeout_is_a_failure_for_the_retry_policy(is_async: bool) -> None:
    play = Play()
    f = play.function("f", is_async=is_async, timeout_s=2.0, retry=RetryPolicy(1, 1.0, 1.0))
    twice = play.remote(f, Work(0.1, (HANG, HANG)))
    once = play.remote(f, Work(0.1, (HANG,)))
    play.run()
    assert play.of(twice).statuses == {0: TIMEOUT}
    assert play.took(twice) == pytest.approx(2 + 1 + 2, abs=0.2)
    assert play.of(once).statuses == {0: SUCCESS}


@pytest.mark.parametrize("is_async", [False, True])
def test_every_input_of_a_queue_has_its_own_time(is_async: bool) -> None:
    """Three hang one after another, with others between them, in one container."""
    play = Play()
    f = play.function("f", is_async=is_async, max_containers=1, timeout_s=1.0)
    play.map(f, [Work(0.0001)] * 2_000)
    works = [Work(0.0001, (HANG,)) if i % 10 == 5 else Work(0.0001) for i in range(30)]
    call = play.map(f, works, at=2.0)
    play.run()
    assert [i for i, status in play.of(call).statuses.items() if status is TIMEOUT] == [5, 15, 25]
    assert play.took(call) == pytest.approx(3.0, abs=0.2)


def test_neighbours_of_an_input_that_times_out_run_elsewhere() -> None:
    play = Play()
    f = play.function("f", max_containers=1, timeout_s=2.0, concurrency=Concurrency(5, 5))
    late = play.map(f, [Work(1.5)] * 2, at=1.0)
    call = play.remote(f, Work(0.1, (HANG,)), at=0.0)
    play.run()
    assert play.of(call).statuses == {0: TIMEOUT}
    assert play.of(late).statuses == {0: SUCCESS, 1: SUCCESS}


def test_a_cancelled_call_ends_at_once_and_its_container_lives() -> None:
    play = Play()
    f = play.function("f", max_containers=1)
    cancelled = play.map(f, [Work(50.0)] * 3, cancels_after_s=1.0)
    other = play.remote(f, Work(0.1), at=0.5)
    play.run(1.3)
    assert set(play.of(cancelled).statuses.values()) == {TERMINATED}
    assert play.of(other).statuses == {0: SUCCESS}
    assert play.starts == 1


def test_code_that_resists_its_cancellation_costs_its_container() -> None:
    play = Play(settings=Settings(cancel_grace_s=2.0))
    f = play.function("f", max_containers=1)
    cancelled = play.remote(f, Work(50.0, resists=True), cancels_after_s=1.0)
    other = play.remote(f, Work(0.1), at=0.5)
    play.run()
    assert play.of(cancelled).statuses == {0: TERMINATED}
    assert play.of(other).finished_at == pytest.approx(1 + 2 + 0.1, abs=0.1)
    assert play.starts == 2


def test_neighbours_of_a_cancelled_input_lose_nothing() -> None:
    play = Play(settings=Settings(cancel_grace_s=1.0))
    f = play.function("f", max_containers=1, concurrency=Concurrency(4, 4))
    play.remote(f, Work(50.0, resists=True), cancels_after_s=0.5)
    others = play.map(f, [Work(3.0)] * 3)
    play.run()
    assert set(play.of(others).statuses.values()) == {SUCCESS}


def test_the_rest_of_a_batch_whose_input_is_cancelled_runs_again() -> None:
    play = Play()
    f = play.function("f", max_containers=1, batching=Batching(4, 100))
    play.remote(f, Work(2.0), cancels_after_s=1.0)
    others = play.map(f, [Work(2.0)] * 3)
    play.run()
    assert play.of(others).statuses == dict.fromkeys(range(3), SUCCESS)
    assert play.took(others) == pytest.approx(1.0 + 0.1 + 2.0, abs=0.2)


def test_a_batch_leaves_when_it_is_full_or_when_its_time_has_come() -> None:
    play = Play()
    f = play.function("f", min_containers=1, batching=Batching(2, 1_000))
    call = play.map(f, [Work(0.0)] * 3, at=1.0)
    play.run(1.5)
    assert len(play.of(call).statuses) == 2, "two at once"
    play.run()
    assert play.took(call) == pytest.approx(1.0, abs=0.05), "the third after its second"


def test_batches_take_inputs_of_all_callers() -> None:
    play = Play()
    f = play.function("f", min_containers=1, batching=Batching(8, 60_000))
    calls = [play.remote(f, Work(0.01), at=1.0 + i) for i in range(8)]
    play.run()
    assert play.took(calls[-1]) < 0.1
    assert play.took(calls[0]) == pytest.approx(7.0, abs=0.1)


def test_a_slot_holds_a_batch() -> None:
    play = Play()
    f = play.function("f", max_containers=1, batching=Batching(5, 0), concurrency=Concurrency(3, 3))
    call = play.map(f, [Work(1.0)] * 30, at=1.0)
    play.run()
    assert play.took(call) == pytest.approx(2.0, abs=0.1), "30 inputs, 15 at a time"


def test_a_generator_is_slowed_by_its_consumer_and_repeats_nothing_after_a_crash() -> None:
    play = Play(items_ahead_max=4)
    f = play.function("f", is_generator=True)
    call = play.remote(f, Work(1.0, (KILL, KILL), items=50))
    play.run()
    play.finish()
    assert play.of(call).statuses == {0: OutputStatus.GENERATOR_DONE}


def test_a_map_past_the_limits_is_refused_in_part_and_comes_through() -> None:
    play = Play(settings=Settings(pending_sync_max=10, total_sync_max=20, retry_after_s=0.1))
    f = play.function("f", max_containers=4)
    call = play.map(f, [Work(0.01)] * 200, span_max=50)
    play.run()
    assert set(play.of(call).statuses.values()) == {SUCCESS}
    assert len(play.of(call).statuses) == 200
    assert play.of(call).refusals > 0


def test_spawned_calls_outlive_their_client_and_are_recorded_once() -> None:
    play = Play()
    play.client(detach=True, gone_at=1.0)
    f = play.function("f", max_containers=2)
    call = play.spawn(f, [Work(1.0)] * 10)
    play.run(20.0)
    assert len(play.world.store.now("read_outputs", call, 0, 10)) == 10
    play.world.finish()
