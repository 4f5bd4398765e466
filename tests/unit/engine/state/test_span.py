"""Cutting what a client sent into what containers get, without copying what is whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from swell.engine.state.span import Segment


def items(ends: list[int], base: int, payload: bytes | memoryview) -> list[bytes]:
    """Read a cut as its receiver does."""
    starts = [base, *ends[:-1]]
    return [bytes(payload[start - base : end - base]) for start, end in zip(starts, ends, strict=True)]


def test_a_whole_segment_is_passed_on_as_it_came() -> None:
    ends, payload = [1, 3], b"abb"
    segment = Segment(7, ends, payload)
    assert segment.cut(7, 2) == (ends, 0, payload)
    assert segment.cut(7, 2)[2] is payload


@given(st.lists(st.binary(max_size=5), min_size=1, max_size=20), st.integers(0, 50), st.data())
def test_any_cut_holds_its_items(values: list[bytes], first: int, data: st.DataObject) -> None:
    ends = [sum(len(value) for value in values[: i + 1]) for i in range(len(values))]
    segment = Segment(first, ends, b"".join(values))
    start = data.draw(st.integers(0, len(values) - 1))
    count = data.draw(st.integers(1, len(values) - start))
    assert items(*segment.cut(first + start, count)) == values[start : start + count]
