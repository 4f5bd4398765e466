"""The client's side: one connection, on which requests come one after another. The twin of `upstream`.

Whoever can reach the port decides which bytes arrive here, in which pieces, how fast, and what is read of the
responses. So each of these has a bound, and there is one rule about what may wait: **nothing is looked at before it can
be used.** Bytes go to a `RequestReader`, which is asked for its next event only while there is a use for that; what it
is not asked for stays bytes, one read of the network at most, and no more is read meanwhile. There is no queue of
requests, of chunks or of responses. From that rule follow the three things that happen on a connection:

- **Reading.** The next request is not looked at before the response to the one before it is over. A client that sends
  requests ahead waits. A head has `web_head_timeout_s` from its first byte, however often another one comes; a body has
  as long for each chunk, from when it was asked for.
- **Responding.** An exchange responds to one request at a time. A client that does not read fills the transport up to
  its high-water mark. Then the exchange is told to send no more, and no further request is looked at: the response to
  that could be one of the edge's own. A client that then takes nothing for a while is cut off, as it keeps a slot.
- **Ending.** What was sent has to arrive, although the client may go on sending. A connection that is closed with
  unread bytes is reset by the kernel, and the client loses the response that says why. So the connection drains: it
  says that nothing more is sent, and drops what it reads, for a moment. A client that does not read the rest is cut off
  as above.

A connection serves another request only if all of the last one was read, by the count of its own reader, whatever the
exchange believes; else the rest of a body would be read as a request: request smuggling. After a switch of protocols
bytes are just bytes, and only the paces of both sides count. This module must not know containers or leases.
"""

from __future__ import annotations

import asyncio
import logging
from enum import Enum
from typing import Final, Protocol

from swell.config import Settings
from swell.edge.gateway.client import RequestSink
from swell.edge.gateway.head import RequestHead, response_bytes
from swell.edge.gateway.http_error import HTTPError
from swell.edge.gateway.peer_connection import PeerConnection
from swell.edge.gateway.readers import EndOfMessage, RequestReader
from swell.edge.timers import Loop, Timer
from swell.edge.unread import UnreadWatch
from swell.logs import PeerLog

__all__ = ["ConnectionOwner", "Downstream"]

_IDLE_S: Final = 60.0  #: how long a connection is kept without a request; shorter than what containers keep theirs
_DRAIN_S: Final = 2.0  #: how long what is left of a refused request is read, so that the client reads our response


class ConnectionOwner(Protocol):
    """Admits connections and requests."""

    settings: Settings
    peers: PeerLog

    def enter(self, connection: Downstream) -> bool:
        """Count a connection; return False if there are too many."""
        ...

    def turn_away(self, connection: Downstream) -> bool:
        """A connection is too many; return True if it may stay for the moment in which its client reads why."""
        ...

    def leave(self, connection: Downstream) -> None:
        """A connection has ended, whether it was counted or turned away."""
        ...

    def admit(self, client: Downstream) -> RequestSink:
        """Begin with a request whose head is there, or go on with one for which the client has come back.

        Raises:
            HTTPError: it is not admitted.
        """
        ...


class _State(Enum):
    """The use of the client's bytes."""

    HTTP = "http"  #: they are requests
    TUNNEL = "tunnel"  #: they are passed on as they are
    DRAINING = "draining"  #: they are dropped: nothing more is taken from this client
    CLOSING = "closing"  #: the same; the connection closes when the client has taken what was sent


#: Bound here because Python 3.11 takes 0.1 µs to find a member in its enum, and a request needs a dozen.
_HTTP, _TUNNEL, _DRAINING, _CLOSING = _State.HTTP, _State.TUNNEL, _State.DRAINING, _State.CLOSING


class _Request:
    """The request that is being answered."""

    __slots__ = ("has_all", "has_progressed", "head", "is_asked_for", "is_paused", "sink")

    def __init__(self, head: RequestHead) -> None:
        self.head = head
        self.sink: RequestSink | None = None  #: takes it; None while it is being admitted
        self.has_all = not head.has_body  #: nothing of it is left to be read
        #: The body is under way; False while the client waits to be told to send it.
        self.is_asked_for = self.has_all or not head.waits_to_be_asked
        self.has_progressed = False  #: some of the body has arrived since its timer was set
        self.is_paused = False  #: its sink takes no more for now


