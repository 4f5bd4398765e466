"""Tell edges the routes of web functions, tell clients URLs, and start an edge when there is something to serve.

This module must not know HTTP, calls or containers.
"""

from __future__ import annotations

from swell.engine.events import StartEdge
from swell.engine.state.engine_state import EngineState
from swell.engine.views.routes import routes, routes_of
from swell.errors import Error, InvalidError, NotFoundError, ServiceError, to_wire
from swell.wire.messages import Failed
from swell.wire.web import EdgeUp, GetWebUrl, Route, Routes, WebUrl

__all__ = ["Web"]


class Web:
    """Sends routes to edges, and URLs to the clients that ask for one."""

    def __init__(self, state: EngineState) -> None:
        self._state = state
        self._watching: dict[int, None] = {}  # clients that want the routes
        self._told: list[Route] = []
        self._waiting: list[tuple[int, GetWebUrl]] = []  # for an edge

    # ------------------------------------------------------------ edges

    def edge_up(self, client: int, message: EdgeUp) -> None:
        """Note that an edge serves, or why it cannot, and answer the clients that waited for one."""
        self._state.edges.add(client, message)
        if client not in self._watching:
            self.watch(client)
        waiting, self._waiting = self._waiting, []
        for asking, question in waiting:
            self.find_url(asking, question)

    def watch(self, client: int) -> None:
        """Tell a client the routes, now and whenever they change."""
        self._watching[client] = None
        self._state.send_to_client(client, Routes(list(routes(self._state))))

    def client_gone(self, client: int) -> None:
        """Forget a client that is gone, which may have been an edge."""
        self._watching.pop(client, None)
        self._waiting = [waiting for waiting in self._waiting if waiting[0] != client]
        self._state.edges.remove(client)

    def tell_routes(self) -> None:
        """Send the routes to the clients that watch them, if they have changed."""
        present = list(routes(self._state))
        if present and not self._state.edges:
            self._want_edge()
        if present != self._told:
            self._told = present
            for client in self._watching:
                self._state.send_to_client(client, Routes(present))

    def _want_edge(self) -> None:
        if self._state.settings.web and not self._state.is_stopping:
            self._state.emit(StartEdge())

    # ------------------------------------------------------------ URLs

    def find_url(self, client: int, message: GetWebUrl) -> None:
        """Tell a client where a web function answers; if no edge is there yet, when one is."""
        pool, edge = self._state.pools.get(message.function_id), self._state.edges.latest
        if pool is None:
            text = f"function {message.function_id} does not exist; is its app running?"
            self._fail(client, message, NotFoundError(text))
        elif message.method not in pool.web_methods:
            self._state.send_to_client(client, WebUrl(message.request, ""))
        elif edge.url:
            route = next(route for route in routes_of(self._state, pool) if route.method == message.method)
            self._state.send_to_client(client, WebUrl(message.request, f"{edge.url}/{route.label}"))
        elif edge.trouble:
            self._fail(client, message, ServiceError(f"nothing answers HTTP: {edge.trouble}"))
        elif not self._state.settings.web:
            self._fail(client, message, InvalidError("the server does not listen for HTTP: start it with SWELL_WEB=1"))
        else:
            self._waiting.append((client, message))
            self._want_edge()

    def _fail(self, client: int, message: GetWebUrl, error: Error) -> None:
        self._state.send_to_client(client, Failed(message.request, *to_wire(error)))
