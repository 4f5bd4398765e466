"""A heap without holes: what is allocated next lies side by side."""

from __future__ import annotations

import ctypes
import sys
from itertools import pairwise

import pytest

from swell.runner.heap import fill_holes, freeze


def made_of(size: int, count: int) -> list[bytes]:
    return [bytes(size - sys.getsizeof(b"")) for _ in range(count)]


@pytest.mark.parametrize("size", [64, 240, 512])
def test_new_objects_lie_side_by_side(size: int) -> None:
    scattered = made_of(size, 20_000)
    del scattered[::3]
    fillers = fill_holes()
    places = [id(one) for one in made_of(size, 5)]
    assert [after - before for before, after in pairwise(places)] == [size] * 4
    assert fillers


def test_new_memory_comes_from_no_hole() -> None:
    malloc, free = ctypes.CDLL(None).malloc, ctypes.CDLL(None).free
    malloc.restype, free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    scattered = [malloc(800) for _ in range(1_000)]
    for address in scattered[::2]:
        free(address)
    fill_holes()
    assert malloc(800) not in scattered


def test_what_fills_holes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swell.runner.heap._POOL_HEAD", 1)  # as where Python lays out its pools in another way
    fill_holes()


def test_freezing_twice_is_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gc.freeze", lambda: None)  # of this process it would be for good
    freeze()
    freeze()
