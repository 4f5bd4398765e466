"""Background tasks: work on the event loop that no caller awaits. This module must not know what is done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

__all__ = ["BackgroundTasks"]


class BackgroundTasks:
    """Holds references to tasks until they are done: the loop holds weak ones, so that a task might be collected."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, work: Coroutine[Any, Any, None], failed: Callable[[Exception], None]) -> None:
        """Run a coroutine in the background; `failed` gets what it raises."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(partial(self._done, failed))

    def _done(self, failed: Callable[[Exception], None], task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            failed(error)
