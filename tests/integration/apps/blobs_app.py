"""Functions of large values, which travel by shelves where containers are on nodes."""

from __future__ import annotations

import hashlib
import os

import board

import swell

MB = 1 << 20

app = swell.App("blobs")


@app.function()
def echo(data: bytes) -> bytes:
    return data


@app.function()
def made(size: int) -> bytes:
    return os.urandom(1) * size


@app.function()
def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@app.function()
def nested(data: bytes) -> tuple[str, list[str]]:
    """Call from a container, with arguments and results that are large."""
    own = echo.remote(data)
    return digest.local(own), list(digest.map(echo.map([data[i:] for i in range(3)])))


@app.function(min_containers=10, max_containers=10, cpu=0.1)
def result_of(call_id: str) -> str:
    board.note("reader")
    board.wait_for_count("reader", 10)  # all ten are there, each in a container
    return digest.local(swell.FunctionCall.from_id(call_id).get())


@app.function(cpu=0.1)
def held(index: int, data: bytes) -> tuple[int, str]:
    board.note("held", index)
    board.wait_for("go")
    return index, digest.local(data)
