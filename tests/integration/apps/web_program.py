"""Programs of a container that answers HTTP, and how a test asks it."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable
from typing import Any

import pytest
from patience import patience, wait_until
from websockets.sync.client import ClientConnection, unix_connect

from swell.model import ClassSpec, Concurrency, FunctionSpec, MethodSpec, Source, WebSpec
from swell.wire import payload
from swell.wire.messages import StartFailed

Start = Callable[..., Any]

PATIENCE_S = patience(60.0)

ASGI, WSGI = WebSpec("asgi"), WebSpec("wsgi")

#: Code for tests to wait in, and a small framework: `@page` answers with what a handler returns.
FRAME = """
import asyncio, functools, json, os, sys, threading, time
from swell.wire.context import current_function_call_id, current_input_id
def reached(name):
    open(name, "w").close()
def is_there(name):
    return os.path.exists(name)
async def await_file(name):
    while not os.path.exists(name): await asyncio.sleep(0.001)
async def body_of(receive):
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body
async def answer(send, body=b"", status=200, headers=()):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body if isinstance(body, bytes) else json.dumps(body).encode()})
def page(handler):
    @functools.wraps(handler)
    async def app(scope, receive, send):
        if scope["type"] == "lifespan": raise NotImplementedError
        await answer(send, await handler(scope, receive))
    return app
"""


def function(web: WebSpec = ASGI, max_inputs: int = 8, **options: Any) -> FunctionSpec:
    return FunctionSpec(
        "f", Source("program", "f"), web=web, concurrency=Concurrency(max_inputs, max_inputs), **options
    )


def cls(*methods: MethodSpec, max_inputs: int = 8) -> FunctionSpec:
    return FunctionSpec(
        "C.*", Source("program", "C"), cls=ClassSpec(methods), concurrency=Concurrency(max_inputs, max_inputs)
    )


def await_that(is_so: Callable[[], bool], what: str) -> None:
    wait_until(is_so, what, pause_s=0.002)


def failure(peer: Any) -> BaseException:
    """What a container that does not start reports."""
    message, data = peer.data.read()
    assert isinstance(message, StartFailed), message
    assert peer.wait()[0] == 1
    error: BaseException = payload.decode_exception(data)
    return error


def websocket(peer: Any, path: str = "/", method: str = "", **options: Any) -> ClientConnection:
    uri = f"ws://site.example{path}"
    return unix_connect(peer.socket_path(method), uri, open_timeout=PATIENCE_S, max_size=None, **options)


def receive_answer(client: socket.socket) -> bytes:
    """What arrives up to the end of a chunked answer."""
    received = b""
    while not received.endswith(b"0\r\n\r\n"):
        piece = client.recv(10_000)
        assert piece, received
        received += piece
    return received


broken_off = pytest.raises((http.client.RemoteDisconnected, ConnectionError))


SEES = (
    FRAME
    + """
@page
async def app(scope, receive):
    seen = {key: scope[key] for key in ("method", "path", "scheme", "client", "server", "root_path", "http_version")}
    seen |= {key: scope[key].decode() for key in ("raw_path", "query_string")}
    seen["headers"] = [[name.decode(), value.decode()] for name, value in scope["headers"]]
    return {**seen, "body": (await body_of(receive)).decode(), "input": current_input_id()}
def f(): return app
"""
)


HOLDS = (
    FRAME
    + """
class C:
    def site(self):
        async def app(scope, receive, send):
            if scope["type"] == "lifespan":
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await receive()
                print("down")
                return await send({"type": "lifespan.shutdown.complete"})
            if scope["type"] == "websocket":
                await send({"type": "websocket.accept"})
                while (message := await receive())["type"] != "websocket.disconnect":
                    if message["type"] == "websocket.receive": await send({**message, "type": "websocket.send"})
                print("hung up", message["code"])
                return
            reached("held" + scope["path"].strip("/"))
            try:
                await await_file("go" + scope["path"].strip("/"))
            except asyncio.CancelledError:
                print("cancelled")
                raise
            await answer(send, b"x" * (20 << 20) if scope["path"] == "/large" else b"done")
        return app
    async def call(self, x):
        await await_file("go")
        return x
    def leave(self): print("left")
    leave.__swell_marks__ = {"exit": {}}
"""
)

HOLDING = cls(MethodSpec("site", web=ASGI), MethodSpec("call", is_async=True))
