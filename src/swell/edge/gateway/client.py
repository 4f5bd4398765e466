"""The client's side: one connection, on which requests come one after another.

What comes of a second request while the first is answered waits; nothing more is read meanwhile. This module must not
know containers or leases.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol, cast

import httptools

from swell.config import Settings
from swell.edge.gateway.exchange import Exchange
from swell.edge.gateway.head import Header, RequestHead, response_bytes
from swell.edge.gateway.refusal import Refusal

__all__ = ["Connection", "Door"]

log = logging.getLogger("swell.edge")

_IDLE_S: Final = 60.0  #: how long a connection is kept without a request; shorter than what containers keep theirs
_LINGER_S: Final = 2.0  #: how long what is left of a refused request is read, so that the client reads our answer
_AHEAD_MAX: Final = 64  #: requests that may have come before they are answered
_PROBE: Final = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))


class Door(Protocol):
    """Who is let in."""

    settings: Settings

    def enter(self, connection: Connection) -> bool:
        """Count a connection; False if there are too many."""
        ...

    def leave(self, connection: Connection) -> None:
        """A connection has ended."""
        ...

    def admit(self, client: Connection) -> Exchange:
        """Begin with a request whose head is there, or go on with one for which it has come back.

        Raises:
            Refusal: it is not let in.
        """
        ...


class _Incoming:
    """One request as it comes in."""

    __slots__ = ("exchange", "head", "is_complete", "parts", "refusal", "size")

    def __init__(self) -> None:
        self.head: RequestHead | None = None
        self.refusal: Refusal | None = None
        self.exchange: Exchange | None = None
        self.parts: list[bytes] = []  #: of the body, before it has an exchange
        self.size = 0
        self.is_complete = False


class Connection(asyncio.Protocol):
    """One connection of a client."""

    head: RequestHead  #: of the request that is being answered

    def __init__(self, door: Door) -> None:
        self.address = ""
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: list[Header] = []
        self._head_bytes = 0
        self._receiving: _Incoming | None = None
        self._waiting: deque[_Incoming] = deque()
        self._current: _Incoming | None = None
        self._is_raw = False  # bytes are just bytes
        self._is_over = False  # nothing more is taken from this client
        self._is_asked_for = True  # the body that is awaited; False: the client waits to be told to send it
        self._held = False
        self._is_full = False  # the client reads slower than it is sent to
        self._may_switch = False  # what follows is of another protocol, if the answer says so
        self._early = b""  # of what follows a request to switch protocols
        self._timer: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, unless there are too many."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own kind is no subclass
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        own = transport.get_extra_info("socket")
        if own is not None:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a client that has vanished is noticed
            for option, seconds in _PROBE:
                own.setsockopt(socket.IPPROTO_TCP, option, seconds)
        if not self._door.enter(self):
            self._say(Refusal(503, "there are too many connections already (web_connections_max)"))
            self._end()
            return
        self._set_timer(self._door.settings.web_head_timeout_s, self._too_slow)

    def data_received(self, data: bytes) -> None:
        """Take in a part of a request."""
        if self._is_raw:
            if self._current is not None and self._current.exchange is not None:
                self._current.exchange.from_tunnel(data)
        elif self._may_switch and not self._is_over:
            self._early += data
            if len(self._early) > self._door.settings.web_head_max:
                self._spoil(Refusal(400, "nothing is to be sent before the switch of protocols is agreed on"))
        elif not self._is_over:
            self._feed(data)

    def eof_received(self) -> bool:
        """The client sends nothing more: it has left, unless bytes are just bytes."""
        exchange = self._current.exchange if self._current is not None else None
        return self._is_raw and exchange is not None and exchange.half_closed()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left."""
        self._transport = None
        self._stop_timer()
        self._door.leave(self)
        current, self._current = self._current, None
        self._waiting.clear()
        if current is not None and current.exchange is not None:
            current.exchange.desert()

    def pause_writing(self) -> None:
        """The client reads slower than it is sent to."""
        self._is_full = True
        if self._current is not None and self._current.exchange is not None:
            self._current.exchange.client_full(is_full=True)

    def resume_writing(self) -> None:
        """It has caught up."""
        self._is_full = False
        if self._current is not None and self._current.exchange is not None:
            self._current.exchange.client_full(is_full=False)

    # ------------------------------------------------------------ taking in

    def _feed(self, data: bytes) -> None:
        receiving = self._receiving
        if receiving is None or receiving.head is None:
            if receiving is None and self._current is None:
                self._set_timer(self._door.settings.web_head_timeout_s, self._too_slow)
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError:
            log.exception("a request could not be handled")
            self._refuse_rest(Refusal(500, "the edge has failed; its log says how"))
        except httptools.HttpParserError as error:
            self._refuse_rest(Refusal(400, f"this is not HTTP as it should be: {error}"))
        else:
            head_max, receiving = self._door.settings.web_head_max, self._receiving
            if (receiving is None or receiving.head is None) and self._head_bytes > head_max:
                self._refuse_rest(_too_large(head_max))

    def _upgrade(self, rest: bytes) -> None:
        """The client wants another protocol from here on. What is no WebSocket goes on as HTTP."""
        if self._is_over:
            return
        incoming = self._waiting[-1] if self._waiting else self._current
        if incoming is not None and incoming.head is not None and incoming.head.wants_websocket:
            self._may_switch = True
            self._early = rest
            return
        if incoming is not None and incoming.head is not None and incoming.head.has_body:
            self._refuse_rest(Refusal(501, "a request with a body cannot ask for another protocol"))
            return
        self._parser = httptools.HttpRequestParser(self)
        if rest:
            self._feed(rest)

    def _refuse_rest(self, refusal: Refusal) -> None:
        """What comes cannot be understood. It is said when its turn comes; nothing after it is."""
        incoming = self._receiving
        self._receiving = None
        self._is_over = True
        if incoming is not None and incoming.exchange is not None:
            incoming.exchange.spoilt(refusal)
            return
        incoming = incoming or _Incoming()
        incoming.refusal = refusal
        self._line_up(incoming)

    def _spoil(self, refusal: Refusal) -> None:
        if self._current is not None and self._current.exchange is not None:
            self._current.exchange.spoilt(refusal)

    def _line_up(self, incoming: _Incoming) -> None:
        if self._current is None:
            self._serve(incoming)
            return
        if incoming not in self._waiting:
            self._waiting.append(incoming)
        self._read(is_wanted=False)

    # ------------------------------------------------------------ httptools

    def on_message_begin(self) -> None:
        """A request begins; what comes after the last that is taken, is nothing to us."""
        self._receiving = None if self._is_over else _Incoming()
        self._url = b""
        self._headers = []

    def on_url(self, url: bytes) -> None:
        """Its target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; after the head, it is one of a trailer, which is not passed on."""
        if self._receiving is not None and self._receiving.head is None:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Its head is complete."""
        incoming = self._receiving
        if incoming is None:
            return
        self._head_bytes = 0
        parser, settings = self._parser, self._door.settings
        try:
            size = len(self._url) + sum(len(name) + len(value) + 4 for name, value in self._headers)
            if size > settings.web_head_max:
                raise _too_large(settings.web_head_max)
            head = incoming.head = RequestHead(parser.get_method(), self._url, parser.get_http_version(), self._headers)
            if head.length is not None and head.length > settings.web_body_max:
                raise _too_long(settings.web_body_max)
        except Refusal as refusal:
            incoming.refusal = refusal
        if self._current is None:
            self._serve(incoming)
        else:
            self._line_up(incoming)
            if len(self._waiting) > _AHEAD_MAX:
                self._is_over = True

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        incoming = self._receiving
        if incoming is None or incoming.refusal is not None:
            return
        self._is_asked_for = True
        incoming.size += len(data)
        if incoming.size > self._door.settings.web_body_max:
            too_long = _too_long(self._door.settings.web_body_max)
            if incoming.exchange is None:
                incoming.refusal = too_long
                incoming.parts.clear()
            else:
                incoming.exchange.spoilt(too_long)
        elif incoming.exchange is None:
            incoming.parts.append(data)
        else:
            self._expect_more()
            incoming.exchange.part(data)

    def on_message_complete(self) -> None:
        """The request is complete."""
        incoming, self._receiving = self._receiving, None
        if incoming is None:
            return
        incoming.is_complete = True
        if incoming.exchange is not None and incoming is self._current:
            self._stop_timer()
            incoming.exchange.complete()

    # ------------------------------------------------------------ serving

    def _serve(self, incoming: _Incoming) -> None:
        self._current = incoming
        self._stop_timer()
        if incoming.refusal is not None:
            self.refuse(incoming.refusal)
            return
        head = incoming.head
        assert head is not None
        self.head = head
        try:
            exchange = self._door.admit(self)
        except Refusal as refusal:
            self.refuse(refusal)
            return
        incoming.exchange = exchange
        if self._current is not incoming:
            return  # it has come back for an answer that was there
        if self._is_full:  # of the answer before this one, or of what was there of this one
            exchange.client_full(is_full=True)
        parts, incoming.parts = incoming.parts, []
        for data in parts:
            exchange.part(data)
        if incoming.is_complete:
            exchange.complete()
        else:
            self._is_asked_for = incoming.size > 0 or not head.waits_to_be_asked
            self._expect_more()

    def _expect_more(self) -> None:
        if self._is_asked_for and not self._held:
            self._set_timer(self._door.settings.web_head_timeout_s, self._stalled)

    # ------------------------------------------------------------ what an exchange wants

    def send(self, data: bytes) -> None:
        """Send bytes of an answer."""
        if self._transport is not None:
            self._transport.write(data)

    def hold(self, *, is_held: bool) -> None:
        """Read no more for now, or go on."""
        if is_held != self._held:
            self._held = is_held
            if is_held:
                self._stop_timer()
            elif self._receiving is not None:
                self._expect_more()
            self._read(is_wanted=not is_held)

    def tunnel(self) -> None:
        """From now on bytes are just bytes."""
        self._is_raw = True
        self._stop_timer()
        early, self._early = self._early, b""
        if early and self._current is not None and self._current.exchange is not None:
            self._current.exchange.from_tunnel(early)

    def refuse(self, refusal: Refusal) -> None:
        """Answer in the edge's own words."""
        current = self._current
        head = current.head if current is not None and not self._early and not self._is_over else None
        is_whole = current is not None and head is not None and (current.is_complete or not head.has_body)
        keeps = is_whole and head is not None and head.keeps_alive and not head.wants_websocket
        self._say(refusal, close=not keeps)
        if keeps:
            self._next()
        else:
            self._end()

    def finished(self, *, may_stay: bool) -> None:
        """The answer is complete."""
        if may_stay:
            self._next()
        else:
            self._end()

    def cut(self) -> None:
        """Break the connection."""
        self._current = None
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """The gateway ends."""
        if self._transport is not None:
            self._transport.abort()

    def _next(self) -> None:
        """Go on with the next request, which may have come already."""
        self._current = None
        self._held = False
        if self._waiting:
            # Not at once: with many that have come together, each would be served inside the one before it.
            self._loop.call_soon(self._serve_next)
        elif self._is_over:
            self._end()
        else:
            self._set_timer(_IDLE_S, self._close_idle)
            self._read(is_wanted=True)

    def _serve_next(self) -> None:
        if self._current is None and self._waiting:
            self._serve(self._waiting.popleft())
            if not self._waiting and not self._held and not self._is_over:
                self._read(is_wanted=True)

    def _read(self, *, is_wanted: bool) -> None:
        transport = self._transport
        if transport is not None and not transport.is_closing() and transport.is_reading() is not is_wanted:
            (transport.resume_reading if is_wanted else transport.pause_reading)()

    def _say(self, refusal: Refusal, *, close: bool = True) -> None:
        head = self._current.head if self._current is not None else None
        is_head = head is not None and head.method == b"HEAD"
        self.send(response_bytes(refusal.status, refusal.text, refusal.headers, close=close, is_head=is_head))

    def _end(self) -> None:
        """Close once what was said is sent; what the client still sends is read and dropped for a moment.

        Closing at once would have the kernel tell the client that the connection is broken, before it reads our answer.
        """
        self._is_over = True
        self._current = None
        self._waiting.clear()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.can_write_eof():
            transport.write_eof()
        self._read(is_wanted=True)
        self._set_timer(_LINGER_S, transport.close)

    # ------------------------------------------------------------ patience

    def _too_slow(self) -> None:
        if self._receiving is None:  # it has sent nothing at all
            self._close_idle()
            return
        self._refuse_rest(Refusal(408, "the head of the request did not come in time (web_head_timeout_s)"))

    def _stalled(self) -> None:
        self._spoil(Refusal(408, "the body of the request did not go on (web_head_timeout_s)"))

    def _close_idle(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _set_timer(self, seconds: float, action: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self._loop.call_later(seconds, action)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _too_long(body_max: int) -> Refusal:
    return Refusal(413, f"the body of a request may have {body_max:,} bytes (web_body_max)")


def _too_large(head_max: int) -> Refusal:
    return Refusal(431, f"the head of a request may have {head_max:,} bytes (web_head_max)")
