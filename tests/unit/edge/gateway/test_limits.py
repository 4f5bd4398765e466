"""How many requests are taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swell.edge.gateway.limits import Bucket


def test_a_burst_is_taken_and_then_the_rate() -> None:
    bucket = Bucket(rate=10, burst_s=2, now=0)
    assert [bucket.take(0) for _ in range(20)] == [0] * 20
    assert bucket.take(0) == pytest.approx(0.1)
    assert bucket.take(0.05) == pytest.approx(0.05)
    assert bucket.take(0.1) == 0
    assert bucket.take(0.1) == pytest.approx(0.1)


def test_who_is_refused_takes_nothing_and_what_is_not_used_is_not_saved_up() -> None:
    bucket = Bucket(rate=1, burst_s=1, now=0)
    assert bucket.take(0) == 0
    for _ in range(100):
        assert bucket.take(0.5) == pytest.approx(0.5)
    assert bucket.take(1) == 0
    assert [bucket.take(1_000) for _ in range(2)] == [0, 1]


def test_one_request_is_always_let_in_in_time_however_small_the_burst() -> None:
    bucket = Bucket(rate=0.5, burst_s=0.001, now=0)
    assert bucket.take(0) == 0
    assert bucket.take(0) == 2
    assert bucket.take(2) == 0


@given(st.floats(0.1, 1_000), st.floats(0.01, 10), st.lists(st.floats(0, 1), max_size=200))
def test_never_more_than_the_burst_and_the_rate(rate: float, burst_s: float, pauses: list[float]) -> None:
    bucket, now, taken = Bucket(rate, burst_s, 0), 0.0, 0
    for pause in pauses:
        now += pause
        wait_s = bucket.take(now)
        assert wait_s >= 0
        taken += not wait_s
        assert taken <= max(1, rate * burst_s) + rate * now + 1e-6
