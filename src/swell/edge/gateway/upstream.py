"""The container's side: one connection to a site, kept for the next request if possible. The twin of `downstream`.

A connection carries one request at a time, and what comes back goes to a `ResponseSink`. This module must not know
clients, labels or leases.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Protocol

from swell.edge.gateway.framing import BodyWriter
from swell.edge.gateway.head import Forwarding, RequestHead, ResponseHead
from swell.edge.gateway.http_error import BadMessage
from swell.edge.gateway.peer_connection import PeerConnection
from swell.edge.gateway.readers import ResponseReader
from swell.logs import PeerLog

__all__ = ["ResponseSink", "SiteAddress", "Upstream", "UpstreamOwner"]


class SiteAddress(NamedTuple):
    """Where a container answers one web function."""

    path: str  #: of a socket of this machine, or the name of one of a node's
    where: str = ""  #: the node, as the server has it; "" for this machine


class ResponseSink(Protocol):
    """Takes the response to one request. The twin of `RequestSink`, on the client's side."""

    __slots__ = ()

    def interim_response(self, head: ResponseHead) -> None:
        """Take a head before the response proper: 100, 103."""
        ...

    def response_head(self, head: ResponseHead) -> None:
        """Take the head of the response."""
        ...

    def response_body(self, data: bytes) -> None:
        """A chunk of the body arrived."""
        ...

    def response_complete(self) -> None:
        """The response is complete."""
        ...

    def tunnel_data(self, data: bytes) -> None:
        """Take bytes that the container sent after a switch of protocols."""
        ...

    def upstream_lost(self, *, in_order: bool, fault: str) -> None:
        """The connection has ended before the response was complete.

        Args:
            in_order: Its end is the end of the response.
            fault: Why this side has broken it; "" if it has not.
        """
        ...

    def upstream_full(self, *, is_full: bool) -> None:
        """The container reads slower than it is sent to, or has caught up."""
        ...


class UpstreamOwner(Protocol):
    """Keeps connections between two requests."""

    peers: PeerLog

    def opened(self, upstream: Upstream) -> None:
        """Count a connection."""
        ...

    def keep(self, upstream: Upstream) -> None:
        """Keep a connection for the next request."""
        ...

    def forget(self, upstream: Upstream) -> None:
        """A connection has ended, or is about to."""
        ...


class Upstream(PeerConnection):
    """One connection to a site.

    It alone decides whether another request may follow on it, by what it has written and read itself: exactly the body
    that the head of the request announced, and all of a response with nothing behind it. Its callers have no say in
    that, so they cannot get it wrong.

    Args:
        site: To which it leads.
        owner: Counts the connection, and keeps it between two requests.
    """

    def __init__(self, site: SiteAddress, owner: UpstreamOwner) -> None:
        super().__init__()
        self.site = site
        self._owner = owner
        self._sink: ResponseSink | None = None
        self._reader = ResponseReader()
        self._body = BodyWriter(None, is_chunked=False)
        self._is_raw = False  # after a switch of protocols
        self._may_stay = True  # nothing has happened after which no other request may follow
        self._fault = ""  # why this side has broken the connection

    # ------------------------------------------------------------ sending

    def begin(self, sink: ResponseSink, request: RequestHead, to: Forwarding) -> None:
        """Send the head of a request; what comes back goes to `sink`."""
        self._sink = sink
        self._reader.expect(request)
        self._body = BodyWriter(request.length, is_chunked=request.is_chunked)
        self._may_stay = not to.close
        self._write(request.written(to))

    def write_body(self, data: bytes) -> None:
        """Send a chunk of the body of the request. One that is longer than announced breaks the connection instead."""
        try:
            self._write(self._body.part(data))
        except BadMessage as error:
            self._fail(f"a defect in the edge: {error}")

    def end_body(self) -> None:
        """Send the end of the body. If it is shorter than announced, the connection is broken instead."""
        try:
            self._write(self._body.end())
        except BadMessage as error:
            self._fail(f"a defect in the edge: {error}")

    def write_raw(self, data: bytes) -> None:
        """Send bytes after a switch of protocols. Before, they would be taken for a request."""
        if self._is_raw:
            self._write(data)
        else:
            self._fail("a defect in the edge: bytes of another protocol before the switch")

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None:
            self._transport.write(data)

    def write_eof(self) -> None:
        """Send the end of all: the client has left. Its handler ends when it notices, and the connection with it."""
        self._may_stay = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def pause(self, *, is_paused: bool) -> None:
        """Read no more for now, or go on."""
        self._read(is_wanted=not is_paused)

    def leave(self) -> None:
        """The request is over. The connection is kept for another if nothing was odd about this one, else closed."""
        self._sink = None
        if self._is_reusable:
            self._read(is_wanted=True)  # the client may have been slow with the last of the response
            self._owner.keep(self)
        else:
            self.abort()

    @property
    def _is_reusable(self) -> bool:
        return self.is_open and self._may_stay and not self._is_raw and self._body.is_whole and self._reader.is_clean

    def abort(self) -> None:
        """End the connection at once."""
        self._may_stay = False
        self._break()

    def _fail(self, fault: str) -> None:
        """End the connection because of a fault, which is logged and reported to the sink of the response."""
        self._fault = self._fault or fault
        self.abort()

    # ------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection."""
        super().connection_made(transport)
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        """Take in bytes of the container."""
        if self._is_raw:
            self._pass_on(data)
        elif self._sink is None:
            self.abort()  # nobody asked: the next client would take this for its response
        elif not self._fault:
            self._reader.feed(data)
            try:
                self._process()
            except BadMessage as error:
                self._fail(f"the answer of the container is not valid HTTP: {error}")

    def _process(self) -> None:
        """Take events from the reader, and pass them on."""
        while not self._is_raw and (sink := self._sink) is not None and not self._fault:
            event = self._reader.next_event()
            if event is None:
                return
            if isinstance(event, ResponseHead):
                self._take_head(sink, event)
            elif isinstance(event, bytes):
                sink.response_body(event)
            else:
                self._sink = None
                sink.response_complete()
        if self._is_raw:
            self._pass_on(self._reader.rest())

    def _take_head(self, sink: ResponseSink, head: ResponseHead) -> None:
        if head.is_interim:
            sink.interim_response(head)
            return
        self._may_stay = self._may_stay and head.keeps_alive
        self._is_raw = head.status == 101
        sink.response_head(head)

    def _pass_on(self, data: bytes) -> None:
        if data and self._sink is not None:
            self._sink.tunnel_data(data)

    def eof_received(self) -> None:
        """Close; `connection_lost` follows."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who takes the response."""
        super().connection_lost(exc)
        self._owner.forget(self)
        sink, self._sink = self._sink, None
        if self._fault:
            self._owner.peers.warning("connection broken", "%s: %s", self.site.path, self._fault)
        if sink is not None:
            sink.upstream_lost(in_order=exc is None and not self._fault and self._reader.close(), fault=self._fault)

    def pause_writing(self) -> None:
        """The site reads slower than it is sent to."""
        if self._sink is not None:
            self._sink.upstream_full(is_full=True)

    def resume_writing(self) -> None:
        """The site has caught up."""
        if self._sink is not None:
            self._sink.upstream_full(is_full=False)
