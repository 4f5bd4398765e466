"""How much of what was sent to a client it has not taken, and whether it takes any of it.

This module must not know what is sent, or to whom.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import struct
import termios
from collections.abc import Callable
from functools import partial
from typing import Final

from swell.edge.timers import Loop, Timer

__all__ = ["UnreadWatch", "unread_bytes"]

_INT: Final = struct.Struct("i")


def unread_bytes(transport: asyncio.Transport) -> int:
    """Return how many bytes wait in this process and in the kernel.

    The kernel asks for more when a third of its buffer, which may have megabytes, is free. So a client that reads
    10 kB a second takes nothing from this process for minutes, and only the kernel knows that it reads.
    """
    size = transport.get_write_buffer_size()
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError, ValueError):  # it is closed
            size += _INT.unpack(fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(_INT.size)))[0]
    return size


class UnreadWatch:
    """Notices a client that takes nothing of what it was sent.

    Args:
        loop: For the timer.
        patience_s: How long a client may take nothing at all.
    """

    __slots__ = ("_patience_s", "_taken", "_timer", "sent")

    def __init__(self, loop: Loop, patience_s: float) -> None:
        self.sent = 0  #: bytes, counted by whoever sends them
        self._taken = 0  # of these, when that was last looked at
        self._patience_s = patience_s
        self._timer = Timer(loop)

    def start(self, transport: asyncio.Transport, on_stuck: Callable[[], None]) -> None:
        """Watch, if nobody does, until the client has taken nothing for a while; then call `on_stuck`."""
        if not self._timer.is_set:
            self._taken = self.sent - unread_bytes(transport)
            self._timer.set(self._patience_s, partial(self._check, transport, on_stuck))

    def _check(self, transport: asyncio.Transport, on_stuck: Callable[[], None]) -> None:
        self._timer.stop()
        if self.sent - unread_bytes(transport) > self._taken:
            self.start(transport, on_stuck)
        else:
            on_stuck()

    def stop(self) -> None:
        """Watch no longer."""
        self._timer.stop()
