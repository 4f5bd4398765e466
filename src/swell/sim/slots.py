"""What a fake container's slots have in common: deliveries come in, results go out.

This module must not know how inputs share a slot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from swell.model import OutputStatus
from swell.sim.run import Host

__all__ = ["Held", "Result", "SlotHost", "Slots"]

Result = tuple[int, int, OutputStatus, bytes, float]  #: delivery, position, status, payload, seconds of work


class SlotHost(Host, Protocol):
    """The container around its slots."""

    def report(self, results: Sequence[Result]) -> None:
        """Send results."""
        ...

    def give_back(self, delivery: int, position: int) -> None:
        """Send back what is not begun."""
        ...


class Held:
    """A delivery in a container."""

    def __init__(self, number: int, inputs: list[tuple[str, int]]) -> None:
        self.number = number
        self.inputs = inputs
        self.next = 0  #: first position that is not begun
        self.end = len(inputs)  #: position after the last one to execute
        self.answered: set[int] = set()  #: positions not begun that are answered already


class Slots(Protocol):
    """What a container does with deliveries."""

    @property
    def is_idle(self) -> bool:
        """True when nothing is executed or waits."""
        ...

    def deliver(self, held: Held) -> None:
        """Take inputs in."""
        ...

    def cancel(self, number: int, positions: Sequence[int]) -> bool:
        """Stop inputs of a delivery; False if it is not here."""
        ...

    def reclaim(self, number: int) -> bool:
        """Give back what is not begun of a delivery; False if it is not here."""
        ...

    def items_taken(self, number: int, position: int, count: int) -> None:
        """A generator's consumer has come so far."""
        ...

    def stop(self) -> None:
        """Execute nothing more: the container is dead."""
        ...
