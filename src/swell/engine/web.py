"""Web functions: under which label each answers, and who is to know.

This module must not know HTTP, calls or containers.
"""

from __future__ import annotations

from collections.abc import Iterator

from swell.engine.app import App
from swell.engine.events import WantEdge
from swell.engine.ledger import Ledger
from swell.engine.pool import Pool
from swell.errors import Error, InvalidError, NotFoundError, ServiceError, to_wire
from swell.model import AppKind
from swell.policy.labels import label_of
from swell.wire.messages import Failed
from swell.wire.web import EdgeUp, GetWebUrl, Route, Routes, WebUrl

__all__ = ["Web"]


class Web:
    """Keeps edges informed, and those who ask for a URL."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._watching: dict[int, None] = {}  # clients that want the routes
        self._edges: dict[int, EdgeUp] = {}  # the latest last
        self._told: list[Route] = []
        self._waiting: list[tuple[int, GetWebUrl]] = []  # for an edge

    # ------------------------------------------------------------ edges

    def edge_up(self, client: int, message: EdgeUp) -> None:
        """An edge takes requests, or cannot."""
        self._edges.pop(client, None)
        self._edges[client] = message
        if client not in self._watching:
            self.watch(client)
        waiting, self._waiting = self._waiting, []
        for asking, question in waiting:
            self.find_url(asking, question)

    def watch(self, client: int) -> None:
        """Tell a client the routes, now and whenever they change."""
        self._watching[client] = None
        self._ledger.tell(client, Routes(list(self.routes())))

    def client_gone(self, client: int) -> None:
        """A client's connection ended."""
        self._watching.pop(client, None)
        self._waiting = [waiting for waiting in self._waiting if waiting[0] != client]
        if self._edges.pop(client, None) is not None:
            self._ledger.routes_changed = True  # of which another edge is to hear

    @property
    def edge(self) -> EdgeUp:
        """What the edge that came last has said of itself; nothing, if there is none."""
        return next(reversed(self._edges.values()), EdgeUp())

    def tell_routes(self) -> None:
        """Tell those who want to know, if anything has changed."""
        routes = list(self.routes())
        if routes and not self._edges:
            self._want_edge()
        if routes != self._told:
            self._told = routes
            for client in self._watching:
                self._ledger.tell(client, Routes(routes))

    def _want_edge(self) -> None:
        if self._ledger.settings.web and not self._ledger.is_stopping:
            self._ledger.emit(WantEdge())

    # ------------------------------------------------------------ routes

    def routes(self) -> Iterator[Route]:
        """Yield the routes, each label once: it is of the version that came last, until that ends."""
        taken: set[str] = set()
        pools = [pool for app in self._ledger.apps.values() for pool in app.pools.values() if pool.web_methods]
        for pool in sorted(pools, key=lambda pool: -pool.deployed_at):
            if pool.app.closing or pool.app.is_retiring or pool.is_retired or pool.is_pinned or pool.changes:
                continue
            for route in self._routes_of(pool):
                if route.label not in taken:
                    taken.add(route.label)
                    yield route

    def _routes_of(self, pool: Pool) -> Iterator[Route]:
        app, spec = pool.app, pool.spec
        suffix = "" if app.kind is AppKind.DEPLOYED else self._ledger.settings.dev_suffix
        name = spec.name.removesuffix(".*")
        parameters = spec.cls.parameters if spec.cls is not None else ()
        for method, web in pool.web_methods.items():
            label = label_of(app.name, name, method, own=web.label, suffix=suffix)
            yield Route(label, pool.id, method, web, app.id, app.name, spec.name, spec.timeout_s, parameters)

    # ------------------------------------------------------------ URLs

    def find_url(self, client: int, message: GetWebUrl) -> None:
        """Tell a client where a web function answers; if no edge is there yet, when one is."""
        pool, edge = self._ledger.pools.get(message.function_id), self.edge
        if pool is None:
            text = f"function {message.function_id} does not exist; is its app running?"
            self._fail(client, message, NotFoundError(text))
        elif message.method not in pool.web_methods:
            self._ledger.tell(client, WebUrl(message.request, ""))
        elif edge.url:
            route = next(route for route in self._routes_of(pool) if route.method == message.method)
            self._ledger.tell(client, WebUrl(message.request, f"{edge.url}/{route.label}"))
        elif edge.trouble:
            self._fail(client, message, ServiceError(f"nothing answers HTTP: {edge.trouble}"))
        elif not self._ledger.settings.web:
            self._fail(client, message, InvalidError("the server does not listen for HTTP: start it with SWELL_WEB=1"))
        else:
            self._waiting.append((client, message))
            self._want_edge()

    def urls(self, app: App) -> dict[str, str]:
        """Return where the web functions of an app answer, by name; none as long as nothing listens."""
        url = self.edge.url
        return {_name_of(route): f"{url}/{route.label}" for route in self.routes() if url and route.app_id == app.id}

    def urls_by_function(self) -> dict[str, str]:
        """Return where functions answer, by id; of a class with several web methods, where the first does."""
        url = self.edge.url
        found: dict[str, str] = {}
        for route in self.routes() if url else ():
            found.setdefault(route.function_id, f"{url}/{route.label}")
        return found

    def _fail(self, client: int, message: GetWebUrl, error: Error) -> None:
        self._ledger.tell(client, Failed(message.request, *to_wire(error)))


def _name_of(route: Route) -> str:
    name = route.function_name.removesuffix(".*")
    return f"{name}.{route.method}" if route.method else name
