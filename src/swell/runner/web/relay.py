"""A site that passes bytes on to a server of the user's, and back: HTTP, WebSockets, whatever that server speaks.

Nothing is read, added or changed on the way. This module must not know how the server was started, or how its port is
isolated.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, cast

from swell.runner.web.isolation import seccomp
from swell.runner.web.site import Site, WaitableSet

__all__ = ["RelaySite"]

_LOOK_AGAIN_S: Final = 0.02  #: between attempts to reach a server that starts
_REFUSED: Final = frozenset((errno.ECONNREFUSED, errno.ECONNRESET, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT))

Address = tuple[str, int]


class RelaySite(Site):
    """Relays connections to its socket to a port.

    Args:
        path: Of the socket.
        port: At which the server listens, as its user knows it.
        addresses: At which it can be reached; any of them will do.
        startup_timeout_s: How long it may take to answer there.
        give_up: Called when the server accepts no connections any more.
        keep: What the user's function returned; it may hold the only reference to the server.
    """

    def __init__(
        self,
        path: str,
        port: int,
        addresses: Sequence[Address],
        startup_timeout_s: float,
        give_up: Callable[[], None],
        *,
        keep: object = None,
    ) -> None:
        super().__init__(path)
        self._port = port
        self._addresses = list(addresses)
        self._startup_timeout_s = startup_timeout_s
        self._give_up = give_up
        self._has_given_up = False
        self._kept = keep
        self._relays: WaitableSet[_Relay] = WaitableSet()

    async def start(self) -> None:
        """Wait until the server accepts connections.

        Raises:
            TimeoutError: it did not in time.
        """
        try:
            async with asyncio.timeout(self._startup_timeout_s):
                while True:
                    connection = await self._reach()
                    if connection is not None:
                        connection.close()
                        return
                    await asyncio.sleep(_LOOK_AGAIN_S)
        except TimeoutError:
            raise TimeoutError(
                f"no server accepts connections on port {self._port} after startup_timeout="
                f"{self._startup_timeout_s:g} s: the function under @swell.web_server must start one that listens "
                "there, and return"
            ) from None

    async def _reach(self) -> socket.socket | None:
        """Return a connection to the server; None if it is nowhere."""
        for address in list(self._addresses):
            connection = await _connect(address)
            if connection is not None:
                self._addresses.remove(address)
                self._addresses.insert(0, address)  # where it was found it is looked for first
                return connection
        return None

    def _connection(self) -> asyncio.BaseProtocol:
        return _Relay(self._reach, self._relays, self._on_refused).near

    def _on_refused(self) -> None:
        if not self._has_given_up:
            self._has_given_up = True
            os.write(2, f"swell: the server on port {self._port} accepts no more connections\n".encode())
            self._give_up()

    def _end_idle(self) -> None:
        """Do nothing: only the two ends of a connection know whether it is idle."""

    async def wait(self) -> None:
        """Wait until every connection has ended."""
        await self._relays.wait()

    def end_gracefully(self) -> None:
        """Do nothing: there is no way that the clients of every server would understand."""

    def abort(self) -> None:
        """Break every connection."""
        for relay in list(self._relays):
            relay.abort()

    async def stop(self) -> None:
        """Do nothing: an exit hook of the user's may stop the server, or else it ends with the container."""


