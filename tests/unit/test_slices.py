from __future__ import annotations

import pytest

from swell.errors import InvalidError
from swell.slices import Slice, parse_slices, slice_text


def test_slices_are_read_with_their_units() -> None:
    assert parse_slices("cpu=8,memory=32GiB,gpu=1 cpu=0.5") == (Slice(8.0, 32 << 30, 1), Slice(0.5))
    assert parse_slices("") == ()


@pytest.mark.parametrize("text", ["cpu=8,memory=32GiB,gpu=2", "cpu=0.5", "cpu=2,memory=1.5GiB"])
def test_a_slice_is_written_as_it_is_read(text: str) -> None:
    assert slice_text(*parse_slices(text)) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("8", "not understood"),
        ("cpu=", "not understood"),
        ("cpu=-1", "not understood"),
        ("cpu=1,cpu=2", "not understood"),
        ("cpu=1,disk=2", "'disk=2'"),
        ("cpu=1,memory=3GB", "'memory=3GB'"),
        ("memory=1GiB", "cpu of"),
        ("cpu=0", "cpu of"),
        ("cpu=1.5", "whole cores"),
        ("cpu=5000", "4096"),
        ("cpu=1,memory=2000TiB", "1024 TiB"),
        ("cpu=1,gpu=0.5", "whole number"),
        ("cpu=1,gpu=100", "to 64"),
    ],
)
def test_what_is_no_slice_is_refused_with_the_bound(text: str, why: str) -> None:
    with pytest.raises(InvalidError, match=why):
        parse_slices(text)
