"""All rows, in the order of the table."""

from __future__ import annotations

from benchmarks.engine import rows_inputs
from benchmarks.engine.measure import Row

ROWS: list[Row] = [*rows_inputs.ROWS]
