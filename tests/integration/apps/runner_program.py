"""Programs of a container that a test speaks to, and how a test waits for what they do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from patience import wait_until

from swell.model import (
    Concurrency,
    FunctionSpec,
    OutputStatus,
    Source,
)

Start = Callable[..., Any]

SUCCESS, FAILURE, TERMINATED = OutputStatus.SUCCESS, OutputStatus.FAILURE, OutputStatus.TERMINATED

#: Code for tests to wait in: `reached(name)` makes a file, `await_file(name)` waits for one.
SIGNALS = """
import os, time
def reached(name):
    open(name, "w").close()
def await_file(name):
    while not os.path.exists(name):
        time.sleep(0.001)
"""


def function(name: str = "f", **options: Any) -> FunctionSpec:
    return FunctionSpec(name, Source("program", name), **options)


def concurrent(name: str = "f", max_inputs: int = 8, **options: Any) -> FunctionSpec:
    return function(name, concurrency=Concurrency(max_inputs, max_inputs), **options)


def await_file(path: Path) -> None:
    wait_until(path.exists, f"{path.name} was never made", pause_s=0.001)


STUBBORN = (
    SIGNALS
    + """
def f(i):
    if i == "hang":
        reached("hanging")
        while True: time.sleep(60)
    return i
"""
)