class Downstream(PeerConnection):
    """One connection of a client.

    Args:
        owner: Admits it, and its requests.
        loop: The event loop that calls this protocol.
    """

    head: RequestHead  #: of the request that is being answered

    def __init__(self, owner: ConnectionOwner, loop: Loop) -> None:
        super().__init__()
        self.address = ""
        self._owner = owner
        self._loop = loop
        self._patience_s = owner.settings.web_head_timeout_s
        self._reader = RequestReader(owner.settings.web_head_max, owner.settings.web_body_max)
        self._state = _HTTP
        self._request: _Request | None = None
        self._is_processing = False  # events are being taken from the reader
        self._is_head_timed = False  # the head that comes has its time limit
        self._is_full = False  # the client reads slower than it is sent to
        self._timer = Timer(loop)  # for what the client sends
        self._unread = UnreadWatch(loop, self._patience_s)  # for what it reads

    @property
    def _sink(self) -> RequestSink | None:
        return None if self._request is None else self._request.sink

    # ------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, unless there are too many."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        if self._owner.enter(self):
            self._time_head()
        elif self._owner.turn_away(self):
            self._send_error(HTTPError(503, "there are too many connections already (web_connections_max)"))
            self._drain()
        else:
            self.abort()

    def data_received(self, data: bytes) -> None:
        """Take in bytes of the client."""
        if self._state is _HTTP:
            self._reader.feed(data)
            self._process()
        elif self._state is _TUNNEL and (sink := self._sink) is not None:
            sink.client_tunnel_data(data)

    def eof_received(self) -> bool:
        """The client sends nothing more: it has left, unless bytes are just bytes."""
        sink = self._sink
        return self._state is _TUNNEL and sink is not None and sink.half_closed()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left."""
        super().connection_lost(exc)
        self._state = _DRAINING
        self._timer.stop()
        self._unread.stop()
        self._owner.leave(self)
        sink, self._request = self._sink, None
        if sink is not None:
            sink.abandon()

    def pause_writing(self) -> None:
        """The client reads slower than it is sent to."""
        self._is_full = True
        self._watch_reading()
        if (sink := self._sink) is not None:
            sink.client_full(is_full=True)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._is_full = False
        if self._state is not _CLOSING:
            self._unread.stop()
        if (sink := self._sink) is not None:
            sink.client_full(is_full=False)
        self._process()

    # ------------------------------------------------------------ reading

    def _process(self) -> None:
        """Take events from the reader, as far as they can be used now."""
        if self._is_processing:
            return  # one call of this further up goes on by itself
        self._is_processing = True
        try:
            while self._has_use_for_more():
                event = self._reader.next_event()
                if event is None:
                    break
                self._handle(event)
        except HTTPError as error:
            self._reject(error)
        except Exception as error:
            text = "a defect in the edge: a request could not be handled: %r"
            self._owner.peers.log(logging.ERROR, "request not handled", text, error, defect=error)
            self._reject(HTTPError(500, "the edge has failed; its log says how"))
        finally:
            self._is_processing = False
        self._check_waiting()
        self._pace()

    def _has_use_for_more(self) -> bool:
        if self._state is not _HTTP:
            return False
        return not self._is_full if self._request is None else not self._request.has_all

    def _handle(self, event: RequestHead | bytes | EndOfMessage) -> None:
        if isinstance(event, RequestHead):
            self._begin_request(event)
            return
        request = self._request
        assert request is not None
        assert request.sink is not None
        if isinstance(event, bytes):
            request.is_asked_for = request.has_progressed = True
            request.sink.request_body(event)
        else:
            request.has_all = True
            self._timer.stop()
            request.sink.request_complete()

    def _begin_request(self, head: RequestHead) -> None:
        self._timer.stop()
        request = self._request = _Request(head)
        self.head = head
        try:
            sink = self._owner.admit(self)
        except HTTPError as error:
            self.respond(error)
            return
        if self._request is not request:
            return  # it has come back for a response that was there
        request.sink = sink
        if self._is_full:  # of the response before this one, or of what was there of this one
            sink.client_full(is_full=True)
        if request.has_all:
            sink.request_complete()
        else:
            request.has_progressed = True

    def _reject(self, error: HTTPError) -> None:
        """Respond with an error to bytes that are not understood or not taken, and read nothing after them."""
        self._state = _DRAINING
        if (sink := self._sink) is not None:
            sink.abort(error)
        else:
            self._send_error(error)
            self._drain()

    def _check_waiting(self) -> None:
        """Bound what has arrived in part or has to wait: heads and bodies by time, what comes too soon by size."""
        request = self._request
        if self._state is not _HTTP:
            return
        if request is None:
            if len(self._reader) and not self._is_head_timed and not self._is_full:
                self._time_head()
        elif not request.has_all:
            if request.has_progressed:
                request.has_progressed = False
                self._time_body(request)
        elif request.head.wants_websocket and len(self._reader) > self._owner.settings.web_head_max:
            # Reading goes on, to see whether the client leaves; what it sends too soon has to fit somewhere.
            self._reject(HTTPError(400, "nothing is to be sent before the switch of protocols is agreed on"))

    def _pace(self) -> None:
        """Read from the network, or stop to, as there is use for more bytes."""
        request, state = self._request, self._state
        if state is _DRAINING or state is _CLOSING:
            is_wanted = True  # to be dropped
        elif request is None:
            is_wanted = not self._is_full
        elif request.is_paused:
            is_wanted = False
        else:
            is_wanted = state is _TUNNEL or not request.has_all or not len(self._reader) or request.head.wants_websocket
        self._read(is_wanted=is_wanted)

    # ------------------------------------------------------------ what an exchange wants

    def send(self, data: bytes) -> None:
        """Send bytes of a response."""
        if self._transport is not None:
            self._unread.sent += len(data)
            self._transport.write(data)

    def expect_body(self) -> None:
        """The client has been told to send the body, which it has held back: from now on it must arrive."""
        request = self._request
        if request is not None and not request.has_all and not request.is_asked_for:
            request.is_asked_for = True
            self._time_body(request)

    def pause(self, *, is_paused: bool) -> None:
        """Read no more for now, or go on."""
        request = self._request
        if request is None or is_paused == request.is_paused:
            return
        request.is_paused = is_paused
        if is_paused:
            self._timer.stop()
        elif not request.has_all:
            self._time_body(request)
        if not self._is_processing:
            self._pace()

    def start_tunnel(self) -> None:
        """Pass bytes on unread from now on."""
        self._state = _TUNNEL
        self._timer.stop()
        early = self._reader.rest()
        if early and (sink := self._sink) is not None:
            sink.client_tunnel_data(early)
        self._pace()

    def respond(self, error: HTTPError) -> None:
        """Send a response of the edge's own."""
        request = self._request
        keeps = self._state is _HTTP and request is not None and request.has_all and request.head.keeps_alive
        self._send_error(error, close=not keeps)
        if keeps:
            self._next_request()
        else:
            self._drain()

    def finish(self, *, may_stay: bool) -> None:
        """The response is complete."""
        if may_stay and self._state is _HTTP and self._request is not None and self._request.has_all:
            self._next_request()
        else:
            self._drain()

    def abort(self) -> None:
        """Break the connection."""
        self._request = None
        self._state = _DRAINING
        self._break()

    def close(self) -> None:
        """The gateway ends: break the connection, and tell who takes a request."""
        self._break()

    def _next_request(self) -> None:
        """Go on with the next request, which may have arrived already."""
        self._request = None
        self._is_head_timed = False
        self._timer.set(_IDLE_S, self._close)
        if self._is_processing:
            return
        if len(self._reader):
            self._loop.call_soon(self._process)  # not at once: the exchange before it is still ending
        else:
            self._pace()

    def _send_error(self, error: HTTPError, *, close: bool = True) -> None:
        is_head = self._request is not None and self._request.head.method == b"HEAD"
        self.send(response_bytes(error.status, error.text, error.headers, close=close, is_head=is_head))

    # ------------------------------------------------------------ ending

    def _drain(self) -> None:
        """Close once what was sent has arrived; what the client still sends is read and dropped for a moment."""
        self._state = _DRAINING
        self._request = None
        self._reader.rest()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.can_write_eof():
            transport.write_eof()
        self._pace()
        self._timer.set(_DRAIN_S, self._close)

    def _close(self) -> None:
        """Close when the client has taken what was sent, or takes no more of it."""
        transport = self._transport
        if transport is not None:
            self._state = _CLOSING
            self._timer.stop()
            transport.close()
            self._watch_reading()

    # ------------------------------------------------------------ time limits

    def _time_head(self) -> None:
        self._is_head_timed = True
        self._timer.set(self._patience_s, self._head_is_late)

    def _time_body(self, request: _Request) -> None:
        if request.is_asked_for and not request.is_paused:
            self._timer.set(self._patience_s, self._body_is_late)

    def _head_is_late(self) -> None:
        if len(self._reader):
            self._reject(HTTPError(408, "the head of the request did not come in time (web_head_timeout_s)"))
        else:  # the client has sent nothing at all
            self._close()

    def _body_is_late(self) -> None:
        self._reject(HTTPError(408, "the body of the request did not go on (web_head_timeout_s)"))

    def _watch_reading(self) -> None:
        if self._transport is not None:
            self._unread.start(self._transport, self._is_stuck)

    def _is_stuck(self) -> None:
        peers = self._owner.peers
        peers.warning("answer unread", "web port: a client did not read its answer (web_head_timeout_s)")
        self._break()
