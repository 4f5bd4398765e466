"""What a client can take of a container: memory, and lines of the log of the app."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from swell.model import Concurrency, FunctionSpec, Source, WebSpec

Start = Callable[..., Any]

PATIENCE_S = 20.0
GROWTH_MAX = 12 << 20  #: bytes that a container may grow by
VOLUME = 4 * GROWTH_MAX
MESSAGE_MAX = 2 << 20  #: bytes of a message
CONT, TEXT, BINARY, PING = 0x0, 0x1, 0x2, 0x9

HANDSHAKE = (
    b"GET %b HTTP/1.1\r\nHost: site.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%b\r\n"
)

APP = """
import asyncio
async def app(scope, receive, send):
    path = scope["path"]
    if scope["type"] == "http":
        if path == "/deaf": await asyncio.sleep(3_600)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while path == "/endless":
            await send({"type": "http.response.body", "body": bytes(1 << 16), "more_body": True})
        await send({"type": "http.response.body", "body": b"well"})
        return
    if scope["type"] != "websocket": raise NotImplementedError
    await receive()
    await send({"type": "websocket.accept"})
    if path == "/deaf": await asyncio.sleep(3_600)
    while path == "/endless":
        await send({"type": "websocket.send", "bytes": bytes(1 << 16)})
    while (message := await receive())["type"] != "websocket.disconnect":
        if path == "/echo": await send({**message, "type": "websocket.send"})
def f(): return app
"""

WSGI = """
import time
def app(environ, start):
    if environ["PATH_INFO"] == "/deaf": time.sleep(3_600)
    start("200 OK", [])
    if environ["PATH_INFO"] == "/endless": return (bytes(1 << 16) for _ in range(1 << 20))
    return [b"well"]
def f(): return app
"""

RELAYED = """
import http.server, socketserver, threading, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        while self.path == "/endless": self.wfile.write(bytes(1 << 16))
        self.wfile.write(b"well")
    def do_POST(self): time.sleep(3_600)
    def log_message(self, *args): pass
