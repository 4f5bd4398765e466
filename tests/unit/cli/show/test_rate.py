"""Rates and remaining times, from counts and a clock that the tests turn."""

from __future__ import annotations

import pytest

from swell.cli.show.rate import Meter, clock_text


def watched(counts: dict[float, int]) -> Meter:
    meter = Meter(0.0)
    for now, done in counts.items():
        meter.observe(now, done)
    return meter


def test_nothing_is_told_before_there_is_something_to_tell() -> None:
    meter = Meter(0.0)
    assert meter.rate(0.0, 0) is None
    assert meter.rate(5.0, 0) is None, "nothing done yet: no rate, and no division by zero"
    assert meter.left_s(5.0, 0, 100) is None


def test_a_steady_count_has_its_rate_and_time_left() -> None:
    meter = watched({second: 50 * second for second in range(1, 5)})
    assert meter.rate(5.0, 250) == 50.0
    assert meter.left_s(5.0, 250, 1_000) == 15.0


def test_without_a_total_there_is_a_rate_but_no_time_left() -> None:
    meter = watched({1.0: 10})
    assert meter.rate(2.0, 20) == 10.0
    assert meter.left_s(2.0, 20, None) is None


def test_the_rate_follows_a_change_within_the_window() -> None:
    slow_then_quick = {float(second): second for second in range(1, 21)}
    slow_then_quick |= {20.0 + second: 20 + 100 * second for second in range(1, 12)}
    meter = watched(slow_then_quick)
    assert meter.rate(31.0, 1_120) == pytest.approx(100.0)


def test_many_observations_cost_no_memory() -> None:
    meter = watched({tick / 1_000: tick for tick in range(1, 60_000)})
    assert len(meter._samples) < 50


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (750, "12:30"), (3_723, "1:02:03")]
)
def test_durations_read_as_on_a_clock(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text
