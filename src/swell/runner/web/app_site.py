"""A site that runs an ASGI app in this process, by uvicorn's protocols.

Of uvicorn the protocols are used and not the server: that looks at the clock ten times a second, is ended by signals,
and closes WebSockets as soon as it is to leave. This module must not know where the app came from.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from time import time
from typing import TYPE_CHECKING, Any, Final, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from swell.logs import PeerLog
from swell.runner.web.lifespan import Lifespan
from swell.runner.web.middleware import AsgiApp, RequestMiddleware
from swell.runner.web.site import Site, WaitableSet

__all__ = ["AppSite"]

_MESSAGE_MAX: Final = 2 << 20  #: bytes of one message of a WebSocket
_KEEP_ALIVE_S: Final = 75  #: how long an idle connection is kept; longer than the edge keeps it
_NOTICE_S: Final = 1.0  #: how long a handler may take to end by itself once its client has left
#: Beginnings of uvicorn's lines for what the middleware or a connection logs in its own words.
_LOGGED_OTHERWISE: Final = (
    "Exception in ASGI application",
    "Invalid HTTP request received",
    "Unsupported upgrade request",
)

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from swell.runner.web.websocket import WebSocket

    Connection = HttpToolsProtocol | WebSocket


class AppSite(Site):
    """Serves an app.

    Args:
        path: Of the socket.
        app: To serve.
        max_inputs: How many requests may run at once.
        interrupt: Shuts the container down: called when the app raises KeyboardInterrupt.
    """

    def __init__(self, path: str, app: AsgiApp, max_inputs: int, interrupt: Callable[[], None]) -> None:
        super().__init__(path)
        self._max_inputs = max_inputs
        self._lifespan = Lifespan(app)
        self._traffic = _ServerState()
        logger = logging.getLogger("uvicorn.error")
        logger.setLevel(logging.WARNING)
        logger.addFilter(_is_news)
        self._peers = PeerLog(logger)
        self._config = uvicorn.Config(
            cast("Any", RequestMiddleware(app, interrupt, self._peers)),
            http="httptools",
            ws=cast("Any", partial(_websocket, self._peers)),
            ws_max_size=_MESSAGE_MAX,
            ws_per_message_deflate=False,
            ws_ping_timeout=None,  # a handler that blocks the loop must not cost its own connection
            lifespan="off",  # ours tells why it failed
            interface="asgi3",
            log_config=None,
            access_log=False,
            workers=1,
            proxy_headers=False,  # the middleware reads them
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
        )

    async def start(self) -> None:
        """Load uvicorn, and start the app.

        Raises:
            ExecutionError: the app failed.
        """
        self._config.load()
        await self._widen_threads()
        await self._lifespan.start()

    async def _widen_threads(self) -> None:
        """Let as many sync handlers run as inputs may: Starlette's threads are 40, unless somebody says otherwise."""
        if "anyio" not in sys.modules:
            return
        from anyio.to_thread import current_default_thread_limiter

        limiter = current_default_thread_limiter()
        limiter.total_tokens = max(limiter.total_tokens, self._max_inputs)

    def _connection(self) -> asyncio.BaseProtocol:
        return _Connection(
            self._peers,
            config=self._config,
            server_state=cast("Any", self._traffic),
            app_state=self._lifespan.state,
            _loop=asyncio.get_running_loop(),
        )

    def _end_idle(self) -> None:
        for connection in list(self._traffic.connections):
            if isinstance(connection, HttpToolsProtocol):
                connection.shutdown()  # one that is busy closes after its answer

    async def wait(self) -> None:
        """Wait until no connection is left, and no handler runs."""
        traffic = self._traffic
        while traffic.connections or traffic.tasks:
            await traffic.connections.wait()
            await traffic.tasks.wait()

    def end_gracefully(self) -> None:
        """Close WebSockets with the code of a service that restarts."""
        for connection in list(self._traffic.connections):
            if not isinstance(connection, HttpToolsProtocol):
                connection.shutdown()

    def abort(self) -> None:
        """Break every connection, then cancel the handlers: nobody gets their results."""
        for connection in list(self._traffic.connections):
            connection.transport.abort()
        for task in list(self._traffic.tasks):
            task.cancel("the container leaves")

    async def stop(self) -> None:
        """Stop the app.

        Raises:
            ExecutionError: the app failed.
        """
        await self._lifespan.stop()


class _Connection(HttpToolsProtocol):
    """A connection that is closed, once its client has left, when the handler has ended: by itself, or by cancellation.

    Until then its request has a slot, and the edge waits for the end of the connection to give that to another.
    """

    _running: asyncio.Task[None] | None = None

    def __init__(self, peers: PeerLog, **context: Any) -> None:
        super().__init__(**context)
        self._peers = peers

    def send_400_response(self, msg: str) -> None:
        """Refuse bytes that are not HTTP."""
        self._peers.warning("bad request", "%s", msg)
        super().send_400_response(msg)

    def _unsupported_upgrade_warning(self) -> None:
        self._peers.warning("unknown upgrade", "a request asked for an unknown protocol, and goes on as HTTP")

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        task = self._running = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def eof_received(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]: it may say that it stays open
        """The client has left."""
        cycle, running = self.cycle, self._running
        if running is None or running.done() or cycle.response_complete:
            return False
        cycle.disconnected = True
        cycle.message_event.set()
        self.flow.resume_writing()
        cancelling = self.loop.call_later(_NOTICE_S, running.cancel, "its client has left")

        def ended(_: asyncio.Task[None]) -> None:
            cancelling.cancel()
            self.transport.close()

        running.add_done_callback(ended)
        return True


class _ServerState:
    """What uvicorn's protocols share, in place of its own `ServerState`."""

    def __init__(self) -> None:
        self.connections: WaitableSet[Connection] = WaitableSet()
        self.tasks: WaitableSet[asyncio.Task[None]] = WaitableSet()
        self.total_requests = 0
        self._second = 0
        self._date: list[tuple[bytes, bytes]] = []

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of every response."""
        second = int(time())
        if second != self._second:
            self._second = second
            self._date = [(b"date", formatdate(second, usegmt=True).encode())]
        return self._date


def _websocket(peers: PeerLog, **context: Any) -> WebSocket:
    """Return the protocol of a WebSocket."""
    from swell.runner.web.websocket import WebSocket

    return WebSocket(_NOTICE_S, peers, **context)


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether a line of uvicorn's log says something that is not logged otherwise."""
    return not str(record.msg).startswith(_LOGGED_OTHERWISE)
