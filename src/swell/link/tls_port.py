"""A port for links: it accepts whoever connects, over TCP and TLS.

Until its handshake is over, a connection is a stranger, for which TLS holds some 300 KiB.

This module must not know who may connect, or what is said after the handshake.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final

from swell.link.acceptor import Acceptor

__all__ = ["HANDSHAKE_S", "TlsPort", "begin_tls"]

HANDSHAKE_S: Final = 10.0  #: how long a handshake may take
SHUTDOWN_S: Final = 2.0  #: how long the last bytes to a peer may take


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
        self._context, self._connection = context, connection
        self._acceptor = Acceptor(listener, self._meet, strangers_max=strangers_max, logger=logger)

    def close(self) -> None:
        """Accept no more, and end handshakes; connections are ended by their owners. May be called again."""
        self._acceptor.close()

    async def _meet(self, connection: socket.socket) -> None:
        await begin_tls(connection, self._context, self._connection)


async def begin_tls(
    connection: socket.socket, context: ssl.SSLContext, protocol: Callable[[], asyncio.BaseProtocol]
) -> None:
    """Have a protocol speak TLS on a connection that was accepted; return when the handshake is over.

    If this is cancelled, the loop ends what it has begun.

    Raises:
        OSError: the handshake failed, or took too long.
    """
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    await asyncio.get_running_loop().connect_accepted_socket(
        protocol,
        connection,
        ssl=context,
        ssl_handshake_timeout=HANDSHAKE_S,
        ssl_shutdown_timeout=SHUTDOWN_S,
    )
