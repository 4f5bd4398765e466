"""WebSockets of a container."""

from __future__ import annotations

import json
import socket

import pytest
from web_program import FRAME, PATIENCE_S, Start, await_that, function, websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus

SOCKETS = (
    FRAME
    + """
async def app(scope, receive, send):
    if scope["type"] == "http": return await answer(send, "fine")
    if scope["type"] != "websocket": raise NotImplementedError
    assert (await receive())["type"] == "websocket.connect"
    path = scope["path"]
    if path == "/refuse": return await send({"type": "websocket.close"})
    chosen = {"subprotocol": scope["subprotocols"][-1]} if scope["subprotocols"] else {}
    await send({"type": "websocket.accept", **chosen})
    if path == "/fail": raise LookupError("mid-way")
    if path == "/bye": return await send({"type": "websocket.close", "code": 4001, "reason": "enough"})
    if path == "/who":
        headers = [name.decode() for name, _ in scope["headers"]]
        await send({"type": "websocket.send", "text": json.dumps([current_input_id(), scope["scheme"], headers])})
    if path == "/flood":
        while True:
            await send({"type": "websocket.send", "bytes": bytes(1 << 20)})
            reached("flooding")
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
    reached(f"gone-{message['code']}")
def f(): return app
"""
)


def test_websockets_talk(start: Start) -> None:
    peer = start(function(), SOCKETS)
    peer.ready()
    with websocket(peer, subprotocols=["one", "two"]) as ws:
        assert ws.subprotocol == "two"
        assert ws.response is not None
        assert "sec-websocket-extensions" not in ws.response.headers, "nothing is compressed"
        for message in ("text", b"bytes", "", "ü" * 500_000, bytes(2 << 20), ["in ", "three ", "pieces"]):
            ws.send(message)
            assert ws.recv(PATIENCE_S) == ("".join(message) if isinstance(message, list) else message)
    await_that(peer.mark("gone-1000").exists, "the app was not told")
    assert peer.end()[::2] == (0, "")


def test_a_websocket_is_an_input(start: Start) -> None:
    peer = start(function(), SOCKETS)
    peer.ready()
    said = {"x-swell-input": "fc-3", "x-forwarded-proto": "https"}
    with websocket(peer, "/who", additional_headers=said) as ws:
        input_id, scheme, headers = json.loads(ws.recv(PATIENCE_S))
    assert (input_id, scheme) == ("in-3:0", "wss")
    assert not [name for name in headers if name.startswith("x-swell")]


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_message_has_at_most_two_megabytes(start: Start, pieces: int) -> None:
    peer = start(function(), SOCKETS)
    peer.ready()
    size = (2 << 20) + 1
    with websocket(peer) as ws, pytest.raises(ConnectionClosed):  # with 1009, if it is not lost with what was unread
        ws.send(bytes(size) if pieces == 1 else [bytes(size // 2), bytes(size // 2), b"xx"])
        ws.recv(PATIENCE_S)
    await_that(peer.mark("gone-1009").exists, "the app was not told")


def test_an_app_refuses_and_closes(start: Start) -> None:
    peer = start(function(), SOCKETS)
    peer.ready()
    with pytest.raises(InvalidStatus) as refused, websocket(peer, "/refuse"):
        pass
    assert refused.value.response.status_code == 403
    with websocket(peer, "/bye") as ws, pytest.raises(ConnectionClosed) as closed:
        ws.recv(PATIENCE_S)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "enough")


def test_a_failing_handler_ends_its_websocket_only(start: Start) -> None:
    peer = start(function(), SOCKETS)
    peer.ready()
    with websocket(peer) as other:
        with websocket(peer, "/fail") as ws, pytest.raises(ConnectionClosed):
            ws.recv(PATIENCE_S)
        other.send("still there")
        assert other.recv(PATIENCE_S) == "still there"
    assert peer.end()[2].count("LookupError: mid-way") == 1


def test_a_client_that_is_gone_is_noticed(start: Start) -> None:
    peer = start(function(), SOCKETS)
    peer.ready()
    with websocket(peer) as ws:
        ws.socket.shutdown(socket.SHUT_RDWR)
        await_that(peer.mark("gone-1005").exists, "the app was not told")
    with websocket(peer, "/flood") as ws:
        await_that(peer.mark("flooding").exists, "nothing comes")
        ws.socket.shutdown(socket.SHUT_RDWR)
    assert peer.end()[0] == 0
