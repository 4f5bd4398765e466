"""How many inputs of a call may be on their way, as far as the server's refusals have shown.

A refusal narrows it to what was accepted before: whatever finishes then makes room for as much. Time widens it again,
until it bounds nothing any more. This module must not know messages or links.
"""

from __future__ import annotations

import time
import warnings

from swell.errors import Error, ServerWarning
from swell.escaping import many_lines

__all__ = ["Backpressure"]

PAUSE_MIN_S, PAUSE_FIRST_S, PAUSE_MAX_S = 0.005, 0.1, 15.0
WARN_EVERY = 8  #: refusals between two warnings


class Backpressure:
    """The bound that refusals put on one call.

    Attributes:
        retry_at: When more will be allowed, as a time of `time.monotonic()`; None while nothing is bounded.
    """

    def __init__(self, name: str) -> None:
        """`name` is that of the function, for warnings."""
        self.retry_at: float | None = None
        self._name = name
        self._limit: int | None = None
        self._refusals = 0
        self._fruitless = 0  #: refusals in a row between which nothing was accepted
        self._refused_from = -1

    def room(self, on_their_way: int, window: int) -> int:
        """Return how many inputs may be sent now, when no more than `window` may be on their way in any case."""
        if self._limit is None:
            return window - on_their_way
        now = time.monotonic()
        if self.retry_at is not None and now >= self.retry_at:
            self._limit += 1 + self._limit // 2
            self.retry_at = now + PAUSE_FIRST_S
        if self._limit >= window:
            self._limit = self.retry_at = None
            return window - on_their_way
        return self._limit - on_their_way

    def refused(self, first: int, accepted: int, error: Error, retry_after_s: float) -> None:
        """Note that inputs from index `first` on were refused, while `accepted` ones are on their way."""
        self._fruitless = self._fruitless + 1 if first <= self._refused_from else 0
        self._refused_from = first
        self._limit = accepted
        pause = max(PAUSE_MIN_S, min(PAUSE_FIRST_S, retry_after_s))
        pause = min(PAUSE_MAX_S, pause * 2 ** min(self._fruitless, 12))
        self.retry_at = time.monotonic() + max(pause, retry_after_s if self._fruitless else 0.0)
        self._refusals += 1
        if self._refusals % WARN_EVERY == 0:
            text = f"{self._name}: progress is limited, {self._refusals} times so far: {error}"
            warnings.warn(many_lines(text), ServerWarning, stacklevel=2)
