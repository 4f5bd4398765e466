"""Histograms of times: engine and edge count in classes, messages carry the counts, `quantile` reads them.

This module must not know the operations that took the time, or clocks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from swell.bounds import Count, Number

__all__ = ["BOUNDS_S", "Histogram", "Times", "quantile"]

#: Upper bounds of the classes in which times are counted, in seconds; one more class counts longer times.
BOUNDS_S: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_000.0),
)


class Times(Struct, array_like=True, frozen=True, gc=False):
    """A histogram as it is sent: a count for each class of `BOUNDS_S`, and one for longer times."""

    counts: list[Count]
    total_s: Number


class Histogram:
    """Counts times by the classes of `BOUNDS_S`."""

    __slots__ = ("_counts", "_total_s")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._total_s = 0.0

    def add(self, seconds: float, count: int = 1) -> None:
        """Count `count` times of `seconds` each."""
        self._counts[bisect_left(BOUNDS_S, seconds)] += count
        self._total_s += seconds * count

    def add_each(self, times: Iterable[float]) -> None:
        """Count many times, each once."""
        counts, total_s = self._counts, self._total_s
        for seconds in times:
            counts[bisect_left(BOUNDS_S, seconds)] += 1
            total_s += seconds
        self._total_s = total_s

    def add_all(self, other: Histogram) -> None:
        """Add the counts of another histogram."""
        self._counts = [a + b for a, b in zip(self._counts, other._counts, strict=True)]
        self._total_s += other._total_s

    def times(self) -> Times:
        """Return the counts so far."""
        return Times(list(self._counts), self._total_s)


def quantile(counts: Sequence[int], rank: float) -> float:
    """Return the time that `rank` of the counted times do not exceed, as if each class were filled evenly."""
    below = 0
    for index, count in enumerate(counts):
        if count and below + count >= rank:
            if index == len(BOUNDS_S):
                return BOUNDS_S[-1]
            lower = BOUNDS_S[index - 1] if index else 0.0
            return lower + (BOUNDS_S[index] - lower) * (rank - below) / count
        below += count
    return BOUNDS_S[-1]
