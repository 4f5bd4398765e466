"""Intake: every request passes it on its way to the user's app, and becomes an input there.

What the edge says of a request, it says in headers. Those called x-swell-… are between it and us, and the app does not
see them. This module must not know which app it is, or how requests arrive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from uvicorn.protocols.utils import ClientDisconnected

from swell.runner.outcome import print_exception
from swell.wire.context import current

__all__ = ["AsgiApp", "Intake", "Receive", "Scope", "Send"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_PRIVATE: Final = b"x-swell-"
_INPUT: Final = b"x-swell-input"  #: id of the call whose only input the request is
_SCHEMES: Final = {b"http": ("http", "ws"), b"https": ("https", "wss")}
_TURN: Final = 8  #: messages of an answer that may be sent in one go
_SOMEBODY: Final = ("127.0.0.1", 0)  #: who makes a request that names nobody: someone on this machine


class Intake:
    """An ASGI app around the user's.

    Args:
        app: The user's.
        interrupt: Makes the container leave: called when the app raises KeyboardInterrupt.
    """

    def __init__(self, app: AsgiApp, interrupt: Callable[[], None]) -> None:
        self._app = app
        self._interrupt = interrupt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the app for one request, as the input that it is."""
        current.set(_taken_in(scope))
        try:
            await self._app(scope, receive, _Courteous(send))
        except KeyboardInterrupt:
            self._interrupt()
            await asyncio.Future[None]()  # there is to be no answer; the container cuts the connection
        except (asyncio.CancelledError, ClientDisconnected):
            raise
        except BaseException as error:
            print_exception(error)
            raise  # what is around us answers 500, if that can still be done


class _Courteous:
    """A `send` that lets others have their turn, however much is sent.

    One that never waits, because the client reads fast or is no longer there, would keep the loop from everything else;
    even from hearing that the client has gone.
    """

    __slots__ = ("_count", "_send")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._count = 0

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        self._count += 1
        if self._count % _TURN == 0:
            await asyncio.sleep(0)
        await self._send(message)


def _taken_in(scope: Scope) -> tuple[str, int] | None:
    """Put into a request's scope what its headers tell, and return the input that it is, if it says so."""
    kept: list[tuple[bytes, bytes]] = []
    call_id = host = forwarded_for = proto = b""
    for header in scope["headers"]:
        name, value = header
        if name.startswith(_PRIVATE):
            if name == _INPUT:
                call_id = value
            continue
        kept.append(header)
        if name == b"host":
            host = value
        elif name == b"x-forwarded-for":
            forwarded_for = value
        elif name == b"x-forwarded-proto":
            proto = value
    scope["headers"] = kept
    if proto in _SCHEMES:
        scope["scheme"] = _SCHEMES[proto][scope["type"] == "websocket"]
    # The last entry is the one that the edge has added, and the only one that is more than hearsay.
    client = forwarded_for.rpartition(b",")[2].strip().decode("latin-1")
    scope["client"] = (client, 0) if client else _SOMEBODY
    scope["server"] = _server(host.decode("latin-1"), is_secure=scope["scheme"] in ("https", "wss"))
    return (call_id.decode("latin-1"), 0) if call_id else None


def _server(host: str, *, is_secure: bool) -> tuple[str, int]:
    """Return what a Host header names: apps expect a host and a port, not the path of a socket."""
    name, colon, port = host.rpartition(":")
    if colon and port.isascii() and port.isdigit():
        return name.strip("[]"), int(port)
    return host.strip("[]") or "localhost", 443 if is_secure else 80
