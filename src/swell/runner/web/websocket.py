"""A WebSocket whose connection is closed when its handler has ended, not before.

Until then its request has a slot, and the edge waits for the end of the connection to give that to another. This module
is loaded for the first WebSocket: it takes as long as all the rest to load. It must not know the site.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

if TYPE_CHECKING:
    from websockets.frames import Frame

__all__ = ["WebSocket"]

_GONE: Final = 1005  #: the code of a client that left without any
_NEVER_THERE: Final = 1006


class WebSocket(WebSocketsSansIOProtocol):
    """One WebSocket.

    Args:
        notice_s: How long its handler may take to end by itself once its client has left.
        context: What uvicorn hands to its protocols.
    """

    def __init__(self, notice_s: float, **context: Any) -> None:
        super().__init__(**context)
        self._notice_s = notice_s
        self._running: asyncio.Task[Any] | None = None
        self._cancelling: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a connection."""
        self._lasting = _Lasting(cast("asyncio.Transport", transport))  # uvloop's own kind is no subclass
        super().connection_made(cast("asyncio.Transport", self._lasting))

    async def run_asgi(self) -> None:
        """Run the handler."""
        self._running = asyncio.current_task()
        self._lasting.hold()
        try:
            await super().run_asgi()
        finally:
            self._running = None
            if self._cancelling is not None:
                self._cancelling.cancel()
            self._lasting.let_go()

    def handle_close(self, event: Frame) -> None:
        """The client says that it leaves, or agrees to the handler's own wish."""
        if self.close_sent:
            self._lasting.let_go()  # what the handler still does is its own business
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


class _Lasting:
    """A transport that closes only when it is let go."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._is_held = False
        self._is_to_close = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        """Close, now or later."""
        self._is_to_close = True
        if not self._is_held:
            self._transport.close()

    def is_closing(self) -> bool:
        """True if nothing more is to be said."""
        return self._is_to_close or self._transport.is_closing()

    def hold(self) -> None:
        """Do not close for now."""
        self._is_held = True

    def let_go(self) -> None:
        """Close from now on, and now if that was to be."""
        self._is_held = False
        if self._is_to_close:
            self._transport.close()
