"""Counts of requests: how many of each web function, with which status, how long they took.

The gateway counts, and metrics are made of the counts. This module must not know HTTP or metrics.
"""

from __future__ import annotations

from collections import Counter

from swell.wire.histogram import Histogram

__all__ = ["Traffic"]


class Traffic:
    """Counts of one edge since its start. Labels of former web functions are kept: there are few."""

    def __init__(self) -> None:
        self.answered: Counter[tuple[str, int]] = Counter()  #: by label and status; 0: broken off
        self.refused: Counter[int] = Counter()  #: that were not admitted, by status
        self.going_on: Counter[str] = Counter()  #: by label
        self.durations: dict[str, Histogram] = {}  #: by label
        self.connections_open: Counter[str] = Counter()  #: by port: "web" or "admin"
        self.connections_refused: Counter[str] = Counter()  #: because of too many, by port

    def began(self, label: str) -> None:
        """A request was admitted."""
        self.going_on[label] += 1

    def ended(self, label: str, status: int, seconds: float) -> None:
        """A request is over."""
        self.going_on[label] -= 1
        self.answered[label, status] += 1
        durations = self.durations.get(label)
        if durations is None:
            durations = self.durations[label] = Histogram()
        durations.add(seconds)

    def was_refused(self, status: int) -> None:
        """A request was not admitted."""
        self.refused[status] += 1
