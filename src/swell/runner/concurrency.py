"""How many inputs this container is given at once, as the user's code sees and changes it.

This module must not know how inputs are run.
"""

from __future__ import annotations

import threading

from swell.errors import InvalidError
from swell.model import Concurrency
from swell.runner.channel import Channel
from swell.runner.in_flight import Ledger
from swell.wire.messages import Resize

__all__ = ["Allotment"]


class Allotment:
    """The container's slots: the Function's target, until the user's code sets another number."""

    def __init__(self, channel: Channel, ledger: Ledger, concurrency: Concurrency) -> None:
        self._channel = channel
        self._ledger = ledger
        self._max = concurrency.max_inputs
        self._lock = threading.Lock()
        self._allotted = concurrency.target_inputs

    def count(self) -> int:
        """Return how many slots it may use, or does if these are more: the server bursts when its pool cannot grow."""
        with self._ledger.lock:
            used = self._ledger.running
        return max(used, self._allotted)

    def resize(self, count: int) -> None:
        """Ask for so many slots, at most the Function's maximum, and no longer for what the pool's state suggests.

        Raises:
            InvalidError: not an int of at least 1.
        """
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(f"the input concurrency of a container must be an int of at least 1, not {count!r}")
        with self._lock:  # so that the last number asked for is the one that counts here and there
            self._allotted = min(count, self._max)
            self._channel.send(Resize(self._allotted))
