"""How fast a node is filled, as a diary of polls."""

from __future__ import annotations

from swell.policy.pace import POLL_EVERY_MAX_S, POLL_EVERY_S, Pace, next_poll, observed, saturated, started


def filled(pace: Pace) -> Pace:
    """All starts that the pace allows were made."""
    while pace.left:
        pace = started(pace)
    return pace


def test_sleepers_reach_a_hundred_containers_in_a_few_polls() -> None:
    pace, total, polls = observed(None, busy_cores=0.0, cores=2), 0, 0
    while total < 100:
        total += pace.left
        pace = observed(filled(pace), busy_cores=0.1, cores=2)
        polls += 1
    assert polls == 5  # 4 + 8 + 16 + 32 + 64


def test_number_crunchers_stop_at_about_twice_the_cores() -> None:
    pace = observed(None, busy_cores=0.0, cores=4)
    assert pace.left == 8
    pace = observed(filled(pace), busy_cores=4.0, cores=4)
    assert pace.left == 0


def test_after_a_busy_time_it_begins_small_again() -> None:
    pace = Pace(256, 0)
    pace = observed(pace, busy_cores=8.0, cores=8)
    pace = observed(pace, busy_cores=1.0, cores=8)
    assert pace.left == 32


def test_a_pace_that_is_not_used_shrinks() -> None:
    assert observed(Pace(64, 40), busy_cores=0.0, cores=2) == Pace(32, 32)
    assert observed(Pace(4, 4), busy_cores=0.0, cores=2) == Pace(4, 4)


def test_a_start_more_than_allowed_does_not_count_below_zero() -> None:
    assert started(Pace(4, 0)) == Pace(4, 0)


def test_nearly_all_cores_is_saturated() -> None:
    assert not saturated(3.3, 4)
    assert saturated(3.4, 4)


def test_polling_in_vain_becomes_rarer_and_a_success_makes_it_frequent_again() -> None:
    every, waits = POLL_EVERY_S, []
    for _ in range(6):
        every = next_poll(every, nothing_started=True)
        waits.append(every)
    assert waits == [0.1, 0.2, 0.4, POLL_EVERY_MAX_S, POLL_EVERY_MAX_S, POLL_EVERY_MAX_S]
    assert next_poll(every, nothing_started=False) == POLL_EVERY_S