async def _connect(address: Address) -> socket.socket | None:
    """Return a connection to an address; None if no server listens there."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    except OSError:  # a machine without IPv6
        return None
    try:
        code = seccomp.connect_unfiltered(connection, address)
        if code == errno.EINPROGRESS:
            await _writable(connection)
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code in _REFUSED:
            connection.close()
            return None
        if code:
            raise OSError(code, os.strerror(code))
    except BaseException:
        connection.close()
        raise
    return connection


async def _writable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(connection, lambda: ready.done() or ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_writer(connection)


class _End(asyncio.Protocol):
    """One of the two ends of a relay: what it receives, the other end sends. This is the end at the server."""

    def __init__(self, relay: _Relay) -> None:
        self._relay = relay
        self.transport: asyncio.Transport | None = None
        self.other: _End | None = None

    @property
    def opposite(self) -> asyncio.Transport | None:
        """The transport of the other end, if that is open."""
        transport = None if self.other is None else self.other.transport
        return None if transport is None or transport.is_closing() else transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Pass it on."""
        if (opposite := self.opposite) is not None:
            opposite.write(data)

    def pause_writing(self) -> None:
        """The peer of this end reads too slowly: pause the other end."""
        if (opposite := self.opposite) is not None:
            opposite.pause_reading()

    def resume_writing(self) -> None:
        """The peer has caught up: read from the other end again."""
        if (opposite := self.opposite) is not None:
            opposite.resume_reading()

    def eof_received(self) -> bool:
        """The server sends nothing more: end the relay, whatever the client may still send."""
        self._relay.end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the other end, too, when it has sent what waits."""
        self.transport = None
        self._relay.lost()


class _Relay:
    """One connection to the site, and the one to the server that belongs to it."""

    def __init__(
        self,
        reach: Callable[[], Coroutine[Any, Any, socket.socket | None]],
        relays: WaitableSet[_Relay],
        on_refused: Callable[[], None],
    ) -> None:
        self.near = _NearEnd(self)
        self._far = _End(self)
        self._reach = reach
        self._relays = relays
        self._on_refused = on_refused
        self._joining: asyncio.Task[None] | None = None

    def begin(self, near: asyncio.Transport) -> None:
        """A client has connected to the site."""
        self._relays.add(self)
        self._joining = asyncio.get_running_loop().create_task(self._join(near))

    async def _join(self, near: asyncio.Transport) -> None:
        try:
            connection = await self._reach()
        except OSError as error:  # the machine is at fault, as when it is out of descriptors
            os.write(2, f"swell: cannot connect to the server: {error}\n".encode())
            near.close()
            return
        if connection is None:
            self._on_refused()
            near.close()
            return
        await asyncio.get_running_loop().create_connection(lambda: self._far, sock=connection)
        self._far.other = self.near
        self.near.join(self._far)
        if near.is_closing():
            self.end()

    def end(self) -> None:
        """Close both ends, when they have sent what waits."""
        for end in (self.near, self._far):
            if end.transport is not None:
                end.transport.close()

    def lost(self) -> None:
        """One of the ends is closed."""
        self.end()
        if self.near.transport is None and self._far.transport is None:
            if self._joining is not None:
                self._joining.cancel()
            self._relays.discard(self)

    def abort(self) -> None:
        """Break both connections."""
        for end in (self.near, self._far):
            if end.transport is not None:
                end.transport.abort()


class _NearEnd(_End):
    """The end at the site. It is there before the other one is."""

    def __init__(self, relay: _Relay) -> None:
        super().__init__(relay)
        self._early: list[bytes] = []
        self._is_at_end = False  # the client sends no more

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the relay."""
        super().connection_made(transport)
        self._relay.begin(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        """Pass bytes on; while there is no other end, keep them and read no more."""
        if self.other is not None:
            super().data_received(data)
            return
        self._early.append(data)
        if self.transport is not None:
            self.transport.pause_reading()

    def join(self, other: _End) -> None:
        """Connect to the other end."""
        self.other = other
        if self.transport is not None and not self.transport.is_closing() and self._early:
            self.transport.resume_reading()
        for data in self._early:
            super().data_received(data)
        self._early.clear()
        if self._is_at_end:
            self._end_writing()

    def eof_received(self) -> bool:
        """Pass on that the client sends no more; it may still wait for a response."""
        self._is_at_end = True
        if _has_hung_up(self.transport):
            self._relay.end()
        else:
            self._end_writing()
        return True

    def _end_writing(self) -> None:
        if (opposite := self.opposite) is not None:
            opposite.write_eof()


def _has_hung_up(transport: asyncio.Transport | None) -> bool:
    """Return whether the peer has closed its socket altogether, and waits for no answer any more."""
    peer = None if transport is None else transport.get_extra_info("socket")
    if peer is None or peer.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(peer.fileno(), select.POLLHUP)
    return any(event & select.POLLHUP for _, event in poll.poll(0))
