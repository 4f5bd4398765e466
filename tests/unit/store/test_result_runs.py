"""Results in runs: cut, joined, and the first of each input kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swell.model import OutputStatus
from swell.records import OutputsRecord, StoredOutput, Trace
from swell.store.result_runs import JOINED_BYTES_MAX, JOINED_INPUTS_MAX, CallResults, ResultRun, gaps, join

FAILURE, TERMINATED = OutputStatus.FAILURE, OutputStatus.TERMINATED


def run(first: int, *payloads: bytes, failing: tuple[int, ...] = (), blobs: tuple[int, ...] = ()) -> ResultRun:
    ends = [sum(map(len, payloads[: i + 1])) for i in range(len(payloads))]
    failures = [(i, int(FAILURE)) for i in failing]
    trace = Trace(float(first))
    return ResultRun.of(
        OutputsRecord(
            call_id="fc-1",
            first=first,
            count=len(payloads),
            ends=ends,
            payload=b"".join(payloads),
            failures=failures,
            blobs=list(blobs),
            trace=trace,
        )
    )


def alike(first: int, count: int, payload: bytes, status: OutputStatus = OutputStatus.SUCCESS) -> ResultRun:
    failures = [] if status is OutputStatus.SUCCESS else [(0, int(status))]
    return ResultRun.of(
        OutputsRecord(call_id="fc-1", first=first, count=count, ends=[], payload=payload, failures=failures)
    )


def told(*runs: ResultRun) -> list[tuple[StoredOutput, Trace | None]]:
    """All that some runs say, input by input."""
    return [(output, one.trace(output.index)) for one in runs for output in one.outputs(one.first, one.last)]


@st.composite
def any_run(draw: st.DrawFn, first: int | None = None) -> ResultRun:
    first = draw(st.integers(0, 30)) if first is None else first
    if draw(st.booleans()):
        status = draw(st.sampled_from([OutputStatus.SUCCESS, TERMINATED]))
        return alike(first, draw(st.integers(1, 5)), draw(st.sampled_from([b"", b"x"])), status)
    payloads = draw(st.lists(st.binary(max_size=3), min_size=1, max_size=5))
    some = st.lists(st.integers(0, len(payloads) - 1), unique=True).map(sorted).map(tuple)
    return run(first, *payloads, failing=draw(some), blobs=draw(some))


@given(any_run(), st.data())
def test_a_part_says_the_same_as_the_whole(whole: ResultRun, data: st.DataObject) -> None:
    first = data.draw(st.integers(whole.first, whole.last - 1))
    last = data.draw(st.integers(first + 1, whole.last))
    part = whole.cut(first, last)
    assert (part.first, part.last) == (first, last)
    assert told(part) == [one for one in told(whole) if first <= one[0].index < last]
    assert [output for output, _ in told(part)] == list(whole.outputs(first, last))


@given(st.data())
def test_joined_runs_say_the_same_as_each(data: st.DataObject) -> None:
    runs = list[ResultRun]()
    for _ in range(data.draw(st.integers(0, 6))):
        first = runs[-1].last + data.draw(st.sampled_from([0, 0, 0, 1])) if runs else 0
        runs.append(data.draw(any_run(first)))
    assert told(*join(runs)) == told(*runs)


def test_neighbours_become_one_run() -> None:
    (joined,) = join([run(0, b"a", b"bc"), run(2, b"d", failing=(0,)), run(3, b"", b"e", blobs=(1,))])
    assert (joined.first, joined.count, joined.ends, joined.payload) == (0, 5, [1, 3, 4, 4, 5], b"abcde")
    assert joined.failures == [(2, FAILURE)]
    assert joined.blobs == [4]
    assert joined.traces == [(2, Trace(0.0)), (1, Trace(2.0)), (2, Trace(3.0))]


def test_what_is_alike_stays_small() -> None:
    (joined,) = join([alike(0, 100, b"same", TERMINATED), alike(100, 900, b"same", TERMINATED)])
    assert (joined.count, joined.ends, joined.payload, joined.traces) == (1_000, [], b"same", [(1_000, None)])


def test_what_differs_stays_apart() -> None:
    apart = [
        run(0, b"a"),
        run(2, b"not a neighbour"),
        alike(3, 2, b"all alike"),
        alike(5, 2, b"alike, but otherwise"),
        alike(7, 2, b"alike, but otherwise", FAILURE),
        run(9, b"b"),
    ]
    assert list(join(apart)) == apart


def test_runs_do_not_grow_without_end() -> None:
    small = list(join([run(first, b"x") for first in range(3 * JOINED_INPUTS_MAX)]))
    assert [one.count for one in small] == [JOINED_INPUTS_MAX] * 3
    large = list(join([run(first, bytes(JOINED_BYTES_MAX // 2)) for first in range(4)]))
    assert [one.count for one in large] == [2, 2]


def test_one_that_is_large_already_is_taken_as_it_is() -> None:
    large = run(0, bytes(2 * JOINED_BYTES_MAX))
    assert list(join([large])) == [large]


@given(st.lists(any_run(), max_size=12))
def test_the_first_result_of_an_input_stays(runs: list[ResultRun]) -> None:
    results, expected = CallResults(), dict[int, tuple[StoredOutput, Trace | None]]()
    for one in runs:
        results.add(one)
        for output, trace in told(one):
            expected.setdefault(output.index, (output, trace))
    assert told(*results) == [expected[index] for index in sorted(expected)]
    assert results.count == len(expected)
    for first in range(0, 40, 3):
        within = [output for one in results.within(first, first + 5) for output in one.outputs(first, first + 5)]
        assert within == [expected[index][0] for index in sorted(expected) if first <= index < first + 5]


def test_gaps_are_what_runs_leave_uncovered() -> None:
    assert list(gaps([], 2, 5)) == [(2, 5)]
    assert list(gaps([(0, 10)], 2, 5)) == []
    assert list(gaps([(0, 3), (4, 1)], 2, 7)) == [(3, 4), (5, 7)]
    assert list(gaps([(3, 2), (5, 1)], 0, 5)) == [(0, 3)]
    assert list(gaps([(8, 2)], 2, 5)) == [(2, 5)]
