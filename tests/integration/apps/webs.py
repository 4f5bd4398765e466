"""Web functions of every kind, for tests of the edge: what they do, they are told in the request."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

from patience import timeout_s

import swell

app = swell.App("webs")

Scope = dict[str, Any]


async def body_of(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client left in the middle of its body")
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def answer(send: Any, body: bytes | object = b"", status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    length = (b"content-length", b"%d" % len(data))
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": data})


async def site_app(scope: Scope, receive: Any, send: Any) -> None:
    """Do what the path says; a name in the query is that of a file through which a test and this talk."""
    if scope["type"] == "lifespan":
        raise NotImplementedError
    if scope["type"] == "websocket":
        await _websocket(scope, receive, send)
        return
    name = scope["query_string"].decode().partition("&")[0]
    match scope["path"].removeprefix(scope["root_path"]):
        case "/":
            headers = {key.decode(): value.decode() for key, value in scope["headers"]}
            told = {
                "method": scope["method"],
                "path": scope["path"],
                "root": scope["root_path"],
                "query": scope["query_string"].decode(),
                "client": scope["client"][0],
                "headers": headers,
                "body": (await body_of(receive)).decode(),
                "pid": os.getpid(),
                "input": swell.current_function_call_id(),
            }
            await answer(send, told, 200, (b"content-type", b"application/json"))
        case "/wait":  # until the file is there
            _note(name, "began")
            await _await_go(name, 1)
            _note(name, "ended")
            await answer(send, b"waited")
        case "/stubborn":  # likewise, come what may
            _note(name, "began")
            is_over = False
            while not is_over:
                with contextlib.suppress(asyncio.CancelledError):
                    await _await_go(name, 1)
                    is_over = True
            _note(name, "ended")
            await answer(send, b"stubborn")
        case "/until-gone":
            await body_of(receive)
            _note(name, "began")
            assert (await receive())["type"] == "http.disconnect"
            _note(name, "told")
        case "/items":  # one each time that the file has grown
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}
            )
            for number in range(3):
                await _await_go(name, number + 1)
                await send({"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        case "/echo":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            more = True
            while more:
                message = await receive()
                more = message.get("more_body", False)
                await send({"type": "http.response.body", "body": message.get("body", b""), "more_body": more})
        case "/count":
            size, more = 0, True
            while more:
                message = await receive()
                size, more = size + len(message.get("body", b"")), message.get("more_body", False)
            await answer(send, size)
        case "/large":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(int(name)):
                await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        case "/block":  # more than a client takes that does not read, less than is read from here at once
            _note(name, "began")
            await answer(send, bytes(150_000))
        case "/halves":  # one long after the other
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"1", "more_body": True})
            _note(name, "began")
            await asyncio.sleep(0.2)
            await send({"type": "http.response.body", "body": b"2"})
        case "/half":  # and never the other
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
            await send({"type": "http.response.body", "body": b"12345", "more_body": True})
            _note(name, "began")
            await asyncio.sleep(3_600)
        case "/sleep":
            await asyncio.sleep(float(name))
            await answer(send, b"slept")
        case "/nothing":
            await answer(send, b"", 204)
        case "/raise":
            raise LookupError("as it must")
        case _:
            await answer(send, b"no such page", 404)


def _note(name: str, what: str) -> None:
    with open(f"{name}.{what}", "a") as file:
        file.write(f"{os.getpid()}\n")


async def _await_go(name: str, times: int) -> None:
    go = Path(f"{name}.go")
    while not (go.exists() and len(go.read_text()) >= times):  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.002)


async def _websocket(scope: Scope, receive: Any, send: Any) -> None:
    assert (await receive())["type"] == "websocket.connect"
    offered = scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": offered[0] if offered else None})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text") or ""
        verb, _, name = text.partition(" ")
        if verb in ("deaf", "stubborn"):  # until the file is there; the latter come what may
            _note(name, "began")
            is_over = False
            while not is_over:
                with contextlib.suppress(asyncio.CancelledError) if verb == "stubborn" else contextlib.nullcontext():
                    await _await_go(name, 1)
                    is_over = True
            _note(name, "ended")
        if text == "close":
            await send({"type": "websocket.close", "code": 4321, "reason": "as you wish"})
            return
        await send({"type": "websocket.send", "text": f"{text}!"})


@app.function(max_containers=1)
@swell.concurrent(max_inputs=50)
@swell.asgi_app()
def site() -> object:
    return site_app


@app.function(max_containers=1)
@swell.asgi_app()
def single() -> object:
    return site_app


@app.function(max_containers=1)
@swell.concurrent(max_inputs=3)
@swell.asgi_app(label="three")
def three() -> object:
    return site_app


@app.function(timeout=timeout_s(), startup_timeout=300, max_containers=1)
@swell.concurrent(max_inputs=10)
@swell.asgi_app()
def hasty() -> object:
    return site_app


@app.function()
@swell.asgi_app(requires_proxy_auth=True)
def private() -> object:
    return site_app


@app.function()
@swell.wsgi_app()
def classic() -> object:
    def classic_app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode(), b" ", environ["wsgi.input"].read()]

    return classic_app


@app.function(timeout=timeout_s(), startup_timeout=300, max_containers=1)
@swell.wsgi_app()
def hasty_classic() -> object:
    def hasty_app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        name = environ["QUERY_STRING"]
        while name and not Path(f"{name}.go").exists():
            time.sleep(0.002)
        start_response("200 OK", [])
        return [b"quick"]

    return hasty_app


@app.function()
@swell.fastapi_endpoint(method="POST")
def double(x: int) -> int:
    return 2 * x


@app.function()
@swell.web_server(8_000)
def served() -> None:
    import subprocess
    import sys

    subprocess.Popen([sys.executable, "-m", "http.server", "8000", "--directory", os.path.dirname(__file__)])


@app.cls()
class Shop:
    size: int = swell.parameter(default=1)
    name: str = swell.parameter(default="corner")

    @swell.fastapi_endpoint()
    def look(self) -> dict[str, Any]:
        return {"size": self.size, "name": self.name, "at": time.time()}

    @swell.method()
    def sell(self) -> int:
        return self.size


@app.cls()
class Strict:
    key: str = swell.parameter()

    @swell.fastapi_endpoint()
    def look(self) -> str:
        return self.key


@app.function()
@swell.asgi_app()
def broken() -> object:
    raise LookupError("there is no app")
