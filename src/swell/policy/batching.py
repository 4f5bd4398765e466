"""When a batch is dispatched: as soon as it is full, or when its first input has waited for `wait_ms`.

This module must not know the callers or the inputs.
"""

from __future__ import annotations

from swell.model import Batching

__all__ = ["batch_due_at", "batch_size_now"]


def batch_size_now(batching: Batching, *, queued: int, oldest_at: float, now: float) -> int:
    """Return how many inputs to take as one batch at this moment: 0 means wait for more, until `batch_due_at`.

    Example: size 2, wait 1,000 ms, three inputs at t = 0: 2 at once, then 0, and 1 from t = 1.0 on.
    """
    if queued >= batching.max_batch_size:
        return batching.max_batch_size
    if queued and now >= batch_due_at(batching, oldest_at):
        return queued
    return 0


def batch_due_at(batching: Batching, oldest_at: float) -> float:
    """Return when a batch whose first input arrived at `oldest_at` is dispatched even if it is not full."""
    return oldest_at + batching.wait_ms / 1_000
