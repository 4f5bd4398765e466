"""Results of one call in runs of consecutive inputs: cut, join, and keep the first result of each input.

Cost is per run, whatever its length. This module must not know where runs are kept, or SQL.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from swell.items import PackedItems, concat
from swell.model import OutputStatus
from swell.records import OutputsRecord, StoredOutput, Trace

__all__ = ["CallResults", "ResultRun", "gaps", "join"]

#: Bounds of what `join` makes of many short runs: to read one result, the whole run is read.
JOINED_INPUTS_MAX = 1_024
JOINED_BYTES_MAX = 64 << 10


class ResultRun(Struct, frozen=True, gc=False):
    """Results of inputs first..first+count-1: the fields of an OutputsRecord, with the traces of several records."""

    first: int
    count: int
    ends: list[int]  #: empty if all are alike
    payload: bytes
    failures: list[tuple[int, int]] = []
    blobs: list[int] = []
    traces: list[tuple[int, Trace | None]] = []  #: how many inputs in a row share a trace, and the trace

    @classmethod
    def of(cls, record: OutputsRecord) -> ResultRun:
        """Return the run of a record."""
        traces = [(record.count, record.trace)]
        return cls(
            first=record.first,
            count=record.count,
            ends=record.ends,
            payload=record.payload,
            failures=record.failures,
            blobs=record.blobs,
            traces=traces,
        )

    @classmethod
    def packed(cls, first: int, items: PackedItems[bytes], traces: list[tuple[int, Trace | None]]) -> ResultRun:
        """Return the run of results of inputs from index `first` on."""
        return cls(
            first=first,
            count=len(items.ends),
            ends=items.ends,
            payload=items.payload,
            failures=items.failures,
            blobs=items.blobs,
            traces=traces,
        )

    @property
    def items(self) -> PackedItems[bytes]:
        """The results; not for results that are all the same, which have no offsets."""
        return PackedItems(self.ends, self.payload, self.blobs, self.failures)

    @property
    def last(self) -> int:
        """The index just after the last input of the run."""
        return self.first + self.count

    def cut(self, first: int, last: int) -> ResultRun:
        """Return the results of inputs first..last-1, all of which are in the run."""
        if first == self.first and last == self.last:
            return self
        start, stop = first - self.first, last - self.first
        traces = _cut_traces(self.traces, start, stop)
        if not self.ends:
            return ResultRun(
                first=first,
                count=last - first,
                ends=[],
                payload=self.payload,
                failures=self.failures,
                blobs=self.blobs,
                traces=traces,
            )
        return ResultRun.packed(first, self.items.slice(start, stop - start), traces)

    def outputs(self, first: int, last: int) -> Iterator[StoredOutput]:
        """Yield the results of those inputs of the run that lie in first..last-1."""
        start, stop = max(first, self.first) - self.first, min(last, self.last) - self.first
        if not self.ends:
            status = OutputStatus(self.failures[0][1]) if self.failures else OutputStatus.SUCCESS
            for i in range(start, stop):
                yield StoredOutput(self.first + i, status, self.payload, bool(self.blobs))
            return
        failures, blobs = dict(self.failures), set(self.blobs)
        for i, payload in enumerate(self.items.pieces(start, stop), start):
            status = OutputStatus(failures.get(i, OutputStatus.SUCCESS))
            yield StoredOutput(self.first + i, status, payload, i in blobs)

    def trace(self, index: int) -> Trace | None:
        """Return the trace of one input of the run."""
        left = index - self.first
        for count, trace in self.traces:
            if left < count:
                return trace
            left -= count
        return None


class CallResults:
    """The results of one call, ordered and without overlap: the first result of an input wins."""

    __slots__ = ("_firsts", "_runs", "count")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._runs: list[ResultRun] = []
        self.count = 0  #: inputs that have a result

    def __iter__(self) -> Iterator[ResultRun]:
        return iter(self._runs)

    def add(self, run: ResultRun) -> None:
        """Add the results of those inputs of a run that have none yet."""
        if not self._runs or run.first >= self._runs[-1].last:  # nearly always
            self._firsts.append(run.first)
            self._runs.append(run)
            self.count += run.count
            return
        known = [(one.first, one.count) for one in self.within(run.first, run.last)]
        for first, last in gaps(known, run.first, run.last):
            at = bisect_left(self._firsts, first)
            self._firsts.insert(at, first)
            self._runs.insert(at, run.cut(first, last))
            self.count += last - first

    def within(self, first: int, last: int) -> Iterator[ResultRun]:
        """Yield the runs that overlap inputs first..last-1, in order."""
        at = max(bisect_right(self._firsts, first) - 1, 0)
        while at < len(self._runs) and self._runs[at].first < last:
            if self._runs[at].last > first:
                yield self._runs[at]
            at += 1


def gaps(runs: Iterable[tuple[int, int]], first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield the gaps, as (first, last), that ordered runs (first, count) leave in inputs first..last-1."""
    for start, count in runs:
        if start > first:
            yield first, min(start, last)
        first = max(first, start + count)
    if first < last:
        yield first, last


def join(runs: Sequence[ResultRun]) -> Iterator[ResultRun]:
    """Yield the same results in fewer runs: neighbours become one where they can; `runs` are in order.

    A row costs about the same whether it holds one result or a hundred, and containers report results of short inputs
    in twos and threes.
    """
    alike: list[ResultRun] = []
    size = count = 0
    for run in runs:
        fits = count + run.count <= JOINED_INPUTS_MAX and size + len(run.payload) <= JOINED_BYTES_MAX
        if alike and not (fits and _can_join(alike[-1], run)):
            yield _joined(alike)
            alike, size, count = [], 0, 0
        alike.append(run)
        size += len(run.payload)
        count += run.count
    if alike:
        yield _joined(alike)


def _can_join(run: ResultRun, after: ResultRun) -> bool:
    if run.last != after.first or bool(run.ends) != bool(after.ends):
        return False
    return bool(run.ends) or (
        run.payload == after.payload and run.failures == after.failures and not run.blobs and not after.blobs
    )


def _joined(runs: Sequence[ResultRun]) -> ResultRun:
    first = runs[0]
    if len(runs) == 1:
        return first
    count = sum(run.count for run in runs)
    traces = _joined_traces(runs)
    if not first.ends:
        return ResultRun(
            first=first.first,
            count=count,
            ends=[],
            payload=first.payload,
            failures=first.failures,
            blobs=[],
            traces=traces,
        )
    return ResultRun.packed(first.first, concat([run.items for run in runs]), traces)


def _joined_traces(runs: Sequence[ResultRun]) -> list[tuple[int, Trace | None]]:
    traces: list[tuple[int, Trace | None]] = []
    for run in runs:
        for count, trace in run.traces:
            if traces and traces[-1][1] == trace:
                traces[-1] = (traces[-1][0] + count, trace)
            else:
                traces.append((count, trace))
    return traces


def _cut_traces(traces: Sequence[tuple[int, Trace | None]], start: int, stop: int) -> list[tuple[int, Trace | None]]:
    kept: list[tuple[int, Trace | None]] = []
    at = 0
    for count, trace in traces:
        inside = min(at + count, stop) - max(at, start)
        if inside > 0:
            kept.append((inside, trace))
        at += count
    return kept
