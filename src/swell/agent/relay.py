"""A connection of this machine, of which this process has the socket and a link a channel.

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

__all__ = ["ContainerRelay", "Relay"]

HIGH: Final = 256 << 10  #: bytes that may wait in either direction before the other side is slowed
_CREDENTIALS: Final = struct.Struct("=iII")  #: the kernel's struct ucred: pid, uid, gid


class Relay(asyncio.Protocol):
    """Joins one connection to a channel; `_begin` is called when it has both."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._number = 0
        self._transport: asyncio.Transport
        self._has_ended = True  # there is no socket, or no more
        self._is_over = False  # and all that came of it is on the link
        self._is_slowed = False  # nothing is read from the socket
        self._owed = 0  # bytes that the channel gets credit for when the socket takes more
        self._may_write = True

    def _begin(self, number: int, transport: asyncio.BaseTransport) -> None:
        """Begin to pass bytes on."""
        self._number = number
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own type is no subclass
        self._transport.set_write_buffer_limits(high=HIGH)
        self._has_ended = False

    def _over(self) -> None:
        """The connection has ended, and all that came of it is on the link. Called once."""

    # ------------------------------------------------------------ the socket

    def data_received(self, data: bytes) -> None:
        """Pass on what was sent here."""
        if self._link.send(self._number, data) > HIGH and not self._is_slowed:
            self._is_slowed = True
            self._transport.pause_reading()
            self._link.watch(self._number)

    def pause_writing(self) -> None:
        """The peer here does not read as fast as the one on the link sends."""
        self._may_write = False

    def resume_writing(self) -> None:
        """It has read most of it."""
        self._may_write = True
        owed, self._owed = self._owed, 0
        self._link.consumed(self._number, owed)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer here has gone, or closed its connection: what it has sent still goes out."""
        self._has_ended = True
        if self._is_over:
            return
        self._link.consumed(self._number, self._owed)
        self._link.finish(self._number)
        self._link.watch(self._number)
        self._settle()

    # ------------------------------------------------------------ the channel

    def received(self, data: bytes) -> None:
        """Pass on what came over the link; drop what comes too late, or its sender would wait for ever."""
        if not self._has_ended:
            self._transport.write(data)
        if self._may_write or self._has_ended:
            self._link.consumed(self._number, len(data))
        else:
            self._owed += len(data)

    def finished(self) -> None:
        """The peer on the link has closed its side: so does the connection here, after what waits for it."""
        if not self._has_ended:
            self._transport.close()

    def lost(self, why: str) -> None:
        """The channel is over, and so is the connection here."""
        if not self._has_ended:
            self._transport.abort()
        self._settle()

    def flushed(self) -> None:
        """Bytes of the connection here were sent: read on, once few wait."""
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
            self._over()


class ContainerRelay(Relay):
    """A container's connection to the server, in a channel that this end opens."""

    def __init__(
        self, link: Link, begins: Callable[[ContainerRelay], None], is_over: Callable[[ContainerRelay], None]
    ) -> None:
        """Begin when the connection does.

        Args:
            link: to the server.
            begins: called when it is known which process has connected.
            is_over: called when the connection has ended and all that came of it is on the link.
        """
        super().__init__(link)
        self._begins, self._tell_over = begins, is_over
        self.pid = 0  #: of the process that has connected

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open a channel."""
        peer = cast("socket.socket", transport.get_extra_info("socket"))
        self.pid = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0]
        if self._link.is_full:  # a container has opened thousands: the link has to bear those of all others
            self._is_over = True
            cast("asyncio.Transport", transport).abort()
            return
        self._begin(self._link.open(self), transport)
        self._begins(self)

    def _over(self) -> None:
        self._tell_over(self)
