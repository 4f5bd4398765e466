"""Cells: one row of the table at one size, measured. It must not know what the rows do."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.engine.driver import Driver
from swell.engine.events import Effect

SECONDS = 2.0  #: of the engine's CPU for the units of one cell
TOTAL = 10  #: times as much, for a row that is done as a whole
UNITS_MAX = 2_000
SETUP_SECONDS = 60.0  #: a setup that takes longer is given up
GROWTH_MAX = 2.0  #: the bar: how many times what it costs at the smallest size it may cost at the largest

Work = Callable[[Driver, int], Iterator[int]]


class TooSlow(Exception):
    """A world could not be set up in time."""


@dataclass(frozen=True)
class Row:
    """Something that happens, and the sizes of the world in which it happens."""

    name: str
    title: str  #: ending in what the size counts
    work: Work  #: sets up its world, then yields how many units it has done since it yielded before
    sizes: Sequence[int]
    world: dict[str, object] = field(default_factory=dict[str, object])  #: for the Driver; "size" is replaced
    is_total: bool = False  #: done as a whole, not unit after unit until it is known well enough

    def world_of(self, size: int) -> dict[str, Any]:
        """Return the arguments of the Driver for a size."""
        return {key: size if value == "size" else value for key, value in self.world.items()}


@dataclass(frozen=True)
class Cell:
    """What a unit costs at one size."""

    size: int
    unit_us: float
    longest_ms: float  #: of a single handle or tick
    units: int


class Measuring(Driver):
    """A driver that gives up a world that takes too long to set up."""

    def take_step(self, step: Callable[[], list[Effect]]) -> list[Effect]:
        effects = super().take_step(step)
        if not self.steps_s and self.cpu_s > SETUP_SECONDS:
            raise TooSlow
        return effects


def measure(row: Row, size: int, *, seconds: float = SECONDS) -> Cell | None:
    """Measure a cell; None if its world takes too long to set up."""
    units_max = UNITS_MAX if not row.is_total else float("inf")
    seconds *= TOTAL if row.is_total else 1
    gc.collect()
    gc.disable()  # alike at every size: what collections cost grows with the heap, and the server's heap is frozen
    try:
        driver, units, until = Measuring(**row.world_of(size)), 0, float("inf")
        for done in row.work(driver, size):
            units += done
            if until == float("inf"):
                until = driver.cpu_s + seconds
            if units >= units_max or driver.cpu_s > until:
                break
    except TooSlow:
        return None
    finally:
        gc.enable()
    return Cell(size, sum(driver.steps_s) / units * 1e6, max(driver.steps_s) * 1e3, units)
