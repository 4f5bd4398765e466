"""How long tests wait: as long as what they wait for takes on a machine that does nothing else, times its load.

A limit is reached only by a test that fails, so that a generous one costs nothing. It grows while it runs: what keeps
the machine busy may have begun after the test. This module must not know what is waited for.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TypeVar

__all__ = ["limit_test", "patience", "timeout_s", "wait_until"]

USUAL_S = 20.0  #: for what takes a second on a quiet machine, or three
SLOWNESS_MAX = 30.0  #: a test that hangs ends, however busy the machine

T = TypeVar("T")


def slowness() -> float:
    """Return how many times longer things may take now than on a quiet machine; at least 1.

    The load of the last minute says how long processes had to wait for a processor, or for the disk; the number that
    wait at this moment says so of what began just now.
    """
    minute, _, _, tasks, _ = Path("/proc/loadavg").read_text().split()
    waiting = max(float(minute), float(tasks.partition("/")[0]))
    return min(max(1.0, waiting / len(os.sched_getaffinity(0))), SLOWNESS_MAX)


def patience(seconds: float = USUAL_S) -> float:
    """Return how long to wait for what may take `seconds` on a quiet machine."""
    return seconds * slowness()


def timeout_s() -> int:
    """Return a timeout that is soon reached by what hangs, and not by what is quick: one second on a quiet machine."""
    return max(1, round(patience(1.0) / 2))


def wait_until(condition: Callable[[], T], what: object = "", *, seconds: float = USUAL_S, pause_s: float = 0.01) -> T:
    """Return what a condition gives once that is true; fail with `what` if that takes too long.

    Args:
        condition: Asked again and again.
        what: Says what was waited for; if callable, it is asked at the end.
        seconds: How long that may take on a quiet machine.
        pause_s: Between two questions.
    """
    began, limit = time.monotonic(), patience(seconds)
    while not (found := condition()):
        waited = time.monotonic() - began
        if waited > limit:
            limit = max(limit, patience(seconds))
            assert waited <= limit, f"{what() if callable(what) else what} (waited {waited:.1f} s)"
        time.sleep(pause_s)
    return found


def limit_test(seconds: float) -> None:
    """Let the alarm that ends a test ring later, if the machine is busy when it rings: to be called when it is set."""
    began, ring = time.monotonic(), signal.getsignal(signal.SIGALRM)
    assert callable(ring)

    def ring_or_wait(number: int, frame: FrameType | None) -> None:
        left = began + patience(seconds) - time.monotonic()
        if left > 0:
            signal.setitimer(signal.ITIMER_REAL, left)
        else:
            ring(number, frame)

    signal.signal(signal.SIGALRM, ring_or_wait)
