"""The bounds of options, against each other: what may be chosen may be stored, and what may be stored can be sent."""

from __future__ import annotations

from swell import option_bounds
from swell.bounds import INTEGER_MAX
from swell.config import Settings
from swell.option_bounds import (
    BACKOFF,
    RETRY_DELAY_MAX_S,
    RETRY_DELAY_S,
    SCALEDOWN_WINDOW_S,
    STORED_BACKOFF,
    STORED_RETRY_DELAY_S,
    STORED_SCALEDOWN_WINDOW_S,
    Bounds,
)


def within(bounds: Bounds, others: Bounds) -> bool:
    return others.least <= bounds.least and bounds.most <= others.most


def test_what_may_be_chosen_may_be_stored() -> None:
    assert within(SCALEDOWN_WINDOW_S, STORED_SCALEDOWN_WINDOW_S)
    assert within(RETRY_DELAY_S, STORED_RETRY_DELAY_S)
    assert within(RETRY_DELAY_MAX_S, STORED_RETRY_DELAY_S)
    assert within(BACKOFF, STORED_BACKOFF)


def test_every_bound_can_be_sent() -> None:
    named = [value for value in vars(option_bounds).values() if isinstance(value, Bounds)]
    assert named
    assert all(0 <= bounds.least < bounds.most <= INTEGER_MAX for bounds in named)


def test_the_default_of_the_platform_may_be_chosen() -> None:
    low, high = SCALEDOWN_WINDOW_S
    assert low <= Settings().default_scaledown_window <= high
