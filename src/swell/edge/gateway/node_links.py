"""The links to nodes: a web link to the agent of each node that has a container of a request, made with the first.

A link carries any number of connections to containers (`swell.link.web`), so none of these costs a handshake. One that
is lost breaks those that it carries, and the next request makes another. This module must not know HTTP or requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar, cast

from swell.edge.gateway.peer_connection import PeerConnection
from swell.link.connection import Channel, Link
from swell.link.dialing import PinnedLink, dial
from swell.link.frames import End, LinkError
from swell.link.transport import ChannelTransport
from swell.link.web import ACCEPTED, ALIVE, WEB_BOUNDS, WebAddress
from swell.logs import PeerLog

__all__ = ["NodeLinks"]

ACCEPT_S: Final = 10.0  #: how long an agent may take to reach a container
#: Beyond the time after which the server gives up a node: it knows more of what has become of a request.
SILENCE_S: Final = 2.0

P = TypeVar("P", bound=PeerConnection)


class NodeLinks:
    """Connections to containers of other nodes.

    Args:
        peers: Logs nodes that cannot be reached.
        node_timeout_s: After how long without a sign of life the server gives up a node.
    """

    def __init__(self, peers: PeerLog, node_timeout_s: float) -> None:
        self._peers = peers
        self._timeout_s = node_timeout_s + SILENCE_S
        self._links: dict[str, _NodeLink] = {}  # by the address of the node
        self._retired: set[_NodeLink] = set()  # they open no more channels

    async def connect(self, where: str, name: str, make: Callable[[], P]) -> P:
        """Connect a protocol to a socket of a node.

        Args:
            where: Of the node, as the server has it.
            name: Of the socket.
            make: Returns the protocol, once the container has accepted.

        Raises:
            OSError: nobody accepts any connections there.
        """
        known = self._links.get(where)
        if known is not None and known.is_spent:
            self._retired.add(known)
            known.retire()
            known = None
        if known is None:
            known = self._links[where] = _NodeLink(WebAddress.parse(where), self._timeout_s, self._lost)
        return await known.connect(name, make)

    def _lost(self, link: _NodeLink, why: str) -> None:
        self._retired.discard(link)
        where = str(link.address)
        if self._links.get(where) is link:
            del self._links[where]
        if not link.was_there:  # else the server knows it as well
            self._peers.warning("node not reached", "the containers of a node cannot be reached: %s", why)

    def close(self) -> None:
        """End all links."""
        for link in [*self._links.values(), *self._retired]:
            link.end("the edge ends")


class _NodeLink:
    """The edge's end of one web link, from when it is dialled."""

    def __init__(self, address: WebAddress, timeout_s: float, on_lost: Callable[[_NodeLink, str], None]) -> None:
        self.address = address
        self.was_there = False  #: the agent has answered
        self._on_lost = on_lost
        self._is_retired = False
        self._link = PinnedLink(End.SERVER, self, timeout_s, address=address.agent, bounds=WEB_BOUNDS)
        self._dialled = asyncio.Event()  # with or without success
        self._dialling = asyncio.get_running_loop().create_task(self._dial(timeout_s))

    async def _dial(self, patience_s: float) -> None:
        try:
            await dial(self._link, patience_s)
        except OSError as error:
            self.end(str(error))

    async def connect(self, name: str, make: Callable[[], P]) -> P:
        """Connect a protocol to a socket there.

        Raises:
            OSError: nobody accepts any connections.
        """
        await self._dialled.wait()
        link = self._link
        if link.is_lost or link.is_full:
            raise ConnectionRefusedError("the node cannot be reached, or has as many connections as it bears")
        joining = _Joining(name, make)
        transport = ChannelTransport(link, joining)
        try:
            async with asyncio.timeout(ACCEPT_S):
                return await joining.joined
        except BaseException:
            transport.abort()
            raise

    @property
    def is_spent(self) -> bool:
        """True if the numbers of channels are about to run out."""
        return self._link.is_spent

    def retire(self) -> None:
        """End when the last of the connections has."""
        self._is_retired = True

    def end(self, why: str) -> None:
        """End at once."""
        self._link.end(why)

    # ------------------------------------------------------------ LinkOwner

    def linked(self, link: Link) -> None:
        """The right agent answers: show it the token."""
        self.was_there = True
        self._dialled.set()
        link.send_word(self.address.token.encode())

    def beat(self) -> None:
        """Send nothing: an agent needs no sign of life of its server's edge."""
        if self._is_retired and not self._link.has_channels:
            self.end("it has carried as many connections as it can")

    def word(self, body: bytes) -> None:
        """The agent gives a sign of life."""
        if body != ALIVE:
            raise LinkError("the agent has said something else")

    def opened(self, link: Link, number: int) -> Channel:
        """An agent opens no channels."""
        raise LinkError(f"the agent has opened channel {number}")

    def lost(self, why: str) -> None:
        """The link is over."""
        self._dialled.set()
        self._dialling.cancel()
        self._on_lost(self, why)


class _Joining(asyncio.Protocol, Generic[P]):
    """A channel until a container has accepted it."""

    def __init__(self, name: str, make: Callable[[], P]) -> None:
        self.joined: asyncio.Future[P] = asyncio.get_running_loop().create_future()
        self._name, self._make = name, make
        self._transport: ChannelTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Name the socket."""
        self._transport = cast("ChannelTransport", transport)
        self._transport.write(f"{self._name}\n".encode())

    def data_received(self, data: bytes) -> None:
        """Hand the channel over: the container has accepted, and may send at once."""
        if data != ACCEPTED or self.joined.done():
            self._transport.abort()
            return
        protocol = self._make()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        self.joined.set_result(protocol)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody accepts."""
        if not self.joined.done():
            self.joined.set_exception(ConnectionRefusedError("the container accepts no connections"))
