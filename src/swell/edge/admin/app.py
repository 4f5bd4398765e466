"""The admin surface: one ASGI app behind authentication, on a port of its own.

It is served by uvicorn's protocols on the loop of the edge; uvicorn's server would wake up ten times a second and take
the signals that end the process. This module must not know what its routes answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from email.utils import formatdate
from functools import cache
from time import time
from typing import Any, Final, cast

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute
from starlette.routing import Route as HttpRoute

from swell.config import Settings
from swell.edge.admin import dashboard, live, log_stream, login, metrics
from swell.edge.admin.api.openapi import describe
from swell.edge.admin.api.operation import PREFIX, ApiContext, route_of
from swell.edge.admin.api.table import OPERATIONS
from swell.edge.admin.auth import AuthMiddleware
from swell.edge.admin.connection import AdminConnection, ConnectionContext
from swell.edge.admin.failures import refused
from swell.edge.admin.history import History
from swell.edge.admin.sessions import Sessions
from swell.edge.connections import Connections
from swell.edge.traffic import Traffic
from swell.listening import accept_at, listen_at
from swell.logs import PeerLog
from swell.sdk.connection.client import Client
from swell.wire.stats import Observation, Observe
from swell.wire.web import Route

__all__ = ["Admin"]

KEEP_ALIVE_S: Final = 30

log = logging.getLogger("swell.edge")


class Admin:
    """Serves dashboard, JSON API and metrics from `start` to `stop`.

    Args:
        client: Reaches the server.
        settings: Where to listen, and bounds.
        token: The admin token.
        routes: Returns the routes of web functions.
        traffic: Counts of their requests.
        any_port: Take any free port if the one that is set is taken.
        connections_max: How many connections may be open at once; by default, as many as the settings say.
    """

    def __init__(
        self,
        client: Client,
        settings: Settings,
        token: str,
        routes: Callable[[], list[Route]],
        traffic: Traffic,
        *,
        any_port: bool = False,
        connections_max: int | None = None,
    ) -> None:
        self.sessions = Sessions()
        self._settings = settings
        self._any_port = any_port
        self._traffic = _Traffic()
        self._observing: asyncio.Task[None] | None = None
        self._listener: asyncio.Server | None = None
        self._peers = PeerLog(log)
        context = ApiContext(client, settings, self.sessions.mint)

        async def observe(since: float) -> Observation:
            return await context.ask(Observation, lambda number: Observe(number, since))

        self._history = History(observe)
        app = Starlette(
            routes=self._routes(context, traffic),
            exception_handlers={HTTPException: _http_error, Exception: self._internal_error},
        )
        self._config = uvicorn.Config(
            cast("Any", AuthMiddleware(app, settings.admin_host, token, self.sessions)),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            workers=1,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        count_max = settings.admin_connections_max if connections_max is None else connections_max
        self._connections: Connections[AdminConnection] = Connections("admin", count_max, traffic)
        self._context = ConnectionContext(
            self._config, cast("Any", self._traffic), settings, self._connections, self._peers
        )

    async def _internal_error(self, request: Request, error: Exception) -> Response:
        # A client chooses how often it asks for what fails: only the first in a minute is logged with its traceback.
        method, path = request.method, request.url.path
        self._peers.log(logging.ERROR, "defect", "a defect: %s %s was not answered", method, path, defect=error)
        return refused(500, "InternalError", "the edge met a condition that it does not expect; its log tells which")

    def _routes(self, context: ApiContext, traffic: Traffic) -> list[BaseRoute]:
        return [
            HttpRoute("/healthz", _healthy),
            *dashboard.routes(),
            *live.routes(self._history),
            *log_stream.routes(context.client, context.settings),
            *metrics.routes(context, traffic),
            *login.routes(self.sessions),
            HttpRoute(f"{PREFIX}/openapi.json", _described),
            *(route_of(operation, context) for operation in OPERATIONS),
        ]

    async def start(self) -> str:
        """Listen; return the URL, without a slash at the end. May be called again after it failed.

        Raises:
            OSError: the address is not available; most often, its port is taken.
        """
        if not self._config.loaded:
            self._config.load()
            # Errors of clients are logged by their connections, and errors of the app by `_internal_error`.
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        host, port = self._settings.admin_host, self._settings.admin_port
        endpoint = listen_at(host, port, any_port=self._any_port)
        loop = asyncio.get_running_loop()
        self._observing = loop.create_task(self._history.run())
        context = self._context
        port = endpoint.getsockname()[1]
        self._listener = await accept_at(endpoint, lambda: AdminConnection(context))
        name = f"[{host}]" if ":" in host else host
        return f"http://{name}:{port}"

    async def stop(self) -> None:
        """Stop listening, and end requests that are being answered. Safe to call twice, and before `start`."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in self._connections:
            connection.transport.abort()
        tasks = [*self._traffic.tasks, *([] if self._observing is None else [self._observing])]
        for task in tasks:
            task.cancel("the edge ends")
        await asyncio.gather(*tasks, return_exceptions=True)


class _Traffic:
    """The state that uvicorn's protocols share, in place of its own `ServerState`."""

    def __init__(self) -> None:
        self.connections: set[Any] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.total_requests = 0

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of every answer. A browser must not take one for something else, or show it inside another page."""
        return [
            (b"date", formatdate(time(), usegmt=True).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"DENY"),
            (b"referrer-policy", b"same-origin"),
        ]


async def _healthy(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _described(_request: Request) -> Response:
    return Response(_description(), media_type="application/json")


@cache
def _description() -> bytes:
    return msgspec.json.format(msgspec.json.encode(describe(OPERATIONS)))


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "NotFoundError", 405: "MethodNotAllowed"}.get(error.status_code, "InvalidError")
    return refused(error.status_code, code, f"{error.detail}: /api/v1/openapi.json lists what there is", error.headers)
