"""The work itself: functions that every contestant can import. They must not know who runs them."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any


def increment(x: int) -> int:
    """Do as good as nothing: what is left is the cost of getting it done elsewhere."""
    return x + 1


def size(array: Any) -> int:
    """Receive a large argument and return a small result."""
    return array.nbytes


def echo(array: Any) -> Any:
    """Receive a large argument and return it."""
    return array


def process_id(_: object = None) -> int:
    """Tell which process this is."""
    return os.getpid()


def began(seconds: float) -> float:
    """Tell when this began, by the clock that all processes of a machine share, and keep the container meanwhile."""
    now = time.monotonic()
    time.sleep(seconds)
    return now


async def nap(seconds: float) -> float:
    """Wait, as for a network."""
    await asyncio.sleep(seconds)
    return seconds


def first_after_start(path: str) -> None:
    """Wait until somebody has made the file `path`; the first that need not wait any more writes down when that was."""
    while not os.path.exists(path):
        time.sleep(0.002)
    now = time.time()
    if not os.path.exists(f"{path}.first"):
        with open(f"{path}.draft", "w") as draft:
            draft.write(str(now))
        os.rename(f"{path}.draft", f"{path}.first")


def batch_sizes(x: list[int]) -> list[int]:
    """Answer each input of a batch with the size of the batch it came in."""
    return [len(x)] * len(x)


def exhaust_map(function: Any, count: int) -> int:
    """Be the caller of a long map: run a Function over so many inputs and return how many results there were."""
    return sum(1 for _ in function.map(range(count)))
