"""Backpressure: how many inputs of a call may be sent and not finished, learned from the server's refusals.

A refusal sets the limit to the number of accepted inputs, so that each input that finishes makes room for another one.
With time the limit grows, until it is above the caller's window and is dropped. This module must not know messages or
links.
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
    """The limit that refusals set for one call.

    Attributes:
        retry_at: When the limit will grow, as a time of `time.monotonic()`; None while there is no limit.
    """

    def __init__(self, name: str) -> None:
        """`name` is the function's, for warnings."""
        self.retry_at: float | None = None
        self._name = name
        self._limit: int | None = None
        self._refusals = 0
        self._refusals_in_a_row = 0  #: refusals in a row without an accepted input between them
        self._refused_from = -1

    def room(self, on_their_way: int, window: int) -> int:
        """Return how many inputs may be sent now, if at most `window` may be sent and not finished."""
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
        """Note that inputs from index `first` on were refused, while `accepted` ones have not finished."""
        self._refusals_in_a_row = self._refusals_in_a_row + 1 if first <= self._refused_from else 0
        self._refused_from = first
        self._limit = accepted
        pause = max(PAUSE_MIN_S, min(PAUSE_FIRST_S, retry_after_s))
        pause = min(PAUSE_MAX_S, pause * 2 ** min(self._refusals_in_a_row, 12))
        self.retry_at = time.monotonic() + max(pause, retry_after_s if self._refusals_in_a_row else 0.0)
        self._refusals += 1
        if self._refusals % WARN_EVERY == 0:
            text = f"{self._name}: progress is limited, {self._refusals} times so far: {error}"
            warnings.warn(many_lines(text), ServerWarning, stacklevel=2)
