"""From the host, path and query of a request to the function that answers it, and the parameters of its class.

A label is the first part of the path, or of the host name. This module must not know connections.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from swell.edge.gateway.http_error import HTTPError
from swell.edge.parameters import default_parameters, parameters_of_query
from swell.errors import Error
from swell.names import shown_name
from swell.wire.web import Route

__all__ = ["Match", "Router", "labels", "parameters_of"]


class Match(NamedTuple):
    """Where a request goes."""

    route: Route
    path: bytes  #: what to ask for there, with the query
    root: bytes  #: what was cut off the front of the path: "/label", or nothing


class Router:
    """The routes that there are, by their labels."""

    def __init__(self) -> None:
        self._routes: dict[str, Route] = {}

    @property
    def routes(self) -> list[Route]:
        """All routes."""
        return list(self._routes.values())

    @property
    def labels(self) -> list[str]:
        """All labels, in order."""
        return sorted(self._routes)

    def learn(self, routes: Sequence[Route]) -> None:
        """Replace the routes by those that there are now."""
        self._routes = {route.label: route for route in routes}

    def find(self, host: bytes, target: bytes) -> Match | None:
        """Return where a request goes; None if there is nothing."""
        of_host, of_path = labels(host, target)
        route = self._routes.get(of_host)
        if route is not None:
            return Match(route, target, b"")
        route = self._routes.get(of_path)
        if route is None:
            return None
        path, mark, query = target.partition(b"?")
        label, slash, rest = path[1:].partition(b"/")
        inner = b"/" + rest if slash else b"/"
        return Match(route, inner + mark + query, b"/" + label)

    def moved(self, match: Match) -> Match | None:
        """Return where a request goes whose label has another function by now; None if it has not."""
        route = self._routes.get(match.route.label)
        return None if route is None or route.function_id == match.route.function_id else match._replace(route=route)


def parameters_of(match: Match) -> bytes:
    """Return the parameters of a class that a query names, encoded; nothing if those are the defaults, or it has none.

    Raises:
        HTTPError: they are incomplete, or of another type.
    """
    route = match.route
    if not route.parameters:
        return b""
    owner = shown_name(route.function_name)
    query = match.path.partition(b"?")[2].decode("latin-1")
    try:
        encoded = parameters_of_query(owner, route.parameters, query)
    except Error as error:
        raise HTTPError(400, f"{error} (parameters of a class stand in the query of its URL)") from error
    return b"" if encoded == default_parameters(route.parameters) else encoded


def labels(host: bytes, target: bytes) -> tuple[str, str]:
    """Return the labels that a request may name: by its host, which goes first, and by its path; "" for none."""
    first, dot, _ = host.partition(b".")
    path = target.partition(b"?")[0]
    of_path = path[1:].partition(b"/")[0]
    return first.decode("latin-1").lower() if dot else "", of_path.decode("latin-1")
