"""How fast a node is filled, as a diary of observations."""

from __future__ import annotations

import pytest

from swell.policy.pace import (
    POLL_EVERY_MAX_S,
    POLL_EVERY_S,
    Load,
    Pace,
    burst_of,
    next_poll,
    observed,
    saturated,
    starting_max,
    used_up,
)


class Node:
    """A node of which as many containers are wanted as it allows: each takes a look to start, and one to be proven."""

    def __init__(self, cores: float, *, work: float, start_work: float = 0.0) -> None:
        self.cores = cores
        self.work = work  #: of a core, what a container that is ready does
        self.start_work = start_work
        self.now = 0.0
        self.pace: Pace | None = None
        self.proven = 0
        self.ready = 0
        self.starting = 0
        self.working_cores = 0.0

    def start(self) -> None:
        """Start what may be started."""
        if saturated(self.working_cores, self.cores):
            return
        while self.starting + self.ready < burst_of(self.pace, cores=self.cores, now=self.now):
            self.starting += 1
        self.pace = used_up(self.pace, self.now)

    def look(self) -> None:
        """Let time pass until the next observation."""
        self.now += POLL_EVERY_S
        self.working_cores = min(self.cores, (self.proven + self.ready) * self.work)
        busy = min(self.cores, self.working_cores + self.starting * self.start_work)
        load = Load(self.cores, busy, self.working_cores, sleeps=self.ready > 0 and self.work < 0.5)
        self.pace = observed(self.pace, load, self.now)
        self.proven += self.ready
        self.ready, self.starting = self.starting, 0
        self.start()

    @property
    def total(self) -> int:
        return self.starting + self.ready + self.proven


@pytest.mark.parametrize("start_work", [0.0, 1.0])
def test_sleepers_reach_a_hundred_containers_in_a_few_polls(start_work: float) -> None:
    node, polls = Node(2, work=0.001, start_work=start_work), 0
    node.start()
    while node.total < 100:
        node.look()
        polls += 1
    assert polls <= 12


@pytest.mark.parametrize("cores", [1, 2, 4, 16, 64])
def test_number_crunchers_stop_at_about_twice_the_cores(cores: int) -> None:
    node = Node(cores, work=1.0, start_work=1.0)
    node.start()
    for _ in range(100):
        node.look()
    assert node.total == max(4, 2 * cores)


def test_starts_that_keep_the_cores_busy_are_no_reason_for_more_of_them() -> None:
    pace: Pace | None = None
    for look in range(50):
        pace = observed(pace, Load(2, busy_cores=2.0, working_cores=0.0), look * POLL_EVERY_S)
        pace = used_up(pace, look * POLL_EVERY_S)
    assert burst_of(pace, cores=2, now=0.5) == 4


def test_starts_that_wait_for_something_else_leave_room_for_more_of_them() -> None:
    pace: Pace | None = None
    for look in range(50):
        pace = observed(pace, Load(2, busy_cores=0.1, working_cores=0.0), look * POLL_EVERY_S)
        pace = used_up(pace, look * POLL_EVERY_S)
    assert burst_of(pace, cores=2, now=0.5) == 256


def test_a_busy_time_makes_it_small_again() -> None:
    pace = Pace(256, 0.0, full_since=0.0)
    for look in range(1, 8):
        pace = observed(pace, Load(8, busy_cores=8.0, working_cores=8.0), look * POLL_EVERY_S)
    assert pace.burst == 16


def test_a_burst_that_is_not_used_up_does_not_grow() -> None:
    assert observed(Pace(32, 0.0), Load(8, 0.0, 0.0, sleeps=True), 0.1).burst == 32


def test_a_look_right_after_a_burst_tells_nothing_of_it() -> None:
    pace = used_up(Pace(4, 0.0), 0.5)
    pace = observed(pace, Load(2, 0.0, 0.0), 0.501)
    assert pace is not None and pace.burst == 4
    assert observed(pace, Load(2, 0.0, 0.0), 0.511).burst == 8


def test_after_a_pause_it_begins_anew() -> None:
    pace = Pace(256, 0.0, full_since=0.0)
    assert burst_of(pace, cores=2, now=0.9) == 256
    assert burst_of(pace, cores=2, now=10.0) == 4
    assert observed(pace, Load(2, 0.0, 0.0, sleeps=True), 10.0).burst == 4


def test_nearly_all_cores_is_saturated() -> None:
    assert not saturated(3.3, 4)
    assert saturated(3.4, 4)


def test_of_quick_starts_more_go_on_at_once() -> None:
    assert starting_max(4) == starting_max(4, start_s=2.0) == 16
    assert starting_max(4, start_s=0.05) == 64


def test_polling_in_vain_becomes_rarer_and_a_change_makes_it_frequent_again() -> None:
    every, waits = POLL_EVERY_S, []
    for _ in range(8):
        every = next_poll(every, containers=4, nothing_changed=True)
        waits.append(every)
    assert waits == [0.02, 0.04, 0.08, 0.16, 0.32, POLL_EVERY_MAX_S, POLL_EVERY_MAX_S, POLL_EVERY_MAX_S]
    assert next_poll(every, containers=4, nothing_changed=False) == POLL_EVERY_S


def test_polls_of_many_containers_leave_time_for_other_things() -> None:
    assert next_poll(POLL_EVERY_S, containers=1_000, nothing_changed=False) == pytest.approx(0.1)
    assert next_poll(POLL_EVERY_S, containers=10**6, nothing_changed=True) == POLL_EVERY_MAX_S
