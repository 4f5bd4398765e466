"""The client's side: one connection, on which requests come one after another.

Three things happen on a connection, and each has its own bound:

- **Reading.** Bytes go to a `RequestReader`, which is asked for the next event only while that can be used: the next
  request is not looked at before the one that is being answered is over. What was read from the network too much, one
  read at most, stays in the reader, and no more is read meanwhile.
- **Answering.** An exchange answers one request at a time. A client that does not read its answers fills the transport
  up to its high-water mark; then the exchange is told to send no more, and no further request is looked at, as its
  answer could be one of the edge's own. A client that then takes nothing for a while is cut off: it keeps a slot.
- **Ending.** What was sent has to arrive, and what still comes is dropped for a moment. A client that does not read the
  rest is cut off in the same way.

After a switch of protocols bytes are just bytes, and only the paces of both sides count. A connection serves another
request only if all of the last one was read, by the count of its own reader, whatever the exchange believes. This
module must not know containers or leases.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

from swell.config import Settings
from swell.edge.gateway.exchange import Exchange
from swell.edge.gateway.head import RequestHead, response_bytes
from swell.edge.gateway.http_error import HTTPError
from swell.edge.gateway.readers import EndOfMessage, RequestReader
from swell.edge.unread import unread_bytes
from swell.logs import PeerLog

__all__ = ["ConnectionOwner", "Downstream", "Timers"]

_IDLE_S: Final = 60.0  #: how long a connection is kept without a request; shorter than what containers keep theirs
_LINGER_S: Final = 2.0  #: how long what is left of a refused request is read, so that the client reads our answer


class ConnectionOwner(Protocol):
    """Who is let in."""

    settings: Settings
    peers: PeerLog

    def enter(self, connection: Downstream) -> bool:
        """Count a connection; False if there are too many."""
        ...

    def turn_away(self, connection: Downstream) -> bool:
        """A connection is too many; True if it may stay for the moment in which its client reads why."""
        ...

    def leave(self, connection: Downstream) -> None:
        """A connection has ended, whether it was counted or turned away."""
        ...

    def admit(self, client: Downstream) -> Exchange:
        """Begin with a request whose head is there, or go on with one for which it has come back.

        Raises:
            HTTPError: it is not let in.
        """
        ...


class Timers(Protocol):
    """What a connection needs of an event loop."""

    def call_later(self, delay: float, callback: Callable[[], object], /) -> asyncio.TimerHandle:
        """Call something after a while."""
        ...

    def call_soon(self, callback: Callable[[], object], /) -> Any:
        """Call something when what happens now is over."""
        ...


class _Request:
    """The request that is being answered."""

    __slots__ = ("exchange", "has_all", "head")

    def __init__(self, head: RequestHead) -> None:
        self.head = head
        self.exchange: Exchange | None = None
        self.has_all = not head.has_body  #: nothing of it is left to be read


class Downstream(asyncio.Protocol):
    """One connection of a client.

    Args:
        door: Who is let in.
        loop: The event loop that calls this protocol.
    """

    head: RequestHead  #: of the request that is being answered

    def __init__(self, owner: ConnectionOwner, loop: Timers) -> None:
        self.address = ""
        self._owner = owner
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._reader = RequestReader(owner.settings.web_head_max, owner.settings.web_body_max)
        self._request: _Request | None = None
        self._is_raw = False  # bytes are just bytes
        self._is_over = False  # nothing more is taken from this client
        self._is_going_on = False  # events are being taken from the reader
        self._is_head_timed = False  # the head that comes has its time limit
        self._is_asked_for = True  # the body that is awaited; False: the client waits to be told to send it
        self._has_progressed = False  # some of the body has come since its timer was set
        self._is_paused = False  # the exchange takes no more for now
        self._is_full = False  # the client reads slower than it is sent to
        self._is_closing = False  # it closes when what was sent is taken
        self._sent = 0  # bytes
        self._taken = 0  # of these, when that was last looked at
        self._timer: asyncio.TimerHandle | None = None  # for what the client sends
        self._reading_timer: asyncio.TimerHandle | None = None  # for what it reads

    # ------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, unless there are too many."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own kind is no subclass
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        if self._owner.enter(self):
            self._time_head()
        elif self._owner.turn_away(self):
            self._say(HTTPError(503, "there are too many connections already (web_connections_max)"))
            self._end()
        else:
            self.abort()

    def data_received(self, data: bytes) -> None:
        """Take in a part of a request."""
        if self._is_raw:
            if self._request is not None and self._request.exchange is not None:
                self._request.exchange.client_tunnel_data(data)
        elif not self._is_over:
            self._reader.feed(data)
            self._go_on()

    def eof_received(self) -> bool:
        """The client sends nothing more: it has left, unless bytes are just bytes."""
        exchange = self._request.exchange if self._request is not None else None
        return self._is_raw and exchange is not None and exchange.half_closed()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left."""
        self._transport = None
        self._is_over = True
        self._stop_timer()
        self._stop_watching()
        self._owner.leave(self)
        request, self._request = self._request, None
        if request is not None and request.exchange is not None:
            request.exchange.abandon()

    def pause_writing(self) -> None:
        """The client reads slower than it is sent to."""
        self._is_full = True
        self._watch_reading()
        if self._request is not None and self._request.exchange is not None:
            self._request.exchange.client_full(is_full=True)

    def resume_writing(self) -> None:
        """It has caught up."""
        self._is_full = False
        if not self._is_closing:
            self._stop_watching()
        if self._request is not None and self._request.exchange is not None:
            self._request.exchange.client_full(is_full=False)
        self._go_on()

    # ------------------------------------------------------------ taking in

    def _go_on(self) -> None:
        """Take what the reader has, as far as that can be used now."""
        if self._is_going_on:
            return  # one call of this further up goes on by itself
        self._is_going_on = True
        try:
            while self._has_use_for_more():
                event = self._reader.next_event()
                if event is None:
                    break
                self._take(event)
        except HTTPError as error:
            self._break_off(error)
        except Exception as error:
            text = "a defect in the edge: a request could not be handled: %r"
            self._owner.peers.log(logging.ERROR, "request not handled", text, error, defect=error)
            self._break_off(HTTPError(500, "the edge has failed; its log says how"))
        finally:
            self._is_going_on = False
        self._check_waiting()
        self._pace()

    def _has_use_for_more(self) -> bool:
        if self._is_over or self._is_raw:
            return False
        return not self._is_full if self._request is None else not self._request.has_all

    def _take(self, event: RequestHead | bytes | EndOfMessage) -> None:
        if isinstance(event, RequestHead):
            self._serve(event)
            return
        request = self._request
        assert request is not None
        assert request.exchange is not None
        if isinstance(event, bytes):
            self._is_asked_for = self._has_progressed = True
            request.exchange.request_body(event)
        else:
            request.has_all = True
            self._stop_timer()
            request.exchange.request_complete()

    def _break_off(self, error: HTTPError) -> None:
        """What comes cannot be understood, or is not taken. The client is told so, and nothing after it is read."""
        self._is_over = True
        if self._request is not None and self._request.exchange is not None:
            self._request.exchange.abort(error)
        else:
            self._say(error)
            self._end()

    def _check_waiting(self) -> None:
        """Bound what has come in part or has to wait: heads and bodies by time, what comes too soon by size."""
        request = self._request
        if self._is_over or self._is_raw:
            return
        if request is None:
            if len(self._reader) and not self._is_head_timed and not self._is_full:
                self._time_head()
        elif not request.has_all:
            if self._has_progressed:
                self._has_progressed = False
                self._time_body()
        elif request.head.wants_websocket and len(self._reader) > self._owner.settings.web_head_max:
            # Reading goes on, to see whether the client leaves; what it sends too soon has to fit somewhere.
            self._break_off(HTTPError(400, "nothing is to be sent before the switch of protocols is agreed on"))

    def _pace(self) -> None:
        """Read from the network, or stop to, as there is use for more bytes."""
        request = self._request
        if self._is_over:
            is_wanted = True  # to be dropped
        elif self._is_raw:
            is_wanted = not self._is_paused
        elif request is None:
            is_wanted = not self._is_full
        elif request.has_all:
            is_wanted = not self._is_paused and (not len(self._reader) or request.head.wants_websocket)
        else:
            is_wanted = not self._is_paused
        transport = self._transport
        if transport is not None and not transport.is_closing() and transport.is_reading() is not is_wanted:
            (transport.resume_reading if is_wanted else transport.pause_reading)()

    # ------------------------------------------------------------ serving

    def _serve(self, head: RequestHead) -> None:
        self._stop_timer()
        request = self._request = _Request(head)
        self.head = head
        try:
            exchange = self._owner.admit(self)
        except HTTPError as error:
            self.respond_error(error)
            return
        if self._request is not request:
            return  # it has come back for an answer that was there
        request.exchange = exchange
        if self._is_full:  # of the answer before this one, or of what was there of this one
            exchange.client_full(is_full=True)
        if request.has_all:
            exchange.request_complete()
        else:
            self._is_asked_for = not head.waits_to_be_asked
            self._has_progressed = True

    # ------------------------------------------------------------ what an exchange wants

    def send(self, data: bytes) -> None:
        """Send bytes of an answer."""
        if self._transport is not None:
            self._sent += len(data)
            self._transport.write(data)

    def expect_body(self) -> None:
        """The client has been told to send the body, which it has held back: from now on it must come."""
        if not self._is_asked_for:
            self._is_asked_for = True
            self._time_body()

    def pause(self, *, is_paused: bool) -> None:
        """Read no more for now, or go on."""
        if is_paused == self._is_paused:
            return
        self._is_paused = is_paused
        if is_paused:
            self._stop_timer()
        elif self._request is not None and not self._request.has_all:
            self._time_body()
        if not self._is_going_on:
            self._pace()

    def start_tunnel(self) -> None:
        """From now on bytes are just bytes."""
        self._is_raw = True
        self._stop_timer()
        early = self._reader.rest()
        if early and self._request is not None and self._request.exchange is not None:
            self._request.exchange.client_tunnel_data(early)
        self._pace()

    def respond_error(self, error: HTTPError) -> None:
        """Answer in the edge's own words."""
        request = self._request
        keeps = request is not None and not self._is_over and request.has_all and request.head.keeps_alive
        self._say(error, close=not keeps)
        if keeps:
            self._next()
        else:
            self._end()

    def finish(self, *, may_stay: bool) -> None:
        """The answer is complete."""
        if may_stay and not self._is_over and self._request is not None and self._request.has_all:
            self._next()
        else:
            self._end()

    def abort(self) -> None:
        """Break the connection."""
        self._request = None
        self._is_over = True
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """The gateway ends."""
        if self._transport is not None:
            self._transport.abort()

    def _next(self) -> None:
        """Go on with the next request, which may have come already."""
        self._request = None
        self._is_paused = False
        self._is_head_timed = False
        self._set_timer(_IDLE_S, self._close)
        if self._is_going_on:
            return
        if len(self._reader):
            self._loop.call_soon(self._go_on)  # not at once: the exchange before it is still ending
        else:
            self._pace()

    def _say(self, error: HTTPError, *, close: bool = True) -> None:
        is_head = self._request is not None and self._request.head.method == b"HEAD"
        self.send(response_bytes(error.status, error.text, error.headers, close=close, is_head=is_head))

    # ------------------------------------------------------------ ending

    def _end(self) -> None:
        """Close once what was said is sent; what the client still sends is read and dropped for a moment.

        Closing at once would have the kernel tell the client that the connection is broken, before it reads our answer.
        """
        self._is_over = True
        self._request = None
        self._reader.rest()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.can_write_eof():
            transport.write_eof()
        self._pace()
        self._set_timer(_LINGER_S, self._close)

    def _close(self) -> None:
        """Close when the client has taken what was sent, or takes no more of it."""
        transport = self._transport
        if transport is not None:
            self._is_over = self._is_closing = True
            self._stop_timer()
            transport.close()
            self._watch_reading()

    # ------------------------------------------------------------ patience

    def _time_head(self) -> None:
        self._is_head_timed = True
        self._set_timer(self._owner.settings.web_head_timeout_s, self._too_slow)

    def _time_body(self) -> None:
        if self._is_asked_for and not self._is_paused:
            self._set_timer(self._owner.settings.web_head_timeout_s, self._stalled)

    def _too_slow(self) -> None:
        if len(self._reader):
            self._break_off(HTTPError(408, "the head of the request did not come in time (web_head_timeout_s)"))
        else:  # it has sent nothing at all
            self._close()

    def _stalled(self) -> None:
        self._break_off(HTTPError(408, "the body of the request did not go on (web_head_timeout_s)"))

    def _watch_reading(self) -> None:
        if self._reading_timer is None and self._transport is not None:
            self._taken = self._sent - unread_bytes(self._transport)
            patience_s = self._owner.settings.web_head_timeout_s
            self._reading_timer = self._loop.call_later(patience_s, self._check_reading)

    def _check_reading(self) -> None:
        self._reading_timer = None
        if self._transport is None:
            return
        if self._sent - unread_bytes(self._transport) > self._taken:
            self._watch_reading()
        else:
            self._owner.peers.warning(
                "answer unread", "web port: a client did not read its answer (web_head_timeout_s)"
            )
            self._transport.abort()

    def _stop_watching(self) -> None:
        if self._reading_timer is not None:
            self._reading_timer.cancel()
            self._reading_timer = None

    def _set_timer(self, seconds: float, action: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self._loop.call_later(seconds, action)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
