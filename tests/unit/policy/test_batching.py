"""When a batch leaves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swell.model import Batching
from swell.policy.batching import batch_due_at, batch_size_now

TWO_PER_SECOND = Batching(max_batch_size=2, wait_ms=1_000)


@pytest.mark.parametrize(
    ("queued", "now", "size"),
    [(0, 10.0, 0), (1, 10.0, 0), (1, 10.999, 0), (1, 11.0, 1), (2, 10.0, 2), (3, 10.0, 2), (3, 99.0, 2)],
)
def test_full_or_due(queued: int, now: float, size: int) -> None:
    assert batch_size_now(TWO_PER_SECOND, queued=queued, oldest_at=10.0, now=now) == size


def test_without_waiting_a_batch_is_what_there_is() -> None:
    assert batch_size_now(Batching(8, 0), queued=3, oldest_at=5.0, now=5.0) == 3


@given(st.integers(1, 1_000), st.integers(0, 600_000), st.floats(0, 1e9), st.integers(1, 2_000))
def test_at_the_moment_it_is_due_it_leaves(size: int, wait_ms: int, oldest_at: float, queued: int) -> None:
    """No rounding may keep a batch from leaving when the engine was woken for it: it would be woken for ever."""
    batching = Batching(size, wait_ms)
    due = batch_due_at(batching, oldest_at)
    assert batch_size_now(batching, queued=queued, oldest_at=oldest_at, now=due) == min(queued, size)
