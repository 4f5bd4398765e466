"""How many requests are admitted: a bucket that fills at a rate, and is emptied by requests.

The time is a parameter. This module must not know HTTP.
"""

from __future__ import annotations

__all__ = ["Bucket"]


class Bucket:
    """A token bucket.

    Args:
        rate: Requests per second, for good.
        burst_s: Seconds of that rate that may come at once.
        now: The time, in seconds.
    """

    def __init__(self, rate: float, burst_s: float, now: float) -> None:
        self._rate = rate
        self._most = max(1.0, rate * burst_s)
        self._left = self._most
        self._at = now

    def take(self, now: float) -> float:
        """Admit a request and return 0; or return after how many seconds there will be room."""
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) / self._rate
