"""Functions that make much of little, for tests of what becomes of it when nobody reads it."""

from __future__ import annotations

import swell

app = swell.App("flood")


@app.function(max_containers=2)
def make(size: int) -> bytes:
    return bytes(size)


@app.function(max_containers=1)
def talk(lines: int) -> int:
    for _ in range(lines):
        print("x" * 1_000)
    return lines
