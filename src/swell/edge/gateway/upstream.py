"""The container's side: connections to its sites, kept for the next request if possible. The twin of `downstream`.

A connection carries one request at a time, and what comes back goes to a `ResponseSink`. This module must not know
clients, labels or leases.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from swell.edge.gateway.framing import BodyWriter
from swell.edge.gateway.head import Forwarding, RequestHead, ResponseHead
from swell.edge.gateway.http_error import BadMessage, HTTPError
from swell.edge.gateway.peer_connection import PeerConnection
from swell.edge.gateway.readers import ResponseReader
from swell.logs import PeerLog

__all__ = ["ResponseSink", "Upstream", "Upstreams"]

_IDLE_MAX: Final = 64  #: connections that are kept for one site
_BUSY_TRIES: Final = 50  #: attempts while a site has more connections to accept than fit its queue
_BUSY_PAUSE_S: Final = 0.01


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


class Upstream(PeerConnection):
    """One connection to a site.

    It alone decides whether another request may follow on it, by what it has written and read itself: exactly the body
    that the head of the request announced, and all of a response with nothing behind it. Its callers have no say in
    that, so they cannot get it wrong.

    Args:
        path: Of the site's socket.
        pool: Counts the connection, and keeps it between two requests.
    """

    def __init__(self, path: str, pool: Upstreams) -> None:
        super().__init__()
        self.path = path
        self._pool = pool
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
            self._pool.keep(self)
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
        self._pool.opened(self)

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
        self._pool.forget(self)
        sink, self._sink = self._sink, None
        if self._fault:
            self._pool.peers.warning("connection broken", "%s: %s", self.path, self._fault)
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


class Upstreams:
    """Connections to containers: as many as there may be; those that are kept for the next request, by site.

    Args:
        peers: Logs responses that are not valid.
        count_max: How many connections may be open at once. Where they are, one that is kept makes room for a new one.
    """

    def __init__(self, peers: PeerLog, count_max: int) -> None:
        self.peers = peers
        self._count_max = count_max
        self._open: set[Upstream] = set()
        self._connecting = 0
        self._idle: dict[str, list[Upstream]] = {}
        self._kept: dict[Upstream, None] = {}  # the same, the one that is idle longest first

    def idle(self, path: str) -> Upstream | None:
        """Take a connection that is kept, the one used last."""
        while kept := self._idle.get(path):
            upstream = kept[-1]
            self._take(upstream)
            if upstream.is_open:
                return upstream
        return None

    async def connect(self, path: str) -> Upstream:
        """Make a connection.

        Raises:
            OSError: nobody accepts any there.
            HTTPError: as many are in use as may be open.
        """
        self._make_room()
        self._connecting += 1
        try:
            return await self._connect(path)
        finally:
            self._connecting -= 1

    def _make_room(self) -> None:
        if len(self._open) + self._connecting < self._count_max:
            return
        longest_idle = next(iter(self._kept), None)
        if longest_idle is None:
            text = f"{self._count_max} connections to containers are in use, as many as the edge's open files allow"
            raise HTTPError(503, text, [(b"retry-after", b"1")])
        self.forget(longest_idle)
        longest_idle.abort()

    async def _connect(self, path: str) -> Upstream:
        loop = asyncio.get_running_loop()
        for tries_left in reversed(range(_BUSY_TRIES)):
            try:
                _, upstream = await loop.create_unix_connection(lambda: Upstream(path, self), path)
            except BlockingIOError:  # its queue is full
                if not tries_left:
                    raise
                await asyncio.sleep(_BUSY_PAUSE_S)
            else:
                return upstream
        raise AssertionError("unreachable")

    def opened(self, upstream: Upstream) -> None:
        """Count a connection."""
        self._open.add(upstream)

    def keep(self, upstream: Upstream) -> None:
        """Keep a connection for the next request."""
        kept = self._idle.setdefault(upstream.path, [])
        if len(kept) < _IDLE_MAX:
            kept.append(upstream)
            self._kept[upstream] = None
        else:
            upstream.abort()

    def forget(self, upstream: Upstream) -> None:
        """A connection has ended, or is about to."""
        self._open.discard(upstream)
        if upstream in self._kept:
            self._take(upstream)

    def _take(self, upstream: Upstream) -> None:
        del self._kept[upstream]
        kept = self._idle[upstream.path]
        kept.remove(upstream)
        if not kept:
            del self._idle[upstream.path]

    def close(self) -> None:
        """End what is kept."""
        for upstream in list(self._kept):
            upstream.abort()
