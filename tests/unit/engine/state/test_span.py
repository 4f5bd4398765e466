"""Cutting what a client sent into what containers get, without copying what is whole."""

from __future__ import annotations

from swell.engine.state.span import Segment
from swell.items import pack


def test_a_whole_segment_is_passed_on_as_it_came() -> None:
    items = pack([b"a", b"bb"])
    assert Segment(7, items).cut(7, 2) is items


def test_a_part_is_named_by_the_indexes_of_its_inputs() -> None:
    segment = Segment(7, pack([b"a", b"bb", b"ccc"], blobs=[1]))
    assert segment.cut(8, 2).pieces() == [b"bb", b"ccc"]
    assert segment.cut(8, 2).blobs == [0]
    assert segment.blobs == {8}
