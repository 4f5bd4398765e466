"""The container's side: connections to sites of containers, kept for the next request where that is possible.

This module must not know clients, labels or leases.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol, cast

import httptools

from swell.edge.gateway.head import Header, ResponseHead

__all__ = ["Taker", "Upstream", "Upstreams"]

log = logging.getLogger("swell.edge")

_IDLE_MAX: Final = 64  #: connections that are kept for one site
_BUSY_TRIES: Final = 50  #: attempts while a site has more connections to accept than fit its queue
_BUSY_PAUSE_S: Final = 0.01


class Taker(Protocol):
    """Who takes an answer."""

    def interim(self, head: ResponseHead) -> None:
        """Something is said before the answer proper: 100, 103."""
        ...

    def answer(self, head: ResponseHead) -> None:
        """The head of the answer is there."""
        ...

    def answer_part(self, data: bytes) -> None:
        """A part of its body is."""
        ...

    def answer_complete(self) -> None:
        """All of it was."""
        ...

    def raw(self, data: bytes) -> None:
        """Bytes after a switch of protocols."""
        ...

    def upstream_lost(self, *, in_order: bool) -> None:
        """The connection has ended before the answer was complete, or where its end is the end of the answer."""
        ...

    def upstream_full(self, *, is_full: bool) -> None:
        """Whether to send no more for now."""
        ...


class Upstream(asyncio.Protocol):
    """One connection to a site."""

    def __init__(self, path: str, pool: Upstreams) -> None:
        self.path = path
        self._pool = pool
        self._taker: Taker | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._method = b""
        self._reason = b""
        self._headers: list[Header] = []
        self._head: ResponseHead | None = None
        self._is_interim = False
        self._is_raw = False
        self._may_stay = True

    # ------------------------------------------------------------ sending

    def begin(self, taker: Taker, head: bytes, method: bytes) -> None:
        """Send the head of a request; what comes back goes to `taker`."""
        self._taker = taker
        self._method = method
        self._head = None
        self.write(head)

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._transport is not None:
            self._transport.write(data)

    def write_eof(self) -> None:
        """Say that nothing more comes: the client has left. What handles it ends, and so does then the connection."""
        self._may_stay = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def pause(self, *, is_paused: bool) -> None:
        """Read no more for now, or go on."""
        if self._transport is not None and not self._transport.is_closing():
            (self._transport.pause_reading if is_paused else self._transport.resume_reading)()

    def leave(self, *, may_stay: bool) -> None:
        """The request is over. The connection is kept for another, if it may and can be."""
        self._taker = None
        if may_stay and self._may_stay and not self._is_raw and self._transport is not None:
            self.pause(is_paused=False)  # the client may have been slow with the last of the answer
            self._pool.keep(self)
        else:
            self.abort()

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def is_open(self) -> bool:
        """True as long as nobody has closed it."""
        return self._transport is not None and not self._transport.is_closing()

    # ------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own kind is no subclass

    def data_received(self, data: bytes) -> None:
        """Understand a part of an answer."""
        if self._is_raw:
            self._pass_on(data)
            return
        if self._taker is None:
            self.abort()  # it speaks unasked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._is_raw = True
            self._pass_on(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError:
            log.exception("an answer could not be passed on")
            self._may_stay = False
            self.abort()
        except httptools.HttpParserError as error:
            log.debug("%s says what is not HTTP: %s", self.path, error)
            self._may_stay = False
            self.abort()

    def _pass_on(self, data: bytes) -> None:
        if data and self._taker is not None:
            self._taker.raw(data)

    def eof_received(self) -> None:
        """Close; `connection_lost` follows."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who takes the answer."""
        self._transport = None
        self._pool.forget(self)
        taker, self._taker = self._taker, None
        if taker is not None:
            head = self._head
            ends_so = head is not None and head.length is None and not head.is_chunked
            taker.upstream_lost(in_order=exc is None and ends_so)

    def pause_writing(self) -> None:
        """The site reads slower than we send."""
        if self._taker is not None:
            self._taker.upstream_full(is_full=True)

    def resume_writing(self) -> None:
        """It has caught up."""
        if self._taker is not None:
            self._taker.upstream_full(is_full=False)

    # ------------------------------------------------------------ httptools

    def on_message_begin(self) -> None:
        """An answer begins."""
        if self._taker is None:  # one more than was asked for; whoever comes next would take it for theirs
            self._may_stay = False
            self.abort()
        self._headers = []
        self._reason = b""
        self._head = None

    def on_status(self, reason: bytes) -> None:
        """Its reason."""
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; after the head, it is one of a trailer, which is not passed on."""
        if self._head is None:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Its head is complete."""
        head = ResponseHead(self._parser.get_status_code(), self._reason, self._headers)
        self._is_interim = 100 <= head.status < 200 and head.status != 101
        taker = self._taker
        if taker is None:
            return
        if self._is_interim:
            taker.interim(head)
            return
        self._head = head
        self._may_stay = self._may_stay and self._parser.should_keep_alive()
        if head.status == 101:
            self._is_raw = True
        taker.answer(head)
        if head.status != 101 and not head.has_body(self._method):
            if self._method == b"HEAD":
                self._may_stay = False  # the parser waits for a body that does not come
            self._complete()

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        if self._taker is not None:
            self._taker.answer_part(data)

    def on_message_complete(self) -> None:
        """The answer is complete."""
        if not self._is_interim and not self._is_raw:
            self._complete()

    def _complete(self) -> None:
        taker, self._taker = self._taker, None
        if taker is not None:
            taker.answer_complete()


class Upstreams:
    """Connections that are there for the next request, by site."""

    def __init__(self) -> None:
        self._idle: dict[str, list[Upstream]] = {}

    def idle(self, path: str) -> Upstream | None:
        """Take a connection that is kept, the one used last."""
        kept = self._idle.get(path)
        while kept:
            upstream = kept.pop()
            if not kept:
                del self._idle[path]
            if upstream.is_open:
                return upstream
        return None

    async def connect(self, path: str) -> Upstream:
        """Make a connection.

        Raises:
            OSError: nobody accepts any there.
        """
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

    def keep(self, upstream: Upstream) -> None:
        """Keep a connection for the next request."""
        kept = self._idle.setdefault(upstream.path, [])
        if len(kept) < _IDLE_MAX:
            kept.append(upstream)
        else:
            upstream.abort()

    def forget(self, upstream: Upstream) -> None:
        """A connection has ended."""
        kept = self._idle.get(upstream.path)
        if kept and upstream in kept:
            kept.remove(upstream)
            if not kept:
                del self._idle[upstream.path]

    def close(self) -> None:
        """End what is kept."""
        for kept in list(self._idle.values()):
            for upstream in list(kept):
                upstream.abort()
