"""Watches the memory of containers that have a limit: checks them at intervals, and reports those over it.

One timer for all of them, and a thread that reads /proc, since reading blocks. A container that grows fast may exceed
its limit by what it allocates between two checks. This module must not know how memory is counted, or what happens to
a container.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from swell.backends.process.memory import LimitedContainer
from swell.model import MemoryExcess

__all__ = ["Find", "MemoryWatch", "pause_s"]

log = logging.getLogger("swell.server")

PAUSE_MIN_S = 0.25  #: between two checks, if a check is cheap
PAUSE_MAX_S = 5.0
SHARE_MAX = 0.02  #: of one core that checks may take

Find = Callable[[Iterable[LimitedContainer]], list[tuple[str, MemoryExcess]]]


def pause_s(cost_s: float) -> float:
    """Return how long to wait after a check that took so much processor time.

    Example: a check that takes 10 ms is followed by a pause of 0.5 s, so that checks take 2% of a core.
    """
    return min(PAUSE_MAX_S, max(PAUSE_MIN_S, cost_s / SHARE_MAX))


class MemoryWatch:
    """Checks the containers that are added to it, on a thread of its own."""

    def __init__(self, find: Find, on_excess: Callable[[str, MemoryExcess], None]) -> None:
        """Begin with no containers. Needs a running event loop.

        Args:
            find: returns which containers are over their limits; called on another thread.
            on_excess: called with each of them at every check, until it is removed.
        """
        self._find = find
        self._on_excess = on_excess
        self._loop = asyncio.get_running_loop()
        self._watched: dict[str, LimitedContainer] = {}
        self._thread: ThreadPoolExecutor | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_checking = False
        self._is_open = True

    def add(self, watched: LimitedContainer) -> None:
        """Watch a container from now on."""
        self._watched[watched.container_id] = watched
        if self._timer is None and not self._is_checking:
            self._wait(PAUSE_MIN_S)

    def remove(self, container_id: str) -> None:
        """Stop watching a container. Unknown ids are ignored."""
        self._watched.pop(container_id, None)

    def close(self) -> None:
        """Stop watching. Safe to call twice."""
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _wait(self, seconds: float) -> None:
        self._timer = self._loop.call_later(seconds, self._check)

    def _check(self) -> None:
        self._timer = None
        if not self._watched:
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "swell-memory")
        self._is_checking = True
        checking = self._loop.run_in_executor(self._thread, _timed, self._find, list(self._watched.values()))
        checking.add_done_callback(self._checked)

    def _checked(self, checking: asyncio.Future[tuple[list[tuple[str, MemoryExcess]], float]]) -> None:
        self._is_checking = False
        if not self._is_open or checking.cancelled():
            return
        error = checking.exception()
        if error is None:
            found, cost_s = checking.result()
        else:  # a kernel with another format; limits of single processes hold all the same
            log.error("cannot read how much memory containers use: %r", error)
            found, cost_s = [], PAUSE_MAX_S
        for container_id, excess in found:
            if container_id in self._watched:
                self._on_excess(container_id, excess)
        self._wait(pause_s(cost_s))


def _timed(find: Find, watched: list[LimitedContainer]) -> tuple[list[tuple[str, MemoryExcess]], float]:
    begun = time.thread_time()
    return find(watched), time.thread_time() - begun
