"""A port for links: it accepts whoever connects, over TCP and TLS.

Until its handshake is over, a connection is a stranger: it costs a descriptor and what TLS holds for it, some 300 KiB.
Strangers are few, and the one that has waited longest makes room for the next. The loop accepts one connection in a
pass, so those that are accepted make progress meanwhile; when descriptors are used up, it accepts none for a moment.

This module must not know who may connect, or what is said after the handshake.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Final

from swell.logs import PeerLog

__all__ = ["TlsPort"]

HANDSHAKE_S: Final = 10.0  #: how long a handshake may take
SHUTDOWN_S: Final = 2.0  #: how long the last bytes to a peer may take
ACCEPT_PAUSE_S: Final = 0.1  #: after a connection that could not be accepted: descriptors may be lacking

#: A connection that has ended before it was accepted; all else lasts.
_OF_ONE_CONNECTION: Final = {errno.EAGAIN, errno.EINTR, errno.ECONNABORTED, errno.EPROTO}


class TlsPort:
    """Accepts connections on the running loop until `close`."""

    def __init__(
        self,
        listener: socket.socket,
        context: ssl.SSLContext,
        connection: Callable[[], asyncio.BaseProtocol],
        *,
        strangers_max: int,
        logger: logging.Logger,
    ) -> None:
        """Begin to accept.

        Args:
            listener: does not block; from now on the port's, which closes it.
            context: of a server.
            connection: makes the protocol of a connection, before the handshake; it is not called if that fails.
            strangers_max: connections whose handshake is not over.
            logger: of this process.
        """
        self._listener, self._context, self._connection = listener, context, connection
        self._strangers_max = strangers_max
        self._log = PeerLog(logger)
        self._loop = asyncio.get_running_loop()
        self._strangers: dict[asyncio.Task[None], None] = {}  # the oldest first
        self._pause: asyncio.TimerHandle | None = None
        self._begin()

    def close(self) -> None:
        """Accept no more, and end handshakes; connections are ended by their owners. May be called again."""
        if self._listener.fileno() < 0:
            return
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()
        for task in list(self._strangers):
            task.cancel()

    def _begin(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            if error.errno not in _OF_ONE_CONNECTION:
                self._log.warning("not accepted", "a connection cannot be accepted: %s", error.strerror)
                self._loop.remove_reader(self._listener)
                self._pause = self._loop.call_later(ACCEPT_PAUSE_S, self._begin)
            return
        connection.setblocking(False)
        if len(self._strangers) >= self._strangers_max:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.cancel()
        task = self._loop.create_task(self._meet(connection))
        self._strangers[task] = None
        task.add_done_callback(partial(self._met, connection))

    def _met(self, connection: socket.socket, task: asyncio.Task[None]) -> None:
        """Close a connection that was put out; also one whose task was cancelled before it began."""
        self._strangers.pop(task, None)
        if task.cancelled():
            connection.close()

    async def _meet(self, connection: socket.socket) -> None:
        """Begin TLS. If this is cancelled, the loop ends what it has begun."""
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(
                self._connection,
                connection,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=SHUTDOWN_S,
            )
        except OSError as error:
            self._log.log(logging.INFO, "no handshake", "somebody has not connected: %s", error or "it took too long")
            connection.close()
