"""Where a web function answers. This module must not know how it is declared, or what answers there."""

from __future__ import annotations

import base64
import time
from typing import Any, Final

import msgspec

from swell.errors import ServiceError, from_wire
from swell.sdk.connection.link import Link
from swell.wire.messages import Failed
from swell.wire.web import GetWebUrl, WebUrl

__all__ = ["web_url"]

PATIENCE_S: Final = 30.0  #: for an edge that has just been started


async def web_url(link: Link, function_id: str, method: str, parameters: bytes, defaults: bytes) -> str | None:
    """Return the URL of a web function.

    Args:
        link: To the server.
        function_id: Of the function, or of the class without parameters.
        method: Its name, for a method.
        parameters: Of the class, encoded.
        defaults: Likewise, those that it has if none are given.

    Raises:
        ServiceError: nothing listens for HTTP; says why.
    """
    request = link.next_request()
    mailbox = link.open(request)
    try:
        link.send(GetWebUrl(request, function_id, method))
        answer, _ = await link.receive(mailbox, time.monotonic() + PATIENCE_S)
    except TimeoutError:
        raise ServiceError(
            f"nothing listens for HTTP after {PATIENCE_S:g} s: the log of the server says what keeps its edge"
        ) from None
    finally:
        link.close(mailbox)
    if isinstance(answer, Failed):
        raise from_wire(answer.code, answer.text, answer.fields)
    assert isinstance(answer, WebUrl)
    return answer.url + _query(parameters, defaults) if answer.url else None


def _query(parameters: bytes, defaults: bytes) -> str:
    if parameters == defaults:
        return ""
    from urllib.parse import urlencode  # only here: it takes its time to load

    values: dict[str, Any] = msgspec.msgpack.decode(parameters)
    known: dict[str, Any] = msgspec.msgpack.decode(defaults) if defaults else {}
    return "?" + urlencode({name: _text(value) for name, value in values.items() if known.get(name) != value})


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.urlsafe_b64encode(value).decode()
    return str(value).lower() if isinstance(value, bool) else str(value)
