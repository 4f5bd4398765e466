"""The port at which clients on other machines connect: TCP, TLS from the first byte on, and a token.

One port serves messages and files. In the first message of its handshake a client names what it wants (ALPN), and that
message is looked at before TLS takes it: messages belong to the event loop, while files are carried by threads, where
TLS moves several times as much. Until that message is there, a connection costs a descriptor and what the kernel holds
for it.

This module must not know messages, or what is in files.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Final

from swell.errors import InvalidError
from swell.link.acceptor import Acceptor
from swell.link.certificate import FILES, MESSAGES, TlsAddress, server_context
from swell.link.tls_port import HANDSHAKE_S, begin_tls
from swell.listening import listen_at
from swell.server.client_files import ClientFiles

__all__ = ["ClientPort"]

STRANGERS_MAX: Final = 64  #: connections whose handshake is not over

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
        self._acceptor: Acceptor | None = None
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
        logger = logging.getLogger("swell.server")
        self._acceptor = Acceptor(self._listener, self._meet, strangers_max=STRANGERS_MAX, logger=logger)

    async def close(self) -> None:
        """Accept no more, and end connections for files. Those for messages are ended by their owners."""
        if self._acceptor is None:
            self._listener.close()
        else:
            self._acceptor.close()
            await self._acceptor.closed()
        self._files.close()

    async def _meet(self, connection: socket.socket) -> None:
        """Hand a connection to whom it wants to speak to."""
        async with asyncio.timeout(HANDSHAKE_S):
            wants_files = FILES.encode() in await _first_message(connection)
        if not wants_files:
            await begin_tls(connection, self._context, self._connect)
            return
        connection.setblocking(True)
        try:
            self._files.service.begin(connection, self._context)
        except RuntimeError as error:
            raise OSError(error) from None  # no thread can be started


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
