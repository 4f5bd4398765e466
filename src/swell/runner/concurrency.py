"""How many inputs the server gives this container at a time, as user code reads and sets it.

This module must not know how inputs are run.
"""

from __future__ import annotations

import threading

from swell.errors import InvalidError
from swell.model import Concurrency
from swell.runner.channel import Channel
from swell.runner.in_flight import InFlight
from swell.wire.messages import Resize

__all__ = ["ConcurrencyLimit"]


class ConcurrencyLimit:
    """The container's number of slots: the Function's target, until user code sets another number."""

    def __init__(self, channel: Channel, in_flight: InFlight, concurrency: Concurrency) -> None:
        self._channel = channel
        self._in_flight = in_flight
        self._max = concurrency.max_inputs
        self._lock = threading.Lock()
        self._limit = concurrency.target_inputs

    def count(self) -> int:
        """Return how many slots it may use, or uses if that is more: the server bursts when the pool cannot grow."""
        with self._in_flight.lock:
            used = self._in_flight.running
        return max(used, self._limit)

    def resize(self, count: int) -> None:
        """Ask for `count` slots, at most the Function's maximum; the autoscaler no longer chooses the number.

        Raises:
            InvalidError: not an int of at least 1.
        """
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(f"the input concurrency of a container must be an int of at least 1, not {count!r}")
        with self._lock:  # so that the last number is in force both here and in the server
            self._limit = min(count, self._max)
            self._channel.send(Resize(self._limit))
