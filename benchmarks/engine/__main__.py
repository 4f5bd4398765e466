"""Print what events cost at several sizes: see the package."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.engine.measure import GROWTH_MAX, SECONDS, Cell, measure
from benchmarks.engine.table import ROWS


def main() -> int:
    """Measure the rows that were asked for, smallest size first; return 1 if one grows."""
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="rows, or beginnings of their names (default: all)")
    parser.add_argument("--sizes", help="sizes instead of the row's own, as 10,1000")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="CPU seconds a cell (default: %(default)g)")
    parser.add_argument("--list", action="store_true", help="tell which rows there are")
    wanted = parser.parse_args()
    if wanted.list:
        for row in ROWS:
            print(f"{row.name:22} {', '.join(f'{size:,}' for size in row.sizes):28} {row.title}")
        return 0
    if unknown := [name for name in wanted.rows if not any(known.startswith(name) for known in names)]:
        parser.error(f"no row is named {unknown[0]!r}; there are {', '.join(names)}")
    sizes = [int(size) for size in wanted.sizes.split(",")] if wanted.sizes else None
    grown = 0
    for row in ROWS:
        if wanted.rows and not any(row.name.startswith(name) for name in wanted.rows):
            continue
        print(f"{row.name}: {row.title}", flush=True)
        cells: list[Cell] = []
        for size in sizes or row.sizes:
            cell = measure(row, size, seconds=wanted.seconds)
            print(_line(size, cell), flush=True)
            if cell is not None:
                cells.append(cell)
        grown += _tell_growth(cells)
    return int(grown > 0)


def _line(size: int, cell: Cell | None) -> str:
    if cell is None:
        return f"  {size:>9,}  takes too long to set up"
    return f"  {size:>9,}  {cell.unit_us:10,.1f} µs   longest {cell.longest_ms:9,.2f} ms   ({cell.units:,} units)"


def _tell_growth(cells: Sequence[Cell]) -> bool:
    if len(cells) < 2:
        return True
    growth = cells[-1].unit_us / cells[0].unit_us
    print(f"  {'':9}  {growth:10.2f} ×" + (" GROWS" if growth > GROWTH_MAX else ""), flush=True)
    return growth > GROWTH_MAX


if __name__ == "__main__":
    sys.exit(main())
