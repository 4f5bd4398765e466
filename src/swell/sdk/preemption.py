"""Simulates a preemption: the process is interrupted, and killed after a grace period.

Uses signals and timers of this process only. This module must not know containers or inputs.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time

__all__ = ["simulate_preemption"]

_GRACE_S = 30


def simulate_preemption(wait_seconds: int, jitter_seconds: int = 0) -> None:
    """Raise KeyboardInterrupt in the main thread after a delay, and end the process 30 seconds later.

    Args:
        wait_seconds: Seconds until the interrupt, more than 0.
        jitter_seconds: Upper bound of a random delay that is added.

    Raises:
        ValueError: `wait_seconds` is not more than 0.
    """
    if wait_seconds <= 0:
        raise ValueError(f"wait_seconds must be more than 0, not {wait_seconds!r}")
    delay_s = wait_seconds + random.random() * jitter_seconds

    def preempt() -> None:
        time.sleep(delay_s)
        signal.setitimer(signal.ITIMER_REAL, _GRACE_S)  # SIGALRM's default action ends the process
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=preempt, name="swell-preemption", daemon=True).start()
