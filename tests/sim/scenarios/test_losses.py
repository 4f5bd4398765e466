"""Stories of containers that die: whose fault it is, who runs again, and who never hears of it."""

from __future__ import annotations

from swell.config import Settings
from swell.model import Batching, Concurrency, OutputStatus, RetryPolicy
from swell.sim.play import Play, node
from swell.sim.scenario import Faults
from swell.sim.work import Mishap, Work

KILL, FAIL, HANG, OUTGROW = Mishap.KILL, Mishap.FAIL, Mishap.HANG, Mishap.OUTGROW
SUCCESS, POISON, MEMORY = OutputStatus.SUCCESS, OutputStatus.INTERNAL_FAILURE, OutputStatus.OUT_OF_MEMORY


def test_an_input_whose_container_dies_runs_again_and_costs_no_retry() -> None:
    play = Play()
    f = play.function("f", retry=RetryPolicy(1))
    call = play.remote(f, Work(0.01, (KILL, KILL, FAIL, KILL)))
    play.run()
    assert play.of(call).statuses == {0: SUCCESS}, "three containers lost, one failure, one retry"


def test_poison_ends_with_an_error_that_names_it_and_its_neighbours_succeed() -> None:
    play = Play(settings=Settings(poison_crashes_max=3))
    f = play.function("f", max_containers=2)
    poison = Work(0.001, always_kills=True)
    call = play.map(f, [Work(0.001)] * 30 + [poison] + [Work(0.001)] * 30)
    play.run()
    statuses = play.of(call).statuses
    assert statuses.pop(30) is POISON
    assert set(statuses.values()) == {SUCCESS}
    assert len(statuses) == 60


def test_poison_in_a_long_span_is_found_though_nobody_saw_it_start() -> None:
    play = Play(settings=Settings(poison_crashes_max=2))
    f = play.function("f", max_containers=1)
    play.map(f, [Work(0.00001)] * 3_000)
    call = play.map(f, [Work(0.00001)] * 200 + [Work(0.00001, always_kills=True)] + [Work(0.00001)] * 200, at=1.0)
    play.run()
    assert play.of(call).statuses[200] is POISON
    assert sum(status is SUCCESS for status in play.of(call).statuses.values()) == 400


def test_innocent_neighbours_in_a_concurrent_container_survive_any_number_of_crashes() -> None:
    play = Play(settings=Settings(poison_crashes_max=2))
    f = play.function("f", max_containers=1, concurrency=Concurrency(10, 10))
    call = play.map(f, [Work(0.1)] * 9 + [Work(0.01, always_kills=True)])
    play.run()
    statuses = play.of(call).statuses
    assert statuses.pop(9) is POISON
    assert set(statuses.values()) == {SUCCESS}


def test_innocent_neighbours_in_a_batch_survive() -> None:
    play = Play(settings=Settings(poison_crashes_max=3))
    f = play.function("f", max_containers=1, batching=Batching(5, 10))
    call = play.map(f, [Work(0.01, always_kills=True)] + [Work(0.01)] * 14)
    play.run()
    statuses = play.of(call).statuses
    assert statuses.pop(0) is POISON
    assert set(statuses.values()) == {SUCCESS}


def test_inputs_behind_one_that_kills_are_just_delivered_again() -> None:
    """What a container had not begun is not suspected: it is neither blamed nor run alone."""
    play = Play(settings=Settings(poison_crashes_max=1))
    f = play.function("f", max_containers=1)
    play.map(f, [Work(0.0001)] * 2_000)
    call = play.map(f, [Work(0.0001, (KILL,))] + [Work(0.0001)] * 100, at=1.0)
    play.run()
    assert sum(status is SUCCESS for status in play.of(call).statuses.values()) >= 100


def test_a_node_that_vanishes_takes_its_containers_and_nothing_else() -> None:
    play = Play(nodes=[node(name="a", cpu=4), node(name="b", cpu=4)], start_s=0.01)
    f = play.function("f", max_containers=8)
    call = play.map(f, [Work(1.0)] * 16)
    play.run(0.5)
    play.world.nodes.lose_for_a_while("a")
    play.run()
    play.finish()
    assert set(play.of(call).statuses.values()) == {SUCCESS}
    assert len(play.of(call).statuses) == 16


