"""The heap of a template, laid out so that its children write to few of its pages.

A child shares all memory with its template until it writes to it: then the kernel copies the page, which takes longer
than most of what a start does in between. Of the pages that a start would write to, some can be spared:

- The garbage collector writes to every object that it knows. So all objects of the template are frozen.
- Memory that was freed lies between what is in use, in holes all over the heap. What a child allocates goes there, and
  each hole costs it a page. So the holes are filled before, with what nobody will ever read: children get their memory
  from the end of the heap, in one piece.
- The cache of the import path is invalidated in every child, entry by entry. So it is emptied here.

This module must not know templates.
"""

from __future__ import annotations

import ctypes
import gc
import sys

__all__ = ["fill_holes", "freeze"]

FILL_MAX = 8 << 20  #: bytes at most; a heap that is laid out in another way than expected would never be full
_LARGE = (64 << 10, 32 << 10, 16 << 10, 8 << 10, 4 << 10)  #: bytes of malloc's holes of which there are few
_OBJECT_MAX = 512  #: bytes of the largest object that Python does not leave to malloc
_STEP = 16  #: sizes in both are multiples of this
_POOL = 16 << 10  #: bytes, at a multiple of that, in which Python keeps objects of one size
_POOL_HEAD = 48  #: bytes at the begin of a pool
_IN_A_ROW = 3  #: new objects that lie at the begin of a pool, side by side: it was empty, so that all others are full


def freeze() -> None:
    """Freeze all live objects, and fill the holes between them."""
    sys.path_importer_cache.clear()
    gc.collect()
    fillers: list[object] = [*fill_holes()]
    fillers.append(fillers)  # frozen, it holds itself for ever
    gc.freeze()


def fill_holes() -> list[bytes]:
    """Fill what is free within the heap, so that new memory comes from its end; return what fills Python's part."""
    _fill_malloc()
    return _fill_pools()


def _fill_malloc() -> None:
    libc = ctypes.CDLL(None)
    malloc, sbrk = libc.malloc, libc.sbrk
    malloc.restype = sbrk.restype = ctypes.c_void_p
    malloc.argtypes, sbrk.argtypes = [ctypes.c_size_t], [ctypes.c_ssize_t]
    left, end, top = FILL_MAX, 0, sbrk(0)
    while left > 0 and sbrk(0) == top:  # that for which the heap must grow lies at its end
        end = malloc(_LARGE[0]) or 0
        left -= _LARGE[0]
    for size in (*_LARGE, *range(_LARGE[-1], 0, -_STEP)):
        while left > 0 and (malloc(size) or end) < end:  # one that is beyond the end is lost, too
            left -= size


def _fill_pools() -> list[bytes]:
    left, empty = FILL_MAX, sys.getsizeof(b"")
    fillers: list[bytes] = []
    for size in range(_OBJECT_MAX, empty, -_STEP):
        in_a_row = 0
        while left > 0 and in_a_row < _IN_A_ROW:
            filler = bytes(size - empty)
            fillers.append(filler)
            left -= size
            in_a_row = in_a_row + 1 if id(filler) % _POOL == _POOL_HEAD + in_a_row * size else 0
    return fillers
