"""Rates and remaining times, from counts and a clock that the tests turn."""

from __future__ import annotations

import pytest

from swell.cli.show.rate import RateEstimator, clock_text


def watched(counts: dict[float, int]) -> RateEstimator:
    rates = RateEstimator(0.0)
    for now, done in counts.items():
        rates.add(now, done)
    return rates


def test_nothing_is_told_before_there_is_something_to_tell() -> None:
    rates = RateEstimator(0.0)
    assert rates.rate(0.0, 0) is None
    assert rates.rate(5.0, 0) is None, "nothing done yet: no rate, and no division by zero"
    assert rates.left_s(5.0, 0, 100) is None


def test_a_steady_count_has_its_rate_and_time_left() -> None:
    rates = watched({second: 50 * second for second in range(1, 5)})
    assert rates.rate(5.0, 250) == 50.0
    assert rates.left_s(5.0, 250, 1_000) == 15.0


def test_without_a_total_there_is_a_rate_but_no_time_left() -> None:
    rates = watched({1.0: 10})
    assert rates.rate(2.0, 20) == 10.0
    assert rates.left_s(2.0, 20, None) is None


def test_the_rate_follows_a_change_within_the_window() -> None:
    slow_then_quick = {float(second): second for second in range(1, 21)}
    slow_then_quick |= {20.0 + second: 20 + 100 * second for second in range(1, 12)}
    rates = watched(slow_then_quick)
    assert rates.rate(31.0, 1_120) == pytest.approx(100.0)


def test_many_observations_cost_no_memory() -> None:
    rates = watched({tick / 1_000: tick for tick in range(1, 60_000)})
    assert len(rates._samples) < 50


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (750, "12:30"), (3_723, "1:02:03")]
)
def test_durations_read_as_on_a_clock(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text
