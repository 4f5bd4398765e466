"""Listening sockets: open one at a port that may be taken, and accept what connects.

When descriptors are used up, a connection cannot be accepted, and the listener stays readable. uvloop's loop takes care
of that. asyncio's puts off accepting for a second, but once for each connection that it would have accepted in this
pass, with a line of the log each, and all of them come back to put it off again: with a long queue, the loop turns in a
circle and floods the log. It takes the number of connections in a pass from the length of the queue, so these are told
apart here: one connection in a pass, and a queue that keeps its length.

This module must not know what is served there.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

__all__ = ["BACKLOG", "accept_at", "listen_at"]

BACKLOG: Final = 4_096  #: connections that wait to be accepted

#: A peer that has vanished without a word is noticed after about a minute. What is accepted inherits this.
_PROBE: Final = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))


def listen_at(host: str, port: int, *, any_port: bool) -> socket.socket:
    """Return a listening socket.

    Raises:
        OSError: the port is taken, or the address is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _PROBE:
        listener.setsockopt(socket.IPPROTO_TCP, option, value)
    try:
        try:
            listener.bind((host, port))
        except OSError:
            if not any_port:
                raise
            listener.bind((host, 0))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


async def accept_at(listener: socket.socket, connection: Callable[[], asyncio.BaseProtocol]) -> asyncio.Server:
    """Accept connections on the running loop from now on.

    Args:
        listener: From now on the loop's; it is closed with the server that is returned.
        connection: Makes the protocol of one connection.
    """
    loop = asyncio.get_running_loop()
    one_a_pass = isinstance(loop, asyncio.BaseEventLoop)
    own = _LongQueue(fileno=listener.detach())
    create = loop.create_unix_server if own.family == socket.AF_UNIX else loop.create_server
    return await create(connection, sock=own, backlog=1 if one_a_pass else BACKLOG)


class _LongQueue(socket.socket):
    """A listener whose queue is as long as it was, whatever length asyncio asks for when it begins to accept again."""

    def listen(self, backlog: int = BACKLOG, /) -> None:
        super().listen(BACKLOG)
