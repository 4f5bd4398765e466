"""What the processes that serve others, server and edge, do alike as they start: read settings, choose an event loop.

This module must not know what is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Coroutine
from typing import Any

from swell.config import Settings
from swell.errors import Error
from swell.event_loop import new_event_loop

__all__ = ["load_settings", "run"]


def load_settings(program: str) -> Settings:
    """Return the settings from environment and file. Invalid ones end this process with the reason."""
    try:
        return Settings.load()
    except Error as error:
        sys.exit(f"{program}: {error}")


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run the main coroutine of this process to its end, or to Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(main)
