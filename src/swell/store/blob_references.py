"""The names of blobs in inputs and results. Clients and containers wrote them, so nothing vouches for what they name.

This module must not know where blobs are, or who deletes them.
"""

from __future__ import annotations

from collections.abc import Iterator

from swell.records import SpanRecord
from swell.store.result_runs import ResultRun

__all__ = ["names_in_run", "names_in_span"]


def names_in_span(span: SpanRecord) -> Iterator[str]:
    """Yield the names of the blobs that carry inputs of a span."""
    items = span.items
    for position in items.blobs:
        yield str(items.at(position), "utf-8", "replace")


def names_in_run(run: ResultRun) -> Iterator[str]:
    """Yield the names of the blobs that carry results of a run."""
    if run.blobs:
        for output in run.outputs(run.first, run.last):
            if output.has_blob:
                yield str(output.payload, "utf-8", "replace")
