"""What events cost the bare engine in worlds of several sizes: the rows of `benchmarks.engine`, all of them."""

from __future__ import annotations

import sys

from benchmarks.case import Case, Measured
from benchmarks.engine.measure import GROWTH_MAX, Cell, Row, measure
from benchmarks.engine.table import ROWS


def engine(quick: bool) -> Measured:
    """Return how many times more the worst row costs at its largest size, and what each costs at each."""
    table: dict[str, dict[str, float]] = {}
    growth: dict[str, float] = {}
    measure(ROWS[0], ROWS[0].sizes[0], seconds=1.0)  # what is executed first takes longer, whatever it is
    for row in ROWS:
        sizes = (row.sizes[0], row.sizes[-2]) if quick and len(row.sizes) > 2 else row.sizes
        cells = [_quicker(row, size, quick) for size in sizes]
        known = [cell for cell in cells if cell is not None]
        table[row.title] = {f"{cell.size:,}": cell.unit_us for cell in known}
        # What cannot even be set up at its largest size grows beyond all bounds.
        growth[row.name] = known[-1].unit_us / known[0].unit_us if len(known) == len(cells) else 1e6
        table[row.title]["longest ms"] = max(cell.longest_ms for cell in known)
        print(f"{row.name}: {growth[row.name]:.2f} × {table[row.title]}", file=sys.stderr, flush=True)
    longest_ms = max(figures["longest ms"] for figures in table.values())
    grown = sum(each > GROWTH_MAX for each in growth.values())
    details = {"kinds of events": len(ROWS), "of them over the bar": grown, "longest step ms": longest_ms}
    return Measured(max(growth.values()), details, table)


def _quicker(row: Row, size: int, quick: bool) -> Cell | None:
    """Return the quicker of two measurements of a cell: what else the machine does may only add to it."""
    cells = [measure(row, size, seconds=0.2 if quick else 1.0) for _ in range(1 if quick else 2)]
    known = [cell for cell in cells if cell is not None]
    return min(known, key=lambda cell: cell.unit_us, default=None)


CASE = Case(
    name="engine-growth",
    title="the engine's CPU for one event at up to 10,000 containers, of that at 10: the worst of all events",
    unit="×",
    contestants={"swell": engine},
    target=f"at most {GROWTH_MAX:g} times",
    floor="1: an event that costs the same in any world",
    meets=lambda values: values["swell"] <= GROWTH_MAX,
    rounds=1,
    limit_s=900,
)
