"""What is counted of requests: how many of each web function, how they were answered, how long that took.

The gateway counts, metrics are made of it. This module must not know HTTP, or who reads.
"""

from __future__ import annotations

from collections import Counter

from swell.engine.state.measures import Histogram

__all__ = ["Traffic"]


class Traffic:
    """Counts of one edge, from its start on. Labels that are no web function's any more are kept: there are few."""

    def __init__(self) -> None:
        self.answered: Counter[tuple[str, int]] = Counter()  #: by label and status; 0: broken off
        self.refused: Counter[int] = Counter()  #: that were not let in, by status
        self.going_on: Counter[str] = Counter()  #: by label
        self.durations: dict[str, Histogram] = {}  #: by label
        self.connections_open: Counter[str] = Counter()  #: by port: "web" or "admin"
        self.connections_refused: Counter[str] = Counter()  #: because there were as many as may be, by port

    def began(self, label: str) -> None:
        """A request was let in."""
        self.going_on[label] += 1

    def ended(self, label: str, status: int, seconds: float) -> None:
        """It is over."""
        self.going_on[label] -= 1
        self.answered[label, status] += 1
        durations = self.durations.get(label)
        if durations is None:
            durations = self.durations[label] = Histogram()
        durations.add(seconds)

    def was_refused(self, status: int) -> None:
        """A request was not let in."""
        self.refused[status] += 1
