"""No event costs the engine more because there are more containers, calls, functions or nodes.

Each row of `benchmarks.engine` is driven in two worlds, of which one is six times as large or more, and must cost about
the same in both. What is compared does not depend on the machine:

- the lines of Python that the engine executes for one unit of work, which tell a loop over everything there is;
- the memory that it takes meanwhile, which tells a copy of everything there is, though it be made in C.

A few rows are also compared by CPU time, in turns and by the quickest of many rounds. `scripts/bench engine-growth` has
the figures, at larger sizes.
"""

from __future__ import annotations

import gc
import statistics
import sys
import tracemalloc
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[3]))

from benchmarks.engine.driver import Driver
from benchmarks.engine.measure import Row
from benchmarks.engine.table import ROWS
from swell.engine.events import Effect

UNITS = 30  #: of work that are measured at each size
SMALL, LARGE = 100, 600  #: sizes of the two worlds
SIZES = {
    "waiting-map": (1_000, 10_000),
    "waiting-spawn-map": (10_000, 100_000),  # from a full window on
    "waiting-spawns": (1_000, 5_000),  # likewise
    "open-app": (20, 200),
    "start-app": (20, 200),
    "close-app": (20, 200),
}
#: For each thing more that there is. What looks at everything takes one line or two for each, a copy takes 8 bytes.
LINES_MAX, BYTES_MAX = 0.3, 5.0
CPU_MAX = 3.0


class Counting(Driver):
    """Counts the lines of Python that the engine executes, then the bytes that it takes, instead of CPU time."""

    def __init__(self, **world: Any) -> None:
        super().__init__(**world)
        self.is_weighed = False
        self.lines: list[int] = []
        self.bytes: list[int] = []

    def take_step(self, step: Callable[[], list[Effect]]) -> list[Effect]:
        if not self.measured:
            return step()
        return self._weigh(step) if self.is_weighed else self._count(step)

    def _count(self, step: Callable[[], list[Effect]]) -> list[Effect]:
        lines = 0

        def trace(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal lines
            lines += event == "line"
            return trace

        former = sys.gettrace()
        sys.settrace(trace)
        try:
            return step()
        finally:
            sys.settrace(former)
            self.lines.append(lines)

    def _weigh(self, step: Callable[[], list[Effect]]) -> list[Effect]:
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        try:
            return step()
        finally:
            self.bytes.append(tracemalloc.get_traced_memory()[1] - before)


def per_unit(row: Row, size: int) -> tuple[float, float]:
    """Return (lines, bytes at most in one step, in most units) of a unit of a row at a size."""
    driver = Counting(**row.world_of(size))
    work = row.work(driver, size)
    units = sum(islice(work, None if row.is_total else UNITS))
    lines = sum(driver.lines) / units
    driver.is_weighed = True
    tracemalloc.start()
    try:
        most: list[int] = []
        for _ in islice(work, UNITS):
            most.append(max(driver.bytes))
            driver.bytes.clear()
    finally:
        tracemalloc.stop()
    return lines, statistics.median(most) if most else 0.0


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_an_event_takes_no_more_in_a_larger_world(row: Row) -> None:
    small, large = SIZES.get(row.name, (SMALL, LARGE))
    lines, weight = per_unit(row, small)
    more_lines, more_weight = per_unit(row, large)
    told = f"{lines:.0f} lines, {weight:.0f} bytes at {small:,}; {more_lines:.0f} and {more_weight:.0f} at {large:,}"
    assert more_lines - lines <= LINES_MAX * (large - small), told
    assert more_weight - weight <= BYTES_MAX * (large - small), told


@pytest.mark.parametrize("name", ["serial-1ms", "concurrent", "half-idle", "exit-idle"])
def test_an_event_takes_as_long_in_a_world_a_hundred_times_as_large(name: str) -> None:
    (row,) = (row for row in ROWS if row.name == name)
    worlds = [(driver := Driver(), row.work(driver, size)) for size in (30, 3_000)]
    least = [float("inf"), float("inf")]
    gc.collect()
    gc.disable()
    try:
        for _ in range(12):
            for number, (driver, work) in enumerate(worlds):
                driver.steps_s.clear()
                units = sum(islice(work, 50))
                least[number] = min(least[number], sum(driver.steps_s) / units)
    finally:
        gc.enable()
    assert least[1] <= CPU_MAX * least[0], f"{least[1] * 1e6:.0f} µs beside {least[0] * 1e6:.0f} µs"
