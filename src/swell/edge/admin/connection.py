"""One connection to the admin port: uvicorn's protocol on the parser h11, with bounds on all that a client controls.

Every client that reaches the port can send bytes before a token is checked, and can leave answers unread. What it can
cost by that, and the bounds:

- **A head, a chunk's size line, a trailer.** h11 keeps what is not yet complete, and refuses more than `web_head_max`
  bytes of it. Trailers are dropped. What came in one piece is measured when it has been parsed, and a head may have
  `HEADERS_MAX` headers, because each costs more memory than its bytes.
- **A body.** Its announced length, or else its size so far, is compared with `admin_body_max` here, in front of every
  route. uvicorn reads ahead of the app by 64 KiB. A body may have `CHUNKS_MAX` chunks: h11 takes as long for a
  small one as for a large one, and the gateway's requests wait meanwhile, as one process serves both ports.
- **Pipelined requests.** h11 stops behind the request that is being answered, and reading pauses: what waits is bytes,
  one read of the socket at most.
- **An unread answer.** The app waits while the socket is full. If the client takes next to nothing for
  `web_head_timeout_s`, the connection is broken.
- **Silence.** A head has `web_head_timeout_s` from its first byte, or from the beginning of the connection; a body has
  as long for each `PROGRESS` bytes; between two requests, uvicorn waits for `KEEP_ALIVE_S`.
- **The connection itself.** As many may be open as this port has descriptors for; one more is refused and closed.

This module must not know routes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

import h11
import msgspec
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from swell.config import Settings
from swell.edge.admin.failures import Failure, Problem
from swell.edge.connections import Connections
from swell.edge.unread import unread_bytes
from swell.logs import PeerLog

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import RequestResponseCycle
    from uvicorn.server import ServerState

__all__ = ["AdminConnection", "BoundedParser", "ConnectionContext"]

HEADERS_MAX: Final = 128  #: of one head
CHUNKS_MAX: Final = 4_096  #: of one body
PROGRESS: Final = 4 << 10  #: bytes within the time limit, so that a body or an unread answer counts as going on
LINGER_S: Final = 2.0  #: how long what a refused client still sends is read, so that it reads the refusal

_CODES: Final = {408: "TimeoutError", 413: "RequestSizeError", 431: "RequestSizeError", 503: "ResourceExhausted"}


class BoundedParser(h11.Connection):
    """h11's parser of requests, which refuses a head or a body over its bound, also one that came in one piece.

    Args:
        head_max: bytes of a head.
        body_max: bytes of a body.

    Attributes:
        error: The reason once the client was refused.
    """

    def __init__(self, head_max: int, body_max: int) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size=head_max)
        self.error: h11.RemoteProtocolError | None = None
        self._head_max = head_max
        self._body_max = body_max
        self._body_size = 0
        self._chunks = 0

    def next_event(self) -> Any:
        """Return the next event, as h11 does.

        Raises:
            h11.RemoteProtocolError: It is not HTTP, or too large; it has the status of the answer.
        """
        try:
            event = super().next_event()
            if isinstance(event, h11.Request):
                self._check_head(event)
            elif isinstance(event, h11.Data):
                self._body_size += len(event.data)
                self._check_size(self._body_size)
                self._chunks += event.chunk_start
                if self._chunks > CHUNKS_MAX:
                    raise _too_large(f"the body of a request may have {CHUNKS_MAX:,} chunks", 413)
        except h11.RemoteProtocolError as error:
            self.error = error
            raise
        return event

    def _check_head(self, request: h11.Request) -> None:
        self._body_size = self._chunks = 0
        size, count = len(request.target), 0
        for name, value in request.headers:
            count += 1
            size += len(name) + len(value) + len(b": \r\n")
            if name == b"content-length":
                self._check_size(int(value))
        if size > self._head_max:
            raise _too_large(f"the head of a request may have {self._head_max:,} bytes (web_head_max)", 431)
        if count > HEADERS_MAX:
            raise _too_large(f"a request may have {HEADERS_MAX} headers, got {count}", 431)

    def _check_size(self, size: int) -> None:
        if size > self._body_max:
            text = f"the body has {size:,} bytes or more; it is over the limit of {self._body_max} (admin_body_max)"
            raise _too_large(text, 413)


def _too_large(text: str, status: int) -> h11.RemoteProtocolError:
    return h11.RemoteProtocolError(text, error_status_hint=status)


class ConnectionContext:
    """The context that all connections to the admin port share.

    Args:
        config: uvicorn's, with the app.
        state: The state that uvicorn's protocols share.
        settings: bounds.
        connections: those that are open.
        peers: where errors of clients are logged.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        state: ServerState,
        settings: Settings,
        connections: Connections[AdminConnection],
        peers: PeerLog,
    ) -> None:
        self.config = config
        self.state = state
        self.settings = settings
        self.connections = connections
        self.peers = peers


