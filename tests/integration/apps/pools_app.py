"""Functions whose pools are watched while they grow and shrink."""

from __future__ import annotations

import asyncio
import os
import time

import board

import swell

app = swell.App("pools")


def _wait(name: str) -> str:
    board.note("begin", name)
    board.wait_for(name)
    return os.environ["SWELL_TASK_ID"]


def pool(name: str, **options: object) -> swell.Function[[str], str]:
    """Register a function that waits for a signal and tells which container it was in."""
    return app.function(name=name, **options)(_wait)  # pyright: ignore[reportCallIssue, reportArgumentType]


plain = pool("plain", scaledown_window=2)
floored = pool("floored", min_containers=2, scaledown_window=2)
capped = pool("capped", max_containers=3)
buffered = pool("buffered", buffer_containers=2, max_containers=4, scaledown_window=2)
updated = pool("updated", min_containers=0, max_containers=10)
reset = pool("reset", max_containers=10)
other = pool("other")
raised = pool("raised", scaledown_window=2)
reshaped = pool("reshaped", max_containers=1)
once = pool("once", single_use_containers=True)
once_capped = pool("once_capped", single_use_containers=True, max_containers=1)


@app.function(max_containers=2)
@swell.concurrent(max_inputs=4)
def wide(name: str) -> str:
    return _wait(name)


@app.function(max_containers=2)
def naps(seconds: float) -> str:
    time.sleep(seconds)
    return os.environ["SWELL_TASK_ID"]


@app.function()
async def async_naps(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return os.environ["SWELL_TASK_ID"]


@app.function()
def updates_another(function: swell.Function[[str], str]) -> swell.FunctionAutoscalerSettings:
    return function.update_autoscaler(max_containers=7)
