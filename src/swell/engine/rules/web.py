"""Web functions: who is told under which label each answers, and when an edge is wanted.

This module must not know HTTP, calls or containers.
"""

from __future__ import annotations

from swell.engine.events import WantEdge
from swell.engine.state.engine_state import Ledger
from swell.engine.views.routes import routes, routes_of
from swell.errors import Error, InvalidError, NotFoundError, ServiceError, to_wire
from swell.wire.messages import Failed
from swell.wire.web import EdgeUp, GetWebUrl, Route, Routes, WebUrl

__all__ = ["Web"]


class Web:
    """Keeps edges informed, and those who ask for a URL."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._watching: dict[int, None] = {}  # clients that want the routes
        self._told: list[Route] = []
        self._waiting: list[tuple[int, GetWebUrl]] = []  # for an edge

    # ------------------------------------------------------------ edges

    def edge_up(self, client: int, message: EdgeUp) -> None:
        """An edge takes requests, or cannot."""
        self._ledger.edges.pop(client, None)
        self._ledger.edges[client] = message
        if client not in self._watching:
            self.watch(client)
        waiting, self._waiting = self._waiting, []
        for asking, question in waiting:
            self.find_url(asking, question)

    def watch(self, client: int) -> None:
        """Tell a client the routes, now and whenever they change."""
        self._watching[client] = None
        self._ledger.tell(client, Routes(list(routes(self._ledger))))

    def client_gone(self, client: int) -> None:
        """A client's connection ended."""
        self._watching.pop(client, None)
        self._waiting = [waiting for waiting in self._waiting if waiting[0] != client]
        if self._ledger.edges.pop(client, None) is not None:
            self._ledger.routes_changed = True  # of which another edge is to hear

    def tell_routes(self) -> None:
        """Tell those who want to know, if anything has changed."""
        present = list(routes(self._ledger))
        if present and not self._ledger.edges:
            self._want_edge()
        if present != self._told:
            self._told = present
            for client in self._watching:
                self._ledger.tell(client, Routes(present))

    def _want_edge(self) -> None:
        if self._ledger.settings.web and not self._ledger.is_stopping:
            self._ledger.emit(WantEdge())

    # ------------------------------------------------------------ URLs

    def find_url(self, client: int, message: GetWebUrl) -> None:
        """Tell a client where a web function answers; if no edge is there yet, when one is."""
        pool, edge = self._ledger.pools.get(message.function_id), self._ledger.edge
        if pool is None:
            text = f"function {message.function_id} does not exist; is its app running?"
            self._fail(client, message, NotFoundError(text))
        elif message.method not in pool.web_methods:
            self._ledger.tell(client, WebUrl(message.request, ""))
        elif edge.url:
            route = next(route for route in routes_of(self._ledger, pool) if route.method == message.method)
            self._ledger.tell(client, WebUrl(message.request, f"{edge.url}/{route.label}"))
        elif edge.trouble:
            self._fail(client, message, ServiceError(f"nothing answers HTTP: {edge.trouble}"))
        elif not self._ledger.settings.web:
            self._fail(client, message, InvalidError("the server does not listen for HTTP: start it with SWELL_WEB=1"))
        else:
            self._waiting.append((client, message))
            self._want_edge()

    def _fail(self, client: int, message: GetWebUrl, error: Error) -> None:
        self._ledger.tell(client, Failed(message.request, *to_wire(error)))
