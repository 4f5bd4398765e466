"""The port at which clients on other machines connect: TCP, TLS from the first byte on, and a token.

One port serves messages and files. In the first message of its handshake a client names what it wants (ALPN), and that
message is looked at before TLS takes it: messages belong to the event loop, while files are carried by threads, where
TLS moves several times as much. Until that message is there, a connection costs a descriptor and what the kernel holds
for it; such strangers are few, and the one that has waited longest makes room for the next.

This module must not know messages, or what is in files.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from functools import partial
from typing import Final

from swell.errors import InvalidError
from swell.link.certificate import FILES, MESSAGES, TlsAddress, server_context
from swell.listening import listen_at
from swell.logs import PeerLog
from swell.server.client_files import ClientFiles

__all__ = ["ClientPort"]

STRANGERS_MAX: Final = 64  #: connections whose handshake is not over
HANDSHAKE_S: Final = 10.0  #: how long the first message may take to come and, after it, the handshake
SHUTDOWN_S: Final = 2.0  #: how long the last word to a client may take
ACCEPT_PAUSE_S: Final = 0.1  #: after a connection that could not be accepted: descriptors may be lacking

_RECORD_HEAD: Final = 5  #: bytes: a type, a version and a length
_HANDSHAKE: Final = 22  #: the type of a record that begins TLS
_RECORD_MAX: Final = 16 << 10  #: bytes after the head
_EVERYWHERE: Final = {"0.0.0.0", "::", ""}


class ClientPort:
    """Accepts clients from `start` to `close`."""

    def __init__(
        self, host: str, port: int, *, certificate: bytes, connect: Callable[[], asyncio.Protocol], files: ClientFiles
    ) -> None:
        """Begin to listen; what connects waits until `start`.

        Args:
            host: where to listen.
            port: likewise.
            certificate: with its private key, in PEM.
            connect: makes the server's end of a connection for messages.
            files: serves connections for files.

        Raises:
            InvalidError: the port is taken, or the address is none of this machine.
        """
        self._context, fingerprint = server_context(certificate, (MESSAGES, FILES))
        self._connect, self._files = connect, files
        self._log = PeerLog(logging.getLogger("swell.server"))
        self._strangers: dict[asyncio.Task[None], None] = {}  # the oldest first
        self._accepting: asyncio.Task[None] | None = None
        try:
            self._listener = listen_at(host, port, any_port=False)
        except OSError as error:
            raise InvalidError(
                f"cannot listen for clients at {host}:{port}: {error.strerror}; SWELL_LISTEN_HOST and "
                "SWELL_LISTEN_PORT choose another address"
            ) from None
        name = socket.gethostname() if host in _EVERYWHERE else host
        bound: int = self._listener.getsockname()[1]
        self.address: Final = str(TlsAddress(name, bound, fingerprint))  #: for SWELL_SERVER

    def start(self) -> None:
        """Begin to accept."""
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    async def close(self) -> None:
        """Accept no more, and end connections for files. Those for messages are ended by their owners."""
        tasks = [*([self._accepting] if self._accepting else ()), *self._strangers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()
        self._files.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except OSError as error:
                self._log.warning("not accepted", "a client cannot be accepted: %s", error.strerror)
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            if len(self._strangers) >= STRANGERS_MAX:
                oldest = next(iter(self._strangers))
                del self._strangers[oldest]
                oldest.cancel()
            task = loop.create_task(self._meet(connection))
            self._strangers[task] = None
            task.add_done_callback(partial(self._met, connection))
            await asyncio.sleep(0)  # else a long queue is accepted whole, before any that was put out is closed

    def _met(self, connection: socket.socket, task: asyncio.Task[None]) -> None:
        """Close a connection that was handed to nobody; also one whose task was cancelled before it began."""
        self._strangers.pop(task, None)
        if task.cancelled():
            connection.close()

    async def _meet(self, connection: socket.socket) -> None:
        """Hand a connection to whom it wants to speak to."""
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                wants_files = FILES.encode() in await _first_message(connection)
            if wants_files:
                connection.setblocking(True)
                self._files.service.begin(connection, self._context)
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                self._connect,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=SHUTDOWN_S,
            )
        except (OSError, TimeoutError, RuntimeError) as error:  # RuntimeError: no thread can be started
            self._log.log(logging.INFO, "no handshake", "a client has not connected: %s", error or "it took too long")
            connection.close()


async def _first_message(connection: socket.socket) -> bytes:
    """Return the first message of a handshake when it is there, and leave it there.

    Raises:
        OSError: the connection has ended, or does not begin as TLS does.
    """
    head = await _peek(connection, _RECORD_HEAD)
    size = int.from_bytes(head[3:])
    if head[0] != _HANDSHAKE or size > _RECORD_MAX:
        raise OSError("it does not begin as TLS does")
    return await _peek(connection, _RECORD_HEAD + size)


async def _peek(connection: socket.socket, size: int) -> bytes:
    """Return the first bytes that have arrived, and leave them there; wait until there are so many."""
    loop = asyncio.get_running_loop()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)  # wakes no earlier
    is_there: asyncio.Future[None] = loop.create_future()
    loop.add_reader(connection, lambda: None if is_there.done() else is_there.set_result(None))
    try:
        await is_there
    finally:
        loop.remove_reader(connection)
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
    found = connection.recv(size, socket.MSG_PEEK)
    if len(found) < size:
        raise ConnectionResetError("it has ended")
    return found
