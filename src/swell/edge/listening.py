"""A listening socket, at a port that may be taken. This module must not know what is served there."""

from __future__ import annotations

import socket
from typing import Final

__all__ = ["BACKLOG", "listen_at"]

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
