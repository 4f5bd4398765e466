"""The values that one generator input has yielded, over all its attempts, as counts.

This module must not know clients or payloads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swell.engine.state.container import Delivery

__all__ = ["Stream"]


class Stream:
    """Counts values, so that an attempt that begins anew does not repeat what the consumer has."""

    __slots__ = ("delivery", "passed", "position", "produced")

    def __init__(self) -> None:
        self.delivery: Delivery | None = None
        self.position = 0
        self.produced = 0  #: by the present attempt
        self.passed = 0  #: to the consumer, from any attempt

    def extend(self, delivery: Delivery, position: int, count: int) -> int:
        """Count `count` more values of an attempt; return how many of them the consumer has already."""
        if self.delivery is not delivery:
            self.delivery, self.position, self.produced = delivery, position, 0
        known = min(count, max(0, self.passed - self.produced))
        self.produced += count
        self.passed = max(self.passed, self.produced)
        return known
