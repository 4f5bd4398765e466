"""A container's connection to the server, of which this process has the socket and the link a channel.

Bytes pass as they are, in both directions. A side that is slow slows the other: nothing is read from a socket while
much of its channel waits, and a channel gets no credit while much waits for its socket. This module must not know what
passes.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final, cast

from swell.link.connection import Link

__all__ = ["Relay"]

HIGH: Final = 256 << 10  #: bytes that may wait in either direction before the other side is slowed
_CREDENTIALS: Final = struct.Struct("=iII")  #: the kernel's struct ucred: pid, uid, gid


class Relay(asyncio.Protocol):
    """Joins one connection of a container to a new channel of the link."""

    def __init__(self, link: Link, begins: Callable[[Relay], None], is_over: Callable[[Relay], None]) -> None:
        """Begin when the connection does.

        Args:
            link: to the server.
            begins: called when it is known which process has connected.
            is_over: called when the connection has ended and all that came of it is on the link.
        """
        self._link = link
        self._begins, self._tell_over = begins, is_over
        self._number = 0
        self._transport: asyncio.Transport
        self._has_ended = False  # the socket is closed
        self._is_over = False  # and all that came of it is on the link
        self._is_slowed = False  # nothing is read from the socket
        self._owed = 0  # bytes that the channel gets credit for when the socket takes more
        self._may_write = True
        self.pid = 0  #: of the process that has connected

    # ------------------------------------------------------------ the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open a channel."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own type is no subclass
        self._transport.set_write_buffer_limits(high=HIGH)
        peer = cast("socket.socket", transport.get_extra_info("socket"))
        self.pid = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0]
        if self._link.is_full:  # a container has opened thousands: the link has to bear those of all others
            self._has_ended = self._is_over = True
            self._transport.abort()
            return
        self._number = self._link.open(self)
        self._begins(self)

    def data_received(self, data: bytes) -> None:
        """Pass on what the container has sent."""
        if self._link.send(self._number, data) > HIGH and not self._is_slowed:
            self._is_slowed = True
            self._transport.pause_reading()
            self._link.watch(self._number)

    def pause_writing(self) -> None:
        """The container does not read as fast as the server sends."""
        self._may_write = False

    def resume_writing(self) -> None:
        """The container has read most of it."""
        self._may_write = True
        owed, self._owed = self._owed, 0
        self._link.consumed(self._number, owed)

    def connection_lost(self, exc: Exception | None) -> None:
        """The container has gone, or closed its connection: what it has sent still goes out."""
        self._has_ended = True
        if self._is_over:
            return
        self._link.consumed(self._number, self._owed)
        self._link.finish(self._number)
        self._link.watch(self._number)
        self._settle()

    # ------------------------------------------------------------ the channel

    def received(self, data: bytes) -> None:
        """Pass on what the server has sent; drop what comes too late, or the server would wait for ever."""
        if not self._has_ended:
            self._transport.write(data)
        if self._may_write or self._has_ended:
            self._link.consumed(self._number, len(data))
        else:
            self._owed += len(data)

    def finished(self) -> None:
        """The server has closed its side: so does the container's connection, after what waits for it."""
        if not self._has_ended:
            self._transport.close()

    def lost(self, why: str) -> None:
        """The channel is over, and so is the container's connection."""
        if not self._has_ended:
            self._transport.abort()
        self._settle()

    def flushed(self) -> None:
        """Bytes of the container were sent: read on, once few wait."""
        if self._is_slowed and self._link.unsent(self._number) <= HIGH // 4:
            self._is_slowed = False
            if not self._has_ended:
                self._link.unwatch(self._number)
                self._transport.resume_reading()
        self._settle()

    def _settle(self) -> None:
        """Tell that it is over, once the connection has ended and nothing of it waits."""
        if self._has_ended and not self._is_over and not self._link.unsent(self._number):
            self._is_over = True
            self._link.unwatch(self._number)
            self._tell_over(self)
