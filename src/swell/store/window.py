"""Read a call window by window: choose the spans to read, and find which of their inputs have results.

All stores share this rule. This module must not know where a store keeps spans and results, or SQL.
"""

from __future__ import annotations

from collections.abc import Iterator

from swell.records import LoadedSpans, SpanRecord, Window

__all__ = ["ReadBudget", "read_window"]


class ReadBudget:
    """The inputs and bytes that one read may still return. At most one span exceeds it."""

    __slots__ = ("bytes_left", "inputs_left")

    def __init__(self, window: Window) -> None:
        self.inputs_left = window.inputs_max
        self.bytes_left = window.bytes_max

    @property
    def is_spent(self) -> bool:
        """True when nothing more may be read."""
        return self.inputs_left <= 0 or self.bytes_left <= 0

    def spend(self, span: SpanRecord) -> None:
        """Subtract a span that was read."""
        self.inputs_left -= len(span.ends)
        self.bytes_left -= len(span.payload)


def read_window(
    call_id: str,
    first: int,
    accepted: int,
    budget: ReadBudget,
    *,
    spans: Iterator[SpanRecord],
    runs: Iterator[tuple[int, int]],
) -> LoadedSpans:
    """Read spans until the budget is spent, and at least one span that has an input without a result.

    An input outside every span has a result: a span is dropped when all its inputs have results.

    Args:
        call_id: the call.
        first: the input to begin with.
        accepted: the number of inputs of the call.
        budget: what may be read; what is read is subtracted.
        spans: the spans of the call that begin at `first` or later, in order. It is read no further than needed.
        runs: (first, count) of results, in order, from the first of those spans on or earlier.
    """
    taken: list[SpanRecord] = []
    done = _Runs()
    upto = first
    run = next(runs, None)
    for span in spans:
        if taken and budget.is_spent:
            return LoadedSpans(call_id, taken, done.runs, upto)
        done.add(upto, span.first)
        upto = span.first + len(span.ends)
        waiting = len(span.ends)
        while run is not None and run[0] < upto:
            start, stop = max(run[0], span.first), min(run[0] + run[1], upto)
            if start < stop:
                done.add(start, stop)
                waiting -= stop - start
            if run[0] + run[1] > upto:
                break  # the run continues in the next span
            run = next(runs, None)
        if waiting:
            taken.append(span)
            budget.spend(span)
    done.add(upto, accepted)
    return LoadedSpans(call_id, taken, done.runs, max(upto, accepted))


class _Runs:
    """Builds ordered runs (first, count) of inputs; adjacent runs merge."""

    def __init__(self) -> None:
        self.runs: list[tuple[int, int]] = []

    def add(self, first: int, last: int) -> None:
        if first >= last:
            return
        if self.runs and self.runs[-1][0] + self.runs[-1][1] == first:
            first = self.runs.pop()[0]
        self.runs.append((first, last - first))
