"""Asks the server for the URL of a web function. This module must not know how one is declared, or what serves it."""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec

from swell.errors import ServiceError
from swell.sdk.connection.link import Link
from swell.sdk.declare.parameters import format_parameter
from swell.wire.web import GetWebUrl, WebUrl

__all__ = ["web_url"]

PATIENCE_S: Final = 30.0  #: for an edge that has just been started


async def web_url(link: Link, function_id: str, method: str, parameters: bytes, defaults: bytes) -> str | None:
    """Return the URL of a web function.

    Args:
        link: The link to the server.
        function_id: Id of the function, or of the class with its default parameters.
        method: Name of the method; "" for a function.
        parameters: Parameters of the class, encoded.
        defaults: Its default parameters, encoded.

    Raises:
        ServiceError: nothing listens for HTTP; says why.
    """
    until = time.monotonic() + PATIENCE_S
    try:
        answer = await link.ask(WebUrl, lambda request: GetWebUrl(request, function_id, method), until=until)
    except TimeoutError:
        raise ServiceError(
            f"nothing listens for HTTP after {PATIENCE_S:g} s: the server's log tells why its edge does not start"
        ) from None
    return answer.url + _query(parameters, defaults) if answer.url else None


def _query(parameters: bytes, defaults: bytes) -> str:
    if parameters == defaults:
        return ""
    from urllib.parse import urlencode  # only here: it takes its time to load

    values: dict[str, Any] = msgspec.msgpack.decode(parameters)
    known: dict[str, Any] = msgspec.msgpack.decode(defaults) if defaults else {}
    return "?" + urlencode(
        {name: format_parameter(value) for name, value in values.items() if known.get(name) != value}
    )
