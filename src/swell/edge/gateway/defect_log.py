"""Defects of the edge that a request has brought to light: logged with their traceback, but not each time.

A client chooses how often it asks for what fails, and must not fill the log. This module must not know requests.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

__all__ = ["DefectLog"]

_PAUSE_S: Final = 60.0  #: between two tracebacks


class DefectLog:
    """Logs defects.

    Args:
        logger: What writes the lines.
        now: Returns the time in seconds.
    """

    def __init__(self, logger: logging.Logger, now: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._now = now
        self._next_at: float | None = None
        self._unlogged = 0

    def add(self, text: str, error: BaseException) -> None:
        """Log a defect and its traceback; within a minute of the last one, only count it."""
        now = self._now()
        if self._next_at is not None and now < self._next_at:
            self._unlogged += 1
            return
        more = f" ({self._unlogged:,} more were not logged)" if self._unlogged else ""
        self._next_at, self._unlogged = now + _PAUSE_S, 0
        self._logger.error("a defect in the edge: %s%s", text, more, exc_info=error)