def test_a_start_that_fails_backs_off_and_tells_the_user_in_the_end() -> None:
    play = Play(settings=Settings(start_failures_max=3, start_backoff_s=0.5), faults=always(start_fails=1.0))
    f = play.function("f")
    call = play.remote(f, Work(0.1), at=1.0)
    play.run()
    assert play.of(call).statuses == {0: OutputStatus.INIT_FAILURE}
    assert play.starts == 3
    assert 1.4 < play.took(call) < 2.0, "half a second after the first failure, one after the second"


def test_a_detached_app_goes_on_trying() -> None:
    play = Play(settings=Settings(start_failures_max=2), faults=always(start_fails=1.0, until=20.0))
    play.client(detach=True)
    f = play.function("f")
    call = play.remote(f, Work(0.1), at=1.0)
    play.run()
    assert play.of(call).statuses == {0: SUCCESS}
    assert play.starts > 3


def test_a_start_that_hangs_is_given_up_after_its_timeout() -> None:
    play = Play(faults=always(start_hangs=1.0, until=5.0))
    f = play.function("f", startup_timeout_s=4.0)
    call = play.remote(f, Work(0.1), at=1.0)
    play.run()
    assert play.of(call).statuses == {0: SUCCESS}
    assert 4.0 < play.took(call) < 6.0


def test_an_exit_hook_that_hangs_is_killed_after_its_grace() -> None:
    play = Play(settings=Settings(exit_grace_s=3.0), faults=always(exit_hangs=1.0))
    f = play.function("f", scaledown_window=2)
    play.remote(f, Work(0.1), at=0.0)
    play.run(4.0)
    assert len(play.world.fleet.containers) == 1, "told to leave at 2.1 s, and still there"
    play.run(6.0)
    assert not play.world.fleet.containers


def test_what_a_container_says_twice_or_too_late_changes_nothing() -> None:
    play = Play(faults=always(repeated=1.0), settings=Settings(retry_delay_min_s=0.0))
    f = play.function("f", max_containers=3, retry=RetryPolicy(2, 1.0, 0.0))
    call = play.map(f, [Work(0.001, (FAIL, KILL))] * 40 + [Work(0.0001)] * 400)
    play.run()
    play.finish()
    assert set(play.of(call).statuses.values()) == {SUCCESS}


def test_a_client_that_vanishes_leaves_nothing_running() -> None:
    play = Play()
    play.client(gone_at=2.0)
    f = play.function("f", max_containers=4)
    play.map(f, [Work(100.0)] * 50)
    play.run(8.0)
    assert not play.world.engine.state.calls
    assert not play.world.fleet.containers


def always(until: float = 1e9, **rates: float) -> Faults:
    return Faults(until=until, **rates)


# ---------------------------------------------------------------- more memory than a container may use


def test_an_input_that_outgrows_its_container_fails_at_once_and_has_its_retries() -> None:
    play = Play()
    plain, patient = play.function("plain"), play.function("patient", retry=RetryPolicy(2))
    once = play.remote(plain, Work(0.01, (OUTGROW,)))
    twice = play.remote(patient, Work(0.01, (OUTGROW, OUTGROW)))
    play.run()
    assert play.of(once).statuses == {0: MEMORY}
    assert play.of(twice).statuses == {0: SUCCESS}


def test_neighbours_of_an_input_that_outgrows_its_container_run_again_alone_and_succeed() -> None:
    play = Play(settings=Settings(poison_crashes_max=1))
    f = play.function("f", max_containers=1, concurrency=Concurrency(10, 10))
    call = play.map(f, [Work(0.1)] * 9 + [Work(0.01, (OUTGROW, OUTGROW))])
    play.run()
    statuses = play.of(call).statuses
    assert statuses.pop(9) is MEMORY, "it was not known the first time, and was the second"
    assert set(statuses.values()) == {SUCCESS}
