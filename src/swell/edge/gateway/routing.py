"""From the host and path of a request to the function that answers it.

A label is the first part of the path, or of the host name. This module must not know connections.
"""

from __future__ import annotations

import base64
import binascii
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from swell.bounds import integer
from swell.edge.gateway.refusal import Refusal
from swell.errors import Error
from swell.model import ParameterSpec
from swell.sdk.parameters import check_parameters, encode_parameters
from swell.wire.web import Route

__all__ = ["Aim", "Router"]

_VARIANTS_MAX: Final = 4_096  #: sets of parameters whose functions are remembered
_TRUE: Final = frozenset(("true", "1", "yes", "on"))
_FALSE: Final = frozenset(("false", "0", "no", "off"))


class Aim(NamedTuple):
    """Where a request goes."""

    route: Route
    path: bytes  #: what to ask for there, with the query
    root: bytes  #: what was cut off the front of the path: "/label", or nothing


class Router:
    """Knows the routes.

    Args:
        bind: Returns the id of a variant of a function, given what it changes.
    """

    def __init__(self, bind: Callable[[str, bytes], Awaitable[str]]) -> None:
        self._bind = bind
        self._routes: dict[str, Route] = {}
        self._variants: OrderedDict[tuple[str, bytes], str] = OrderedDict()

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
        self._variants.clear()  # they may be gone with their apps

    def find(self, host: bytes, target: bytes) -> Aim | None:
        """Return where a request goes; None if there is nothing."""
        first, dot, _ = host.partition(b".")
        if dot:
            route = self._routes.get(first.decode("latin-1").lower())
            if route is not None:
                return Aim(route, target, b"")
        path, mark, query = target.partition(b"?")
        label, slash, rest = path[1:].partition(b"/")
        route = self._routes.get(label.decode("latin-1"))
        if route is None:
            return None
        inner = b"/" + rest if slash else b"/"
        return Aim(route, inner + mark + query, b"/" + label)

    # ------------------------------------------------------------ classes with parameters

    def known(self, aim: Aim) -> str | None:
        """Return the id of the function that answers; None if it has to be asked for."""
        route = aim.route
        if not route.parameters:
            return route.function_id
        encoded = _encoded(route, aim.path)
        if encoded == _defaults(route.parameters):
            return route.function_id
        key = (route.function_id, encoded)
        known = self._variants.get(key)
        if known is not None:
            self._variants.move_to_end(key)
        return known

    async def ask(self, aim: Aim) -> str:
        """Return the id of the function that answers, which has the parameters of a query.

        Raises:
            Refusal: the server has no such function.
        """
        route, encoded = aim.route, _encoded(aim.route, aim.path)
        try:
            found = await self._bind(route.function_id, msgspec.msgpack.encode({"parameters": encoded}))
        except Error as error:
            raise Refusal(404, str(error)) from error
        self._variants[route.function_id, encoded] = found
        if len(self._variants) > _VARIANTS_MAX:
            self._variants.popitem(last=False)
        return found


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
        raise Refusal(400, f"{error} (parameters of a class stand in the query of its URL)") from error


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
