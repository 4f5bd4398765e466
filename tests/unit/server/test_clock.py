"""The engine's time goes on, whatever is done to the clock on the wall."""

from __future__ import annotations

from swell.server.clock import NAP_MAX_S, STEP_S, EngineClock, since_boot


class Clocks:
    """A clock on the wall that can be set, and one that cannot."""

    def __init__(self) -> None:
        self.wall = 1_800_000_000.0
        self.running = 500.0
        self.engine = EngineClock(lambda: self.wall, lambda: self.running)

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.running += seconds


def test_time_passes() -> None:
    clocks = Clocks()
    assert clocks.engine.now() == 1_800_000_000.0
    clocks.pass_by(7.5)
    assert clocks.engine.now() == 1_800_000_007.5


def test_a_clock_that_is_put_forward_is_followed_when_that_is_looked_at() -> None:
    clocks = Clocks()
    clocks.wall += 3_600.0
    assert clocks.engine.now() == 1_800_000_000.0
    clocks.engine.catch_up()
    assert clocks.engine.now() == clocks.wall
    clocks.pass_by(1.0)
    clocks.engine.catch_up()
    assert clocks.engine.now() == clocks.wall


def test_a_clock_that_is_put_back_is_not_followed_and_time_goes_on() -> None:
    clocks = Clocks()
    clocks.pass_by(10.0)
    before = clocks.engine.now()
    clocks.wall -= 3_600.0
    clocks.engine.catch_up()
    assert clocks.engine.now() == before
    clocks.pass_by(5.0)
    clocks.engine.catch_up()
    assert clocks.engine.now() == before + 5.0


def test_the_ordinary_drift_of_a_clock_is_left_alone() -> None:
    clocks = Clocks()
    clocks.wall += 0.9 * STEP_S
    clocks.engine.catch_up()
    assert clocks.engine.now() == 1_800_000_000.0


def test_it_never_goes_back_whatever_happens() -> None:
    clocks, before = Clocks(), 0.0
    for number in range(200):
        clocks.wall += (number * 7919) % 5_000 - 2_500
        clocks.pass_by(0.001)
        if number % 3:
            clocks.engine.catch_up()
        assert clocks.engine.now() > before
        before = clocks.engine.now()


def test_sleep_is_time_too() -> None:
    """The clock that runs on while a machine sleeps has gone on with the one on the wall."""
    clocks = Clocks()
    at = clocks.engine.now() + 60.0
    assert clocks.engine.wait_for(at) == NAP_MAX_S, "a timer may stand still meanwhile: it is looked at again soon"
    clocks.pass_by(8 * 3_600.0)
    assert clocks.engine.wait_for(at) == 0.0


def test_a_time_that_is_near_is_waited_for_exactly() -> None:
    clocks = Clocks()
    assert clocks.engine.wait_for(clocks.engine.now() + 2.5) == 2.5
    assert clocks.engine.wait_for(float("inf")) == NAP_MAX_S


def test_the_machines_own_clock_runs() -> None:
    first = since_boot()
    assert first > 0
    assert since_boot() >= first
