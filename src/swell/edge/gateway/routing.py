"""From the host, path and query of a request to the function that answers it, and the parameters of its class.

A label is the first part of the path, or of the host name. This module must not know connections.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from swell.bounds import integer
from swell.edge.gateway.http_error import HTTPError
from swell.errors import Error
from swell.model import ParameterSpec
from swell.sdk.declare.parameters import check_parameters, encode_parameters
from swell.wire.web import Route

__all__ = ["Match", "Router", "labels", "parameters_of"]

_TRUE: Final = frozenset(("true", "1", "yes", "on"))
_FALSE: Final = frozenset(("false", "0", "no", "off"))


class Match(NamedTuple):
    """Where a request goes."""

    route: Route
    path: bytes  #: what to ask for there, with the query
    root: bytes  #: what was cut off the front of the path: "/label", or nothing


class Router:
    """Knows the routes."""

    def __init__(self) -> None:
        self._routes: dict[str, Route] = {}

    @property
    def routes(self) -> list[Route]:
        """All that there are."""
        return list(self._routes.values())

    @property
    def labels(self) -> list[str]:
        """All that there are."""
        return sorted(self._routes)

    def learn(self, routes: Sequence[Route]) -> None:
        """Take in all routes there are now."""
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
    encoded = _encoded(route, match.path)
    return b"" if encoded == _defaults(route.parameters) else encoded


def labels(host: bytes, target: bytes) -> tuple[str, str]:
    """Return the labels that a request may name: by its host, which goes first, and by its path; "" for none."""
    first, dot, _ = host.partition(b".")
    path = target.partition(b"?")[0]
    of_path = path[1:].partition(b"/")[0]
    return first.decode("latin-1").lower() if dot else "", of_path.decode("latin-1")


def _encoded(route: Route, target: bytes) -> bytes:
    query = target.partition(b"?")[2].decode("latin-1")
    names = {spec.name: spec for spec in route.parameters}
    owner = route.function_name.removesuffix(".*")
    try:
        given = {
            name: _typed(names[name], text) for name, text in parse_qsl(query, keep_blank_values=True) if name in names
        }
        return encode_parameters(owner, check_parameters(owner, route.parameters, (), given))
    except (Error, TypeError, ValueError) as error:
        raise HTTPError(400, f"{error} (parameters of a class stand in the query of its URL)") from error


def _typed(spec: ParameterSpec, text: str) -> str | int | bool | bytes:
    match spec.kind:
        case "int":
            number = integer(text)
            if number is None:
                raise ValueError(f"{spec.name}={text!r:.100} is no int of 64 bits")
            return number
        case "bool":
            if text.lower() in _TRUE | _FALSE:
                return text.lower() in _TRUE
            raise ValueError(f"{spec.name}={text!r} is neither true nor false")
        case "bytes":
            try:
                return base64.urlsafe_b64decode(text)
            except (binascii.Error, ValueError):
                raise ValueError(f"{spec.name}={text!r} is no URL-safe base64") from None
        case _:
            return text


def _defaults(parameters: Sequence[ParameterSpec]) -> bytes | None:
    """Return the parameters of the base of a class; None if some have to be given."""
    if any(not spec.has_default for spec in parameters):
        return None
    return encode_parameters("", {spec.name: spec.default for spec in parameters})
