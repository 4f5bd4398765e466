"""How much of what was sent to a client it has not taken. This module must not know what is sent, or to whom."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import struct
import termios
from typing import Final

__all__ = ["unread_bytes"]

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
