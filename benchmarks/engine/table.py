"""All rows, in the order of the table."""

from __future__ import annotations

from benchmarks.engine import rows_apps, rows_calls, rows_deadlines, rows_inputs, rows_nodes, rows_starts
from benchmarks.engine.measure import Row

ROWS: list[Row] = [
    *rows_inputs.ROWS,
    *rows_starts.ROWS,
    *rows_nodes.ROWS,
    *rows_deadlines.ROWS,
    *rows_calls.ROWS,
    *rows_apps.ROWS,
]
