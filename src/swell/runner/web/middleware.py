"""ASGI middleware: every request passes it on its way to the user's app, and becomes an input there.

The edge describes a request in headers. Those called x-swell-… are between the edge and this module, and the app does
not see them. This module must not know which app it is, or how requests arrive.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from uvicorn.protocols.utils import ClientDisconnected

from swell.bounds import whole_number
from swell.logs import PeerLog
from swell.runner.result_codec import print_exception
from swell.wire.context import current

__all__ = ["AsgiApp", "Receive", "RequestMiddleware", "Scope", "Send"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_PRIVATE: Final = b"x-swell-"
_INPUT: Final = b"x-swell-input"  #: id of the call whose only input the request is
_ROOT: Final = b"x-swell-root"  #: what the edge has cut off the front of the path: /label; the app makes links with it
_READ: Final = frozenset((b"host", b"x-forwarded-for", b"x-forwarded-proto", _INPUT, _ROOT))
_SCHEMES: Final = {b"http": ("http", "ws"), b"https": ("https", "wss")}
_DISCONNECTS: Final = (("starlette.requests", "ClientDisconnect"), ("starlette.websockets", "WebSocketDisconnect"))
_MESSAGES_PER_TURN: Final = 8  #: messages of a response that are sent before others have their turn
_UNKNOWN_CLIENT: Final = ("127.0.0.1", 0)  #: the client of a request that names none: somebody on this machine


class RequestMiddleware:
    """An ASGI app around the user's.

    Args:
        app: The user's.
        interrupt: Shuts the container down: called when the app raises KeyboardInterrupt.
        peers: Logs errors of clients.
    """

    def __init__(self, app: AsgiApp, interrupt: Callable[[], None], peers: PeerLog) -> None:
        self._app = app
        self._interrupt = interrupt
        self._peers = peers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app for one request, as the input that it is."""
        current.set(_apply_headers(scope))
        try:
            await self._app(scope, receive, _YieldingSend(send))
        except KeyboardInterrupt:
            self._interrupt()
            await asyncio.Future[None]()  # there is to be no response; the container breaks the connection
        except (asyncio.CancelledError, ClientDisconnected):
            raise
        except BaseException as error:
            if _is_client_disconnect(error):
                kind = type(error).__name__
                self._peers.warning("client left", "a client left before its handler had ended: %s %s", kind, error)
            else:
                print_exception(error)
            raise  # uvicorn responds with 500, if nothing has been sent yet


def _is_client_disconnect(error: BaseException) -> bool:
    """Tell whether an exception is how Starlette tells a handler that its client has left: no defect of the handler."""
    for module, name in _DISCONNECTS:
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(error, kind):
            return True
    return False


class _YieldingSend:
    """A `send` that yields to the event loop now and then, however much is sent.

    One that never waits, because the client reads fast or is gone, would keep the loop from everything else: even from
    noticing that the client has left.
    """

    __slots__ = ("_count", "_send")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._count = 0

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        self._count += 1
        if self._count % _MESSAGES_PER_TURN == 0:
            await asyncio.sleep(0)
        await self._send(message)


def _apply_headers(scope: Scope) -> tuple[str, int] | None:
    """Move what the edge says in headers into the scope of a request; return the input that it is, if they say so."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    said = {name: value for name, value in headers if name in _READ}
    scope["headers"] = [header for header in headers if not header[0].startswith(_PRIVATE)]
    proto = said.get(b"x-forwarded-proto")
    if proto in _SCHEMES:
        scope["scheme"] = _SCHEMES[proto][scope["type"] == "websocket"]
    # The last entry is the one that the edge has added, and the only one that can be trusted.
    client = said.get(b"x-forwarded-for", b"").rpartition(b",")[2].strip().decode("latin-1")
    scope["client"] = (client, 0) if client else _UNKNOWN_CLIENT
    host = said.get(b"host", b"").decode("latin-1")
    scope["server"] = _server(host, is_secure=scope["scheme"] in ("https", "wss"))
    root = said.get(_ROOT)
    if root is not None:
        scope["root_path"] = root.decode("latin-1")
        scope["path"] = scope["root_path"] + scope["path"]
        scope["raw_path"] = root + scope["raw_path"]
    call_id = said.get(_INPUT)
    return None if call_id is None else (call_id.decode("latin-1"), 0)


def _server(host: str, *, is_secure: bool) -> tuple[str, int]:
    """Return what a Host header names: apps expect a host and a port, not the path of a socket."""
    name, colon, port = host.rpartition(":")
    number = whole_number(port) if colon else None
    if number is not None:
        return name.strip("[]"), number
    return host.strip("[]") or "localhost", 443 if is_secure else 80
