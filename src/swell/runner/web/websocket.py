"""A WebSocket whose connection is closed when its handler has ended, not before, and whose buffers have bounds.

Until its handler has ended, its request has a slot, and the edge waits for the end of the connection to give that to
another. A client decides how much it sends, in which pieces, and what it reads; what that can take here:

- **Messages that the handler has not received.** Reading pauses while there are any, and of what was read already, only
  `PIECE` bytes are parsed at a time: 16 KiB of the smallest messages are 2,700 values.
- **A message in fragments.** They are joined as they come, for a fragment without bytes costs memory, too. The whole
  may have as many bytes as any message.
- **Pongs.** A client that sends pings and reads nothing gets the last pong alone when it reads again, which is all that
  RFC 6455 (5.5.3) asks for. Reading does not pause for it: a client may well send all it has before it reads.
- **What the handler sends.** It waits while the socket is full.

This module is loaded for the first WebSocket: it takes as long as all the rest to load. It must not know the site.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from swell.logs import PeerLog

if TYPE_CHECKING:
    from websockets.frames import Frame

__all__ = ["WebSocket"]

PIECE: Final = 16 << 10  #: bytes that are parsed before a look at whether the handler keeps up

_GONE: Final = 1005  #: the code of a client that left without any
_NEVER_THERE: Final = 1006


class WebSocket(WebSocketsSansIOProtocol):
    """One WebSocket.

    Args:
        notice_s: How long its handler may take to end by itself once its client has left.
        peers: Logs errors of clients.
        context: Arguments of uvicorn's protocols.
    """

    def __init__(self, notice_s: float, peers: PeerLog, **context: Any) -> None:
        super().__init__(**context)
        self._notice_s = notice_s
        self._peers = peers
        self._unparsed = b""
        self._pong = b""  # the last one that could not be sent
        self._running: asyncio.Task[Any] | None = None
        self._cancelling: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._held_transport = _HeldTransport(
            cast("asyncio.Transport", transport), self._parse
        )  # uvloop's own is no subclass
        super().connection_made(cast("asyncio.Transport", self._held_transport))

    def data_received(self, data: bytes) -> None:
        """Parse bytes of the client."""
        self._unparsed += data
        self._parse()

    def _parse(self) -> bool:
        """Parse what has come until the handler has something to receive; return whether it waits for more."""
        data, start = self._unparsed, 0
        while start < len(data) and not self.read_paused:
            if self._is_refused():
                start = len(data)
                break
            super().data_received(data[start : start + PIECE])
            start += PIECE
        self._unparsed = data[start:]
        if self.conn.handshake_exc is not None and not self.handshake_initiated and not self._is_refused():
            self._refuse_handshake(self.conn.handshake_exc)
        return not self._unparsed and not self.read_paused

    def _is_refused(self) -> bool:
        return self.conn.parser_exc is not None or self.transport.is_closing()

    def _refuse_handshake(self, error: Exception) -> None:
        """Answer a head that websockets does not take: one with a line over 8 KiB, or more than 128 headers."""
        self._peers.warning(
            "handshake refused", "the handshake of a WebSocket was refused: %s", error.__cause__ or error
        )
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        head = f"HTTP/1.1 {status} {status.phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        self.transport.write(head.encode())
        self.transport.close()

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        pong, self._pong = self._pong, b""
        if pong and not (self.close_sent or self.transport.is_closing()):
            self.transport.write(pong)

    # ------------------------------------------------------------ frames

    def handle_ping(self) -> None:
        """Send a pong, at once or when the client reads again."""
        pongs = self.conn.data_to_send()
        if self.writable.is_set():
            self.transport.write(b"".join(pongs))
        elif pongs:
            self._pong = pongs[-1]

    def send_keepalive_ping(self) -> None:
        """Send a ping, unless the client has not even read what was sent before."""
        if self.writable.is_set():
            super().send_keepalive_ping()
        else:
            self.schedule_ping()

    def handle_cont(self, event: Frame) -> None:
        """Add a fragment to its message."""
        (begun,) = self.frames
        if not isinstance(begun, bytearray):
            begun = bytearray(begun)
        begun += event.data
        self.frames = [cast("bytes", begun)]
        if event.fin:
            self.frames = [bytes(begun)]
            self.send_receive_event_to_app()

    def send_receive_event_to_app(self) -> None:
        """Hand a message to the handler, or refuse one that is no text although it says so."""
        if self.curr_msg_data_type == "text":
            try:
                self.frames[0].decode()
            except UnicodeDecodeError as error:
                self._peers.warning(
                    "text is not UTF-8", "a WebSocket was closed: a text message is not UTF-8: %s", error
                )
                self.frames = []
                self.conn.send_close(1007)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    async def run_asgi(self) -> None:
        """Run the handler."""
        self._running = asyncio.current_task()
        self._held_transport.hold()
        try:
            await super().run_asgi()
        finally:
            self._running = None
            if self._cancelling is not None:
                self._cancelling.cancel()
            self._held_transport.release()

    def handle_close(self, event: Frame) -> None:
        """The client closes the WebSocket, or confirms that the handler has closed it."""
        if self.close_sent:
            self._held_transport.release()  # the handler has closed it, and may go on as long as it likes
        else:
            self._notice()
        super().handle_close(event)

    def eof_received(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]: it may say that it stays open
        """The client has left."""
        if self._running is None or self.close_sent:
            return False
        self.queue.put_nowait(
            {"type": "websocket.disconnect", "code": _GONE if self.handshake_complete else _NEVER_THERE}
        )
        self.disconnected = True
        self.writable.set()
        self._notice()
        self.transport.close()
        return True

    def _notice(self) -> None:
        if self._running is not None and self._cancelling is None:
            self._cancelling = self.loop.call_later(self._notice_s, self._running.cancel, "its client has left")


class _HeldTransport:
    """A transport that closes only when it is released, and reads again only when what was read is parsed.

    Args:
        transport: the real one.
        parse: parses what was read; returns False if reading is to stay paused.
    """

    def __init__(self, transport: asyncio.Transport, parse: Callable[[], bool]) -> None:
        self._transport = transport
        self._parse = parse
        self._is_held = False
        self._is_to_close = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        """Close, now or later."""
        self._is_to_close = True
        if not self._is_held:
            self._transport.close()

    def resume_reading(self) -> None:
        """Read again, unless the rest of what was read gives the handler enough to do."""
        if self._parse():
            self._transport.resume_reading()

    def is_closing(self) -> bool:
        """True if nothing more may be sent."""
        return self._is_to_close or self._transport.is_closing()

    def hold(self) -> None:
        """Do not close for now."""
        self._is_held = True

    def release(self) -> None:
        """Close from now on, and at once if `close` was called meanwhile."""
        self._is_held = False
        if self._is_to_close:
            self._transport.close()
