"""Which event loop swell's own processes have: uvloop's where it is installed, asyncio's elsewhere.

asyncio is imported when a loop is made, since a container without async code does without it. This module must not know
what runs on the loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

__all__ = ["new_event_loop"]


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop."""
    try:
        from uvloop import new_event_loop
    except ImportError:  # not built for this platform: slower, otherwise the same
        from asyncio import new_event_loop
    return new_event_loop()
