"""Stories of calls that share a pool: nobody waits for somebody else's million inputs."""

from __future__ import annotations

from swell.config import Settings
from swell.sim.play import Play
from swell.sim.work import Work

MANY = Settings(pending_sync_max=1_000_000, total_sync_max=1_000_000)


def test_one_input_beside_200_000_others_takes_milliseconds() -> None:
    play = Play(settings=MANY, check_every=500)
    f = play.function("f", max_containers=2)
    play.map(f, [Work(0.0001)] * 200_000, at=0.0, span_max=1_000, window=200_000)
    single = [play.remote(f, Work(0.0001), at=0.5 + 0.1 * i) for i in range(5)]
    play.run(done=lambda: all(call in play.calls and play.of(call).is_over for call in single))
    assert play.backlog(f) > 100_000
    assert max(play.took(call) for call in single) < 0.010


def test_two_maps_share_the_containers_evenly() -> None:
    play = Play()
    f = play.function("f", max_containers=4)
    first = play.map(f, [Work(0.01)] * 400, at=0.0, span_max=400)
    second = play.map(f, [Work(0.01)] * 400, at=0.1, span_max=400)
    play.run()
    assert abs((play.of(first).finished_at or 0) - (play.of(second).finished_at or 0)) < 0.3


def test_an_input_that_takes_long_does_not_keep_those_behind_it_in_its_container() -> None:
    """A span of quick inputs turns out to hold a slow one: what it has not begun is given back and runs elsewhere."""
    play = Play()
    f = play.function("f", max_containers=2)
    quick = [Work(0.0001)] * 2_000
    play.map(f, quick, at=0.0)
    call = play.map(f, [*quick[:100], Work(5.0), *quick], at=1.0)
    play.run(2.0)
    assert len(play.of(call).statuses) == 2_100, "all but the slow one are done long before it is"
    play.run()
    assert play.took(call) < 5.1


def test_work_that_turns_slow_is_spread_over_idle_containers() -> None:
    play = Play()
    f = play.function("f", min_containers=8)
    play.map(f, [Work(0.00005)] * 5_000, at=1.0)
    call = play.map(f, [Work(0.1)] * 80, at=2.0)
    play.run()
    assert play.took(call) < 1.4, "80 inputs of 0.1 s on eight containers are a second's work"


def test_run_ahead_never_delays_another_call_by_more_than_its_bound() -> None:
    play = Play(settings=Settings(run_ahead_ms=5.0))
    f = play.function("f", max_containers=1)
    play.map(f, [Work(0.001)] * 3_000, at=0.0)
    single = [play.remote(f, Work(0.001), at=1.0 + 0.0137 * i) for i in range(20)]
    play.run()
    assert max(play.took(call) for call in single) < 0.012


def test_methods_of_a_class_share_its_containers() -> None:
    play = Play()
    f = play.function("C.*", max_containers=1)
    calls = [play.map(f, [Work(0.001)] * 50, at=0.0, method=method) for method in ("a", "b", "c")]
    play.run()
    play.finish()
    assert max(play.sizes(f)) == 1
    assert all(play.took(call) < 0.5 for call in calls)
