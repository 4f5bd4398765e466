"""Functions on a server with small limits."""

from __future__ import annotations

from typing import Any

import board

import swell

app = swell.App("limits")


@app.function(max_containers=1)
def hold(name: str) -> str:
    board.note("begin", name)
    board.wait_for(name)
    return name


@app.function(max_containers=1)
def quick(x: int) -> int:
    return x


@app.function()
@swell.concurrent(max_inputs=100)
def wide(name: str) -> str:
    board.note("begin", name)
    board.wait_for(name)
    return name


@app.function()
def echo(value: Any) -> Any:
    return value


@app.function()
def swells(size: int) -> bytes:
    return bytes(size)
