"""Bodies of requests and answers: they flow, they wait for their reader, and they end with their client."""

from __future__ import annotations

import contextlib
import socket

import pytest
from web_program import FRAME, PATIENCE_S, Start, await_that, function, receive_answer, websocket


def test_an_answer_arrives_while_it_is_made(start: Start) -> None:
    code = (
        FRAME
        + """
async def app(scope, receive, send):
    if scope["type"] != "http": raise NotImplementedError
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for number in range(3):
        await send({"type": "http.response.body", "body": b"data: %d\\n\\n" % number, "more_body": True})
        await await_file(f"go{number}")
    await send({"type": "http.response.body", "body": b""})
def f(): return app
"""
    )
    peer = start(function(), code)
    peer.ready()
    with contextlib.closing(peer.http()) as connection:
        connection.request("GET", "/")
        answer = connection.getresponse()
        for number in range(3):
            assert answer.readline() == b"data: %d\n" % number
            assert answer.readline() == b"\n"
            peer.mark(f"go{number}").touch()
        assert answer.read() == b""


def test_a_body_arrives_while_it_is_sent(start: Start) -> None:
    code = (
        FRAME
        + """
async def app(scope, receive, send):
    if scope["type"] != "http": raise NotImplementedError
    pieces = []
    while not pieces or pieces[-1]:
        message = await receive()
        pieces.append(message["body"].decode())
        reached(f"got-{message['body'].decode()}")
    await answer(send, pieces)
def f(): return app
"""
    )
    peer = start(function(), code)
    peer.ready()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_S)
        client.connect(peer.socket_path())
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        for piece in (b"one", b"two"):
            client.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
            await_that(peer.mark(f"got-{piece.decode()}").exists, "it does not arrive before the others")
        client.sendall(b"0\r\n\r\n")
        assert b'["one", "two", ""]' in receive_answer(client)


COUNTS = (
    FRAME
    + """
async def app(scope, receive, send):
    if scope["type"] != "http": raise NotImplementedError
    if scope["path"] == "/unread": await await_file("go")
    size, more = 0, scope["method"] == "POST"
    while more:
        message = await receive()
        size, more = size + len(message["body"]), message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(200 if scope["path"] == "/large" else 0):
        await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
        if number == 100: reached("halfway")
    with open("/proc/self/status") as status:
        peak_kb = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    await send({"type": "http.response.body", "body": b"%d %d" % (size, peak_kb)})
def f(): return app
"""
)


def test_large_bodies_are_not_held(start: Start) -> None:
    peer = start(function(), COUNTS)
    peer.ready()
    with contextlib.closing(peer.http()) as connection:
        connection.request(
            "POST",
            "/large",
            (bytes(1 << 20) for _ in range(200)),
            encode_chunked=True,
            headers={"Transfer-Encoding": "chunked"},
        )
        received = connection.getresponse().read()
    size, peak_kb = map(int, received[200 << 20 :].split())
    assert size == 200 << 20
    assert peak_kb < 150_000


def test_an_answer_waits_for_its_reader(start: Start) -> None:
    peer = start(function(), COUNTS)
    peer.ready()
    with contextlib.closing(peer.http()) as connection:
        connection.request("GET", "/large")
        answer = connection.getresponse()
        assert peer.ask()[0] == 200, "another request is not held up"
        assert not peer.mark("halfway").exists()
        assert len(answer.read()) > 200 << 20
    assert peer.mark("halfway").exists()


def test_a_body_waits_for_its_handler(start: Start) -> None:
    peer = start(function(), COUNTS)
    peer.ready()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(peer.socket_path())
        client.settimeout(1)
        client.sendall(b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (100 << 20))
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 100 << 20:
                sent += client.send(bytes(1 << 16))
        assert sent < 8 << 20
        peer.mark("go").touch()
        client.settimeout(PATIENCE_S)
        client.sendall(bytes((100 << 20) - sent))
        assert b"%d " % (100 << 20) in receive_answer(client)


def test_a_handler_is_told_that_its_client_has_gone(start: Start) -> None:
    code = (
        FRAME
        + """
async def app(scope, receive, send):
    if scope["type"] != "http": raise NotImplementedError
    await body_of(receive)
    reached("called")
    assert (await receive())["type"] == "http.disconnect"
    await answer(send, b"to nobody")
    reached("told")
def f(): return app
"""
    )
    peer = start(function(), code)
    peer.ready()
    with contextlib.closing(peer.http()) as connection:
        connection.request("POST", "/", b"x")
        await_that(peer.mark("called").exists, "never called")
    await_that(peer.mark("told").exists, "never told")
    assert peer.end()[::2] == (0, "")


def test_a_connection_ends_with_the_handler_when_its_client_has_left(start: Start) -> None:
    """The edge half-closes it, and gives the slot to another request when it sees its end."""
    code = (
        FRAME
        + """
async def app(scope, receive, send):
    if scope["type"] != "http": raise NotImplementedError
    while (await receive())["type"] != "http.disconnect": pass
    reached("told")
    await await_file("go")
    await answer(send, b"nobody reads this")
    reached("ended")
def f(): return app
"""
    )
    peer = start(function(), code)
    peer.ready()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(peer.socket_path())
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        await_that(peer.mark("told").exists, "never told")
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(1)
        peer.mark("go").touch()
        client.settimeout(PATIENCE_S)
        assert client.recv(1) == b""
    assert peer.mark("ended").exists()
    assert peer.end()[::2] == (0, "")


def test_an_endless_answer_holds_up_nobody_when_its_client_has_gone(start: Start) -> None:
    code = (
        FRAME
        + """
async def app(scope, receive, send):
    if scope["type"] == "lifespan": raise NotImplementedError
    if scope["path"] == "/": return await answer(send, b"fine")
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        while True: await send({"type": "websocket.send", "bytes": bytes(1000)})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True: await send({"type": "http.response.body", "body": bytes(1000), "more_body": True})
def f(): return app
"""
    )
    peer = start(function(), code)
    peer.ready()
    with contextlib.closing(peer.http()) as connection:
        connection.request("GET", "/endless")
        assert len(connection.getresponse().read(10_000)) == 10_000
    with websocket(peer, "/endless") as ws:
        for _ in range(100):
            assert ws.recv(PATIENCE_S) == bytes(1000)
        ws.socket.shutdown(socket.SHUT_RDWR)
    assert [peer.ask() for _ in range(20)] == [(200, b"fine")] * 20
    assert peer.end(grace_s=1.0)[0] == 0
