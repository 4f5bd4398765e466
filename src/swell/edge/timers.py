"""A timer that is set, set again and stopped. This module must not know what it is for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Loop", "Timer"]


class Loop(Protocol):
    """What the gateway's connections need of an event loop."""

    def call_later(self, delay: float, callback: Callable[[], object], /) -> asyncio.TimerHandle:
        """Call something after a while."""
        ...

    def call_soon(self, callback: Callable[[], object], /) -> Any:
        """Call something after what happens now."""
        ...


class Timer:
    """One timer: while it is set, setting it again replaces what it would have done."""

    __slots__ = ("_handle", "_loop")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None

    @property
    def is_set(self) -> bool:
        """True from `set` until `stop`, or until it fires if what it does says `stop`."""
        return self._handle is not None

    def set(self, seconds: float, action: Callable[[], None]) -> None:
        """Call `action` after some time, and nothing that was set before."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._loop.call_later(seconds, action)

    def stop(self) -> None:
        """Do nothing of what was set."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
