"""One container for many callers, which serves nobody before the signal "go"."""

from __future__ import annotations

import time

import board

import swell

app = swell.App("fair")


@app.function(max_containers=1)
def work(caller: str, seconds: float = 0.01) -> str:
    board.wait_for("go")
    board.note("served", caller)
    time.sleep(seconds)
    return caller


@app.function(max_containers=1)
@swell.concurrent(max_inputs=4)
def work_on_threads(caller: str, seconds: float = 0.01) -> str:
    board.wait_for("go")
    board.note("served", caller)
    time.sleep(seconds)
    return caller


@app.function(max_containers=1)
@swell.batched(max_batch_size=4, wait_ms=0)
def work_in_batches(callers: list[str], seconds: list[float]) -> list[str]:
    board.wait_for("go")
    for caller in callers:
        board.note("served", caller)
    time.sleep(max(seconds))
    return callers


@app.function(max_containers=1)
def quick(caller: str, seconds: float) -> str:
    board.wait_for("go")
    board.note("served", caller)
    return caller
