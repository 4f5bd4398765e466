"""How many inputs go to a slot at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swell.policy.sizing import SPAN_MAX, learn_service, run_ahead, span_size


def learned(*observed: float, start: float | None = None, count: int = 1) -> float:
    estimate = start
    for value in observed:
        estimate = learn_service(estimate, value, count)
    assert estimate is not None
    return estimate


def test_the_first_observation_is_believed() -> None:
    assert learned(0.25) == 0.25


def test_nothing_takes_no_time_at_all() -> None:
    assert learned(0.0) > 0


def test_one_stalled_input_moves_a_settled_estimate_by_little() -> None:
    assert learned(0.05, *[0.00001] * 10, start=0.00001) < 0.00005


def test_work_that_became_slow_is_noticed_within_five_inputs() -> None:
    assert learned(*[1.0] * 5, start=0.00001) > 0.005


def test_many_inputs_weigh_more_than_one() -> None:
    assert learned(1.0, start=0.01, count=100) > learned(1.0, start=0.01, count=1)


@given(st.floats(1e-6, 1e3), st.floats(0, 1e3), st.integers(1, 1_000))
def test_an_estimate_lies_between_what_was_thought_and_what_was_seen(old: float, seen: float, count: int) -> None:
    low, high = sorted((old, max(seen, 1e-6)))
    assert low * 0.999 <= learn_service(old, seen, count) <= high * 1.001


@pytest.mark.parametrize(
    ("service_s", "holds"), [(None, 1), (10.0, 1), (0.005, 1), (0.0025, 2), (0.001, 5), (0.00001, 500), (0.0, SPAN_MAX)]
)
def test_run_ahead_is_worth_about_five_milliseconds(service_s: float | None, holds: int) -> None:
    assert run_ahead(service_s, 0.005) == pytest.approx(holds, abs=1)
    assert run_ahead(service_s, 0.005) >= 1


def test_an_empty_slot_gets_a_fair_share_of_what_is_left() -> None:
    assert span_size(backlog=500, slots=2, holds=0, hold_max=500, service_s=0.00001) == 125


def test_quick_inputs_are_not_spread_thinner_than_a_message_is_worth() -> None:
    assert span_size(backlog=500, slots=50, holds=0, hold_max=500, service_s=0.00001) == 100


def test_an_empty_slot_gets_one_input_of_unknown_length() -> None:
    assert span_size(backlog=500, slots=2, holds=0, hold_max=1, service_s=None) == 1


def test_a_slot_with_slow_work_gets_nothing_ahead() -> None:
    assert span_size(backlog=500, slots=1, holds=1, hold_max=1, service_s=1.0) == 0


def test_a_slot_that_holds_more_than_half_is_left_alone() -> None:
    assert span_size(backlog=5_000, slots=1, holds=251, hold_max=500, service_s=0.00001) == 0
    assert span_size(backlog=5_000, slots=1, holds=250, hold_max=500, service_s=0.00001) == 250


@given(
    backlog=st.integers(1, 100_000),
    slots=st.integers(1, 4_000),
    holds=st.integers(0, 1_000),
    service_s=st.none() | st.floats(1e-7, 10),
)
def test_bounds(backlog: int, slots: int, holds: int, service_s: float | None) -> None:
    hold_max = run_ahead(service_s, 0.005)
    size = span_size(backlog=backlog, slots=slots, holds=holds, hold_max=hold_max, service_s=service_s)
    assert 0 <= size <= min(backlog, SPAN_MAX)
    assert size >= 1 or holds, "an empty slot never waits while there is work"
    assert holds + size <= hold_max or not size or not holds
