"""Calls hooks: plain functions directly, async ones on the container's event loop.

The loop is created when async code first needs it, so that a container without any does not import asyncio. This module
must not know which hooks there are.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from swell.event_loop import new_event_loop

if TYPE_CHECKING:
    import asyncio

__all__ = ["HookCaller"]


class HookCaller:
    """Calls hooks, and owns the container's event loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of this container; uvloop's, if that is installed."""
        if self._loop is None:
            import asyncio

            self._loop = new_event_loop()
            asyncio.set_event_loop(self._loop)
        return self._loop

    def call(self, hook: Callable[[], Any]) -> None:
        """Call a hook, and wait until it has finished."""
        value = hook()
        if inspect.isawaitable(value):
            self.loop.run_until_complete(_finished(value))


async def _finished(value: Any) -> None:
    await value