class AdminConnection(H11Protocol):
    """One connection."""

    def __init__(self, context: ConnectionContext) -> None:
        super().__init__(context.config, context.state, {}, asyncio.get_running_loop())
        self._context = context
        self._timeout_s = context.settings.web_head_timeout_s
        self._parser = BoundedParser(context.settings.web_head_max, context.settings.admin_body_max)
        self.conn = self._parser
        self._is_over = False  # nothing more is taken from this client
        self._awaited: Any = None  # the state of the parser in which the timer was set
        self._received = 0  # bytes since the timer was set
        self._unread = 0  # bytes of an answer when the client's reading was last looked at
        self._timer: asyncio.TimerHandle | None = None  # for what the client sends
        self._unread_timer: asyncio.TimerHandle | None = None  # for what it reads

    # ------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the connection, unless too many are open."""
        own = cast("asyncio.Transport", transport)  # uvloop's own kind is no subclass
        if not self._context.connections.enter(self):
            self._is_over = True
            self.transport = own
            count_max = self._context.connections.count_max
            own.write(_refusal(503, f"there are {count_max} connections already (admin_connections_max)"))
            own.close()  # at once: lingering would use a descriptor that there is none for
            return
        super().connection_made(own)
        self._expect()

    def data_received(self, data: bytes) -> None:
        """Receive a chunk of a request."""
        if self._is_over:
            return
        self._received += len(data)
        super().data_received(data)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the end of the connection."""
        self._is_over = True
        self._stop_timer()
        self._stop_unread_timer()
        self._context.connections.leave(self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Watch a client that reads more slowly than the app sends."""
        super().pause_writing()
        self._watch_reading()

    def resume_writing(self) -> None:
        """Stop watching: the client has read enough."""
        self._stop_unread_timer()
        super().resume_writing()

    # ------------------------------------------------------------ uvicorn

    def on_response_complete(self) -> None:
        """Handle the end of an answer. h11 goes on with pipelined bytes now, which may begin a body."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_reading()  # it closes once the rest is sent, which the client may never read
        elif self.conn.their_state is not h11.IDLE:
            self._expect()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection; abort it if its answer is still unread."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that the parser has refused."""
        error = self._parser.error
        status = 400 if error is None else error.error_status_hint
        self._refuse(status, f"{msg if error is None else error}")

    # ------------------------------------------------------------ refusing

    def _refuse(self, status: int, text: str) -> None:
        """Refuse a request, and close the connection."""
        self._is_over = True
        self._stop_timer()
        self._context.peers.warning("request refused", "admin port: a client was refused with %d: %s", status, text)
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None and not cycle.response_complete:  # it was the body of the request that is being answered
            cycle.disconnected = True
            cycle.message_event.set()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # an answer, or a part of one, was sent
            self.transport.abort()
            return
        self.transport.write(_refusal(status, text))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self._set_timer(LINGER_S, self.transport.abort)

    # ------------------------------------------------------------ timeouts

    def _expect(self) -> None:
        """Start the timer for the next part of a request, if the client must send one."""
        if self._is_over or self.transport.is_closing():
            return
        state = self.conn.their_state
        if state is not h11.IDLE and state is not h11.SEND_BODY:
            self._stop_timer()
        elif state is not self._awaited or (state is h11.SEND_BODY and self._received >= PROGRESS):
            self._received = 0
            self._set_timer(self._timeout_s, self._too_slow)
            self._awaited = state

    def _too_slow(self) -> None:
        if self.flow.read_paused:  # the app does not read
            self._set_timer(self._timeout_s, self._too_slow)
        elif self._awaited is h11.SEND_BODY:
            self._refuse(408, "the body of the request did not go on (web_head_timeout_s)")
        elif self.conn.trailing_data[0]:
            self._refuse(408, "the head of the request did not come in time (web_head_timeout_s)")
        else:  # no request has begun
            self.transport.abort()

    def _watch_reading(self) -> None:
        if self._unread_timer is None:
            self._unread = unread_bytes(self.transport)
            self._unread_timer = self.loop.call_later(self._timeout_s, self._look_at_reading)

    def _look_at_reading(self) -> None:
        self._unread_timer = None
        if unread_bytes(self.transport) > self._unread - PROGRESS:
            peers = self._context.peers
            peers.warning("answer unread", "admin port: a client did not read its answer (web_head_timeout_s)")
            self.transport.abort()
        else:
            self._watch_reading()

    def _set_timer(self, seconds: float, action: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, action)

    def _stop_timer(self) -> None:
        self._awaited = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_unread_timer(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None


def _refusal(status: int, text: str) -> bytes:
    """Return the bytes of an answer that refuses a request, with a body in JSON like all errors."""
    body = msgspec.json.encode(Problem(Failure(_CODES.get(status, "InvalidError"), text)))
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
