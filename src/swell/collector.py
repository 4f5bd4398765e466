"""Tune Python's garbage collector for processes that serve others: its pauses must not delay answers.

This module must not know the work of such a process.
"""

from __future__ import annotations

import gc
from typing import Final

__all__ = ["calm"]

#: Allocations before the youngest generation is collected; collections of each generation before one of the next.
#: The default of 700 allocations means several collections in the time of one request.
_THRESHOLDS: Final = (50_000, 50, 1_000)


def calm() -> None:
    """Freeze live objects and raise the thresholds of the garbage collector. Call it when all modules are loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
