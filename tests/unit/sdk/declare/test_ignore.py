"""Patterns mean what they mean in a `.dockerignore`."""

from __future__ import annotations

import pytest

from swell.errors import InvalidError
from swell.sdk.declare.ignore import Ignore


@pytest.mark.parametrize(
    ("patterns", "ignored", "kept"),
    [
        ([], [], ["a", "a/b"]),
        (["data"], ["data", "data/a", "data/a/b"], ["a/data", "data.txt", "database"]),
        (["/data/"], ["data", "data/a"], ["a/data"]),
        (["*.bin"], ["a.bin", ".bin"], ["d/a.bin", "a.binary", "abin"]),
        (["**/*.bin"], ["a.bin", "d/a.bin", "d/e/a.bin"], ["a.binary"]),
        (["**/data"], ["data/a", "d/data", "d/data/a"], ["d/database", "mydata"]),
        (["data/**"], ["data/a", "data/a/b"], ["data", "database"]),
        (["data/*"], ["data/a", "data/a/b"], ["data"]),
        (["a/**/z"], ["a/z", "a/b/z", "a/b/c/z/x"], ["z", "a/zz"]),
        (["v?.txt"], ["v1.txt"], ["v.txt", "v12.txt", "v/.txt"]),
        (["*.py", "!keep.py"], ["a.py"], ["keep.py"]),
        (["!keep.py", "*.py"], ["a.py", "keep.py"], []),
        (["a+(b)[c]"], ["a+(b)[c]"], ["aab", "a+(b)c"]),
        (("data",), ["data"], ["a"]),
    ],
)
def test_patterns(patterns: object, ignored: list[str], kept: list[str]) -> None:
    ignore = Ignore(patterns)
    assert [path for path in (*ignored, *kept) if ignore(path)] == ignored


def test_a_directory_is_closed_if_nothing_in_it_can_be_taken_back() -> None:
    assert Ignore(["data"]).closes("data")
    assert not Ignore(["data", "!data/keep"]).closes("data")
    assert not Ignore(["data/*"]).closes("data")


@pytest.mark.parametrize("patterns", ["*.bin", [1], None, len])
def test_something_else_is_refused(patterns: object) -> None:
    with pytest.raises(InvalidError, match="ignore takes a list of patterns"):
        Ignore(patterns)
