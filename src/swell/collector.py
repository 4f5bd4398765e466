"""Python's collector of cyclic garbage, in processes that answer others: it must not keep anybody waiting.

This module must not know what such a process does.
"""

from __future__ import annotations

import gc
from typing import Final

__all__ = ["calm"]

#: Objects that are made, and not freed, before the collector looks at them; and looks before it looks at older ones.
#: By default it looks after 700, that is several times in the time of one request.
_THRESHOLDS: Final = (50_000, 50, 1_000)


def calm() -> None:
    """Take what is here now as there for good, and look at the rest seldom. To be called when all is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
