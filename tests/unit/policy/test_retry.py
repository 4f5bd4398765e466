"""How often, and after how long, a failed input is tried again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swell.model import RetryPolicy
from swell.policy.retry import retry_delay


def delays(policy: RetryPolicy | None, count: int, least: float = 0.0) -> list[float | None]:
    return [retry_delay(policy, failures, least) for failures in range(1, count + 1)]


def test_without_a_policy_nothing_is_tried_again() -> None:
    assert delays(None, 1) == [None]


def test_the_number_of_retries_is_exact() -> None:
    assert delays(RetryPolicy(2, 1.0, 1.0), 3) == [1.0, 1.0, None]
    assert delays(RetryPolicy(0), 1) == [None]


def test_delays_grow_by_the_coefficient_up_to_the_maximum() -> None:
    assert delays(RetryPolicy(5, 3.0, 1.0, 20.0), 6) == [1.0, 3.0, 9.0, 20.0, 20.0, None]


def test_a_coefficient_of_one_keeps_delays_fixed() -> None:
    assert delays(RetryPolicy(3, 1.0, 0.2), 4) == [0.2, 0.2, 0.2, None]


def test_no_delay_is_below_the_floor() -> None:
    assert delays(RetryPolicy(4, 10.0, 0.1, 5.0), 4, least=1.0) == [1.0, 1.0, 5.0, 5.0]
    assert delays(RetryPolicy(1, 2.0, 0.0), 1, least=1.0) == [1.0]


@given(st.floats(1, 1_000), st.floats(0, 86_400), st.floats(0, 86_400), st.integers(1, 1_000_000), st.floats(0, 60))
def test_no_sound_policy_overflows(
    coefficient: float, initial_s: float, most_s: float, failures: int, least_s: float
) -> None:
    policy = RetryPolicy(1_000_000, coefficient, initial_s, most_s)
    delay = retry_delay(policy, failures, least_s)
    assert delay is not None
    assert least_s <= delay <= max(least_s, most_s)


def test_the_thousandth_retry_does_not_overflow() -> None:
    assert retry_delay(RetryPolicy(10_000, 10.0, 60.0, 60.0), 9_999, 1.0) == 60.0