class Server(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True
def f():
    threading.Thread(target=Server(("0.0.0.0", 8643), Handler).serve_forever, daemon=True).start()
"""


def function(web: WebSpec) -> FunctionSpec:
    return FunctionSpec("f", Source("program", "f"), web=web, concurrency=Concurrency(32, 32))


def frame(opcode: int, data: bytes = b"", *, is_last: bool = True) -> bytes:
    """A frame of a client, under a mask that changes nothing."""
    assert len(data) < 126
    return bytes(((is_last << 7) | opcode, 0x80 | len(data), 0, 0, 0, 0)) + data


def connect(peer: Any) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(PATIENCE_S)
    client.connect(peer.socket_path())
    return client


def websocket(peer: Any, path: bytes, headers: bytes = b"") -> socket.socket:
    client = connect(peer)
    client.sendall(HANDSHAKE % (path, headers))
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(1)
    assert head.startswith(b"HTTP/1.1 101"), head
    return client


def pour(client: socket.socket, data: bytes, size: int, patience_s: float = 1.0) -> int:
    """Send the same again and again, until so much is sent or the other side takes no more; return how much it was."""
    client.settimeout(patience_s)
    sent = 0
    with contextlib.suppress(OSError):
        while sent < size:
            client.sendall(data)
            sent += len(data)
    client.settimeout(PATIENCE_S)
    return sent


@contextlib.contextmanager
def growth_is_bounded(peer: Any) -> Any:
    """Hold what the container and its children have of memory in the block to what they had, and a bound."""
    processes = [own := psutil.Process(peer.process.pid), *own.children(recursive=True)]
    before = sum(process.memory_info().rss for process in processes)
    yield
    grown = sum(process.memory_info().rss for process in processes) - before
    assert grown < GROWTH_MAX, f"it has grown by {grown:,} bytes"


# ---------------------------------------------------------------- memory


@pytest.mark.timeout(240)
@pytest.mark.parametrize("path", [b"/deaf", b"/endless"])
def test_pongs_that_are_not_read_are_not_kept(start: Start, path: bytes) -> None:
    peer = start(function(WebSpec("asgi")), APP)
    peer.ready()
    with contextlib.closing(websocket(peer, path)) as client, growth_is_bounded(peer):
        assert pour(client, frame(PING, bytes(125)) * 500, VOLUME, PATIENCE_S) >= VOLUME, "reading went on"
    assert peer.ask()[1] == b"well"


def test_the_last_pong_is_sent_when_the_client_reads_again(start: Start) -> None:
    peer = start(function(WebSpec("asgi")), APP)
    peer.ready()
    with contextlib.closing(websocket(peer, b"/echo")) as client:
        pour(client, frame(PING, bytes(125)) * 500, 4 << 20)
        client.sendall(frame(PING, b"the last") + frame(BINARY, b"done"))
        received = b""
        while b"done" not in received:
            received = received[-1_000:] + client.recv(1 << 16)
        assert b"\x8a\x08the last" in received


@pytest.mark.timeout(240)
def test_fragments_cost_no_more_than_their_bytes(start: Start) -> None:
    peer = start(function(WebSpec("asgi")), APP)
    peer.ready()
    count = 300_000  # each of which would take some 60 bytes by itself
    assert count < MESSAGE_MAX, "all of it is one message"
    with contextlib.closing(websocket(peer, b"/")) as client, growth_is_bounded(peer):
        client.sendall(frame(BINARY, is_last=False))
        fragments = frame(CONT, b"x", is_last=False) * 500
        assert pour(client, fragments, count // 500 * len(fragments), PATIENCE_S) >= count
    assert peer.ask()[1] == b"well"


def test_messages_that_are_not_received_are_not_taken(start: Start) -> None:
    peer = start(function(WebSpec("asgi")), APP)
    peer.ready()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(contextlib.closing(websocket(peer, b"/deaf"))) for _ in range(8)]
        with growth_is_bounded(peer):
            for client in clients:
                assert pour(client, frame(TEXT) * 50_000, VOLUME, 0.3) < VOLUME
    assert peer.ask()[1] == b"well"


def test_messages_and_fragments_arrive_whole_however_they_are_cut(start: Start) -> None:
    peer = start(function(WebSpec("asgi")), APP)
    peer.ready()
    sent = b"".join(
        frame(TEXT, b"%03d" % number, is_last=False) + frame(PING) + frame(CONT, b"+", is_last=False) + frame(CONT)
        for number in range(900)
    )
    with contextlib.closing(websocket(peer, b"/echo")) as client:
        client.sendall(sent)
        received = b""
        while b"899+" not in received:
            received += client.recv(1 << 16)
    assert received.replace(b"\x8a\x00", b"") == b"".join(b"\x81\x04%03d+" % number for number in range(900))


@pytest.mark.parametrize(
    ("spec", "code"),
    [(WebSpec("asgi"), APP), (WebSpec("wsgi"), WSGI), (WebSpec("server", port=8643, startup_timeout_s=20.0), RELAYED)],
    ids=["asgi", "wsgi", "server"],
)
def test_a_body_that_is_not_read_and_an_answer_that_is_not_read_wait(start: Start, spec: WebSpec, code: str) -> None:
    peer = start(function(spec), code)
    peer.ready()
    assert peer.ask()[1] == b"well"
    with contextlib.ExitStack() as stack, growth_is_bounded(peer):
        for _ in range(4):
            sender = stack.enter_context(contextlib.closing(connect(peer)))
            sender.sendall(b"POST /deaf HTTP/1.1\r\nHost: site.example\r\nContent-Length: 1000000000\r\n\r\n")
            assert pour(sender, bytes(1 << 16), VOLUME) < VOLUME
            reader = stack.enter_context(contextlib.closing(connect(peer)))
            reader.sendall(b"GET /endless HTTP/1.1\r\nHost: site.example\r\n\r\n")
            assert reader.recv(1_000)
    assert peer.ask()[1] == b"well"


# ---------------------------------------------------------------- what is logged

LEFT = """
import asyncio
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
async def talk(websocket):
    await websocket.accept()
    while True: await websocket.receive_text()
async def take(request):
    return PlainTextResponse(str(len(await request.body())))
def f(): return Starlette(routes=[WebSocketRoute("/", talk), Route("/", take, methods=["GET", "POST"])])
"""


def log_of(peer: Any) -> list[str]:
    """The lines that the container wrote, and what followed a traceback, if there was one."""
    code, _, err = peer.end()
    assert code == 0
    return err.splitlines()


def test_a_flood_of_errors_of_clients_is_a_few_lines(start: Start) -> None:
    peer = start(function(WebSpec("asgi")), LEFT)
    peer.ready()
    for _ in range(30):
        with contextlib.closing(websocket(peer, b"/")) as client:  # no UTF-8
            client.sendall(frame(TEXT, b"\xff\xfe"))
            assert client.recv(100)[2:4] == (1007).to_bytes(2, "big")
        with contextlib.closing(websocket(peer, b"/")) as client:  # no frame of a client
            client.sendall(b"\x81\x01x")
            assert client.recv(100)[2:4] == (1002).to_bytes(2, "big")
        with contextlib.closing(connect(peer)) as client:  # too large for the library
            client.sendall(HANDSHAKE % (b"/", b"X: " + b"x" * 10_000 + b"\r\n"))
            assert client.recv(100).split()[1] == b"431"
        with contextlib.closing(connect(peer)) as client:
            client.sendall(HANDSHAKE % (b"/", b"X: x\r\n" * 200))
            assert client.recv(100).split()[1] == b"431"
        with contextlib.closing(connect(peer)) as client:
            client.sendall(b"POST / HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n")
            assert client.recv(100).split()[1] == b"400"
        websocket(peer, b"/").close()  # the handler raises WebSocketDisconnect
        with contextlib.closing(connect(peer)) as client:  # the handler raises ClientDisconnect
            client.sendall(b"POST / HTTP/1.1\r\nHost: site.example\r\nContent-Length: 10\r\n\r\n12345")
    assert peer.ask()[0] == 200
    lines = log_of(peer)
    assert len(lines) <= 60
    assert not [line for line in lines if "Traceback" in line or line.startswith(" ")], os.linesep.join(lines)
