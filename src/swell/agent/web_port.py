"""The agent's web port: over TCP and TLS, the edge of the server reaches the sockets of this node's containers.

What it serves is an edge that shows the token; others cost a bounded number of bytes, for a bounded time. A process
that was stopped for so long that its containers are given up passes on nothing more. This module must not know the
protocol on the sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import resource
from collections.abc import Callable, Iterable
from typing import Final

from swell.agent.web_relay import WebRelay
from swell.errors import InvalidError
from swell.link.certificate import server_context
from swell.link.connection import Channel, Link
from swell.link.frames import End, LinkError
from swell.link.tls_port import TlsPort
from swell.link.web import ALIVE, WEB_BOUNDS, is_token
from swell.listening import listen_at
from swell.wire.web_names import socket_path

__all__ = ["WebPort"]

ENTER_S: Final = 10.0  #: how long a link may be there without its token
HANDSHAKES_MAX: Final = 16  #: connections that are no links yet; each takes memory, and one edge is expected
STRANGERS_MAX: Final = 16  #: links that have shown no token yet
EDGES_MAX: Final = 4  #: links that have: one edge, and those of which it is not seen yet that they are over
DESCRIPTORS_SHARE: Final = 2  #: one in so many descriptors may be a request's connection


class WebPort:
    """Listens for the edge."""

    def __init__(self, directory: str, token: str, is_given_up: Callable[[], bool]) -> None:
        """Prepare.

        Args:
            directory: of the sockets.
            token: lets in an edge.
            is_given_up: tells whether this process was stopped for too long, and must do nothing more.
        """
        self.directory = directory
        self.is_given_up = is_given_up
        self._token = token
        self._strangers: dict[_EdgeLink, None] = {}  # the oldest first
        self._edges: dict[_EdgeLink, None] = {}  # likewise
        self._methods: dict[str, Iterable[str]] = {}  # of web functions, by container
        self._connections = 0
        self.connections_max = max(1, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // DESCRIPTORS_SHARE)
        self._port: TlsPort | None = None

    def open(self, host: str, certificate: bytes) -> int:
        """Listen at an address of this machine; return the port.

        Args:
            host: the address.
            certificate: with its key, in PEM.

        Raises:
            OSError: the address is none of this machine.
        """
        context, _ = server_context(certificate)
        listener = listen_at(host, 0, any_port=False)
        port: int = listener.getsockname()[1]
        self._port = TlsPort(
            listener,
            context,
            lambda: _Link(_EdgeLink(self), self.is_given_up),
            strangers_max=HANDSHAKES_MAX,
            logger=logging.getLogger("swell.agent"),
        )
        return port

    def close(self) -> None:
        """Listen no more, and end all links."""
        if self._port is not None:
            self._port.close()
        for edge in [*self._strangers, *self._edges]:
            edge.link.end("the agent ends")

    # ------------------------------------------------------------ containers

    def launched(self, container_id: str, methods: Iterable[str]) -> None:
        """A container may make sockets for these web functions."""
        self._methods[container_id] = methods

    def exited(self, container_id: str) -> None:
        """Remove the sockets that a killed container has left."""
        for method in self._methods.pop(container_id, ()):
            with contextlib.suppress(OSError, InvalidError):  # it has removed them itself, or never made them
                os.unlink(socket_path(self.directory, container_id, method))

    # ------------------------------------------------------------ edges

    def came(self, edge: _EdgeLink) -> None:
        """Somebody has connected."""
        _make_room(self._strangers, STRANGERS_MAX)
        self._strangers[edge] = None

    def enters(self, edge: _EdgeLink, token: bytes) -> bool:
        """Let in an edge that shows the token."""
        if not is_token(token, self._token):
            return False
        del self._strangers[edge]
        _make_room(self._edges, EDGES_MAX)
        self._edges[edge] = None
        return True

    def is_gone(self, edge: _EdgeLink) -> None:
        """A link is over."""
        self._strangers.pop(edge, None)
        self._edges.pop(edge, None)

    def relay(self, link: Link, number: int) -> Channel:
        """Return the owner of a channel that an edge has opened."""
        relay = WebRelay(link, number, self.directory, self._is_over)
        self._connections += 1
        if self._connections > self.connections_max:
            asyncio.get_running_loop().call_soon(relay.refuse)
        return relay

    def _is_over(self, relay: WebRelay) -> None:
        self._connections -= 1


class _EdgeLink:
    """The owner of the agent's end of one web link. Nothing but its making happens before it is `linked`."""

    def __init__(self, port: WebPort) -> None:
        self._port = port
        self._has_entered = False
        self._patience: asyncio.TimerHandle
        self.link: Link  #: from when it is connected, which may never be

    def linked(self, link: Link) -> None:
        """An edge may enter."""
        self.link = link
        self._patience = asyncio.get_running_loop().call_later(ENTER_S, link.end, "it shows no token")
        self._port.came(self)

    def beat(self) -> None:
        """Give a sign of life."""
        self.link.send_word(ALIVE)

    def word(self, body: bytes) -> None:
        """Let the edge in."""
        if self._has_entered or not self._port.enters(self, body):
            raise LinkError("the token is not the one of this node")
        self._patience.cancel()
        self._has_entered = True

    def opened(self, link: Link, number: int) -> Channel:
        """Take a channel for a connection to a container."""
        if not self._has_entered:
            raise LinkError("it opens a channel before it has shown its token")
        return self._port.relay(link, number)

    def lost(self, why: str) -> None:
        """The link is over."""
        self._patience.cancel()
        self._port.is_gone(self)


class _Link(Link):
    """A link that passes on nothing once this process has been given up.

    Silence of the edge ends nothing: one that was stopped has lost nothing, and one that is gone has closed.
    """

    def __init__(self, owner: _EdgeLink, is_given_up: Callable[[], bool]) -> None:
        super().__init__(End.AGENT, owner, math.inf, WEB_BOUNDS)
        self._is_given_up = is_given_up

    def buffer_updated(self, nbytes: int) -> None:
        """Pass on what has come."""
        if not self._is_given_up():
            super().buffer_updated(nbytes)


def _make_room(links: dict[_EdgeLink, None], most: int) -> None:
    if len(links) >= most:
        next(iter(links)).link.end("too many others came after it")
