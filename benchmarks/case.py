"""What a case is: work, contestants, one number for each. Cases live in benchmarks.cases; nothing here runs one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Measured:
    """What one contestant reached in one round."""

    value: float
    details: dict[str, float] = field(default_factory=dict)
    table: dict[str, dict[str, float]] = field(default_factory=dict)  #: figures by row and column, if there are many


@dataclass(frozen=True)
class Case:
    """A kind of work. `contestants` maps a label to a function that measures it, given whether to be quick."""

    name: str
    title: str
    unit: str
    contestants: dict[str, Callable[[bool], Measured]]
    higher_is_better: bool = False
    target: str = ""  #: what swell is to reach, in words
    #: Whether the values, by label, and the details, by "label: detail", reach it.
    meets: Callable[[dict[str, float]], bool] | None = None
    floor: str = ""  #: the least that the work could cost on this machine and in Python, in words
    bare: str = ""  #: the contestant that shows it, if it is measured
    rounds: int = 3
    limit_s: float = 120  #: for one contestant in one round


def percentile(times: Iterable[float], share: float) -> float:
    """Return the value below which `share` of the times lie."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return (seconds, result) of one call."""
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result


def latency(call: Callable[[], object], *, count: int, seconds: float = 5.0) -> Measured:
    """Call up to `count` times, for about so many seconds; the value is the median in microseconds."""
    for _ in range(min(50, count)):
        call()
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < count and time.perf_counter() < until:
        times.append(timed(call)[0] * 1e6)
    return Measured(percentile(times, 0.5), {"p99": percentile(times, 0.99), "calls": len(times)})
