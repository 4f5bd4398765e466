"""Reading a call by windows: which of its spans to read, and which of their inputs have results.

One rule for every store. This module must not know where spans and results are kept, or SQL.
"""

from __future__ import annotations

from collections.abc import Iterator

from swell.records import LoadedSpans, SpanRecord, Window

__all__ = ["Allowance", "read_window"]


class Allowance:
    """What is left of a window. It is passed by one span at most."""

    __slots__ = ("bytes_left", "inputs_left")

    def __init__(self, window: Window) -> None:
        self.inputs_left = window.inputs_max
        self.bytes_left = window.bytes_max

    @property
    def is_spent(self) -> bool:
        """True when nothing more is to be read."""
        return self.inputs_left <= 0 or self.bytes_left <= 0

    def spend(self, span: SpanRecord) -> None:
        """Account for a span that was read."""
        self.inputs_left -= len(span.ends)
        self.bytes_left -= len(span.payload)


def read_window(
    call_id: str,
    first: int,
    accepted: int,
    allowance: Allowance,
    spans: Iterator[SpanRecord],
    runs: Iterator[tuple[int, int]],
) -> LoadedSpans:
    """Read spans until the allowance is spent, at least one that has an input without a result.

    An input that is in no span has a result: spans are dropped when all theirs have.

    Args:
        call_id: of the call.
        first: the input to begin with.
        accepted: how many inputs the call has.
        allowance: what may be read; less is left of it afterwards.
        spans: those of the call that begin at `first` or later, in order. No more are taken than needed.
        runs: (first, count) of results, in order, from the first of those spans on or earlier.
    """
    taken: list[SpanRecord] = []
    done = _Runs()
    upto = first
    run = next(runs, None)
    for span in spans:
        if taken and allowance.is_spent:
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
                break  # it goes on in the next span
            run = next(runs, None)
        if waiting:
            taken.append(span)
            allowance.spend(span)
    done.add(upto, accepted)
    return LoadedSpans(call_id, taken, done.runs, max(upto, accepted))


class _Runs:
    """Runs (first, count) of inputs, in order, each as long as can be."""

    def __init__(self) -> None:
        self.runs: list[tuple[int, int]] = []

    def add(self, first: int, last: int) -> None:
        if first >= last:
            return
        if self.runs and self.runs[-1][0] + self.runs[-1][1] == first:
            first = self.runs.pop()[0]
        self.runs.append((first, last - first))
