"""A heap without holes: what is allocated next lies side by side.

Heaps are looked at in processes of their own: other tests may have left more holes in this one than are filled.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from swell.runner.heap import fill_holes, freeze

OBJECTS = """
import sys
from itertools import pairwise
from swell.runner.heap import fill_holes

def made_of(size, count):
    return [bytes(size - sys.getsizeof(b"")) for _ in range(count)]

size = int(sys.argv[1])
scattered = made_of(size, 20_000)
del scattered[::3]
fillers = fill_holes()
places = [id(one) for one in made_of(size, 5)]
assert [after - before for before, after in pairwise(places)] == [size] * 4, places
assert fillers
"""

MEMORY = """
import ctypes
from swell.runner.heap import fill_holes

malloc, free = ctypes.CDLL(None).malloc, ctypes.CDLL(None).free
malloc.restype, free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
scattered = [malloc(800) for _ in range(1_000)]
for address in scattered[::2]:
    free(address)
fill_holes()
assert malloc(800) not in scattered
"""


def run(program: str, *arguments: str) -> None:
    # Without variables: they lie in the heap as well, and with some of them a hole or two stay open.
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False, env={}
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("size", [64, 240, 512])
def test_new_objects_lie_side_by_side(size: int) -> None:
    run(OBJECTS, str(size))


def test_new_memory_comes_from_no_hole() -> None:
    run(MEMORY)


def test_what_fills_holes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swell.runner.heap._POOL_HEAD", 1)  # as where Python lays out its pools in another way
    fill_holes()


def test_freezing_twice_is_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gc.freeze", lambda: None)  # of this process it would be for good
    freeze()
    freeze()
