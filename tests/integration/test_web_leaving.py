"""How a container that answers HTTP leaves: what runs may finish."""

from __future__ import annotations

import contextlib
import os

import pytest
from web_program import FRAME, HOLDING, HOLDS, PATIENCE_S, Start, await_that, broken_off, function, websocket
from websockets.exceptions import ConnectionClosed

from swell.model import OutputStatus
from swell.wire.messages import Drain


def test_a_drain_lets_requests_and_calls_finish(start: Start) -> None:
    peer = start(HOLDING, HOLDS)
    peer.ready()
    idle = peer.http("site")
    idle.connect()
    delivery = peer.deliver((5,), method="call")
    with contextlib.closing(peer.http("site")) as connection, contextlib.closing(peer.http("site")) as large:
        connection.request("GET", "/")
        large.request("GET", "/large")
        await_that(lambda: peer.mark("held").exists() and peer.mark("heldlarge").exists(), "never called")
        peer.order(Drain(PATIENCE_S))
        assert idle.sock.recv(1) == b"", "an idle connection is closed"
        idle.close()
        with pytest.raises(OSError, match=r"No such file|refused"):
            peer.ask(method="site")
        peer.mark("go").touch()
        assert connection.getresponse().read() == b"done"
        assert connection.sock is None or connection.sock.recv(1) == b"", "it was the last one on this connection"
        peer.mark("golarge").touch()
        assert len(large.getresponse().read()) == 20 << 20, "what is written is also sent"
    assert peer.results_of(delivery, 1) == [(OutputStatus.SUCCESS, 5)]
    assert peer.wait() == (0, "down\nleft\n", "")


def test_a_drain_lets_websockets_finish(start: Start) -> None:
    peer = start(HOLDING, HOLDS)
    peer.ready()
    with websocket(peer, method="site") as ws:
        peer.order(Drain(PATIENCE_S))
        await_that(lambda: not os.path.exists(peer.socket_path("site")), "it accepts still")
        ws.send("still here")
        assert ws.recv(PATIENCE_S) == "still here"
    assert peer.wait() == (0, "hung up 1000\ndown\nleft\n", "")


def test_a_drain_ends_what_takes_longer_than_the_grace(start: Start) -> None:
    peer = start(HOLDING, HOLDS)
    peer.ready()
    with websocket(peer, method="site") as ws, contextlib.closing(peer.http("site")) as connection:
        connection.request("GET", "/")
        await_that(peer.mark("held").exists, "never called")
        peer.order(Drain(2.0))
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(PATIENCE_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        with broken_off:
            connection.getresponse()
    assert peer.wait() == (0, "hung up 1012\ncancelled\ndown\nleft\n", "")


def test_who_had_connected_before_a_drain_is_served(start: Start) -> None:
    peer = start(
        function(),
        FRAME
        + """
@page
async def app(scope, receive):
    if scope["path"] == "/block":
        reached("blocking")
        while not is_there("go"): time.sleep(0.001)  # the loop sees nothing of what arrives meanwhile
    return "served"
def f(): return app
""",
    )
    peer.ready()
    blocking, waiting = peer.http(), [peer.http() for _ in range(20)]
    blocking.request("GET", "/block")
    await_that(peer.mark("blocking").exists, "never called")
    for connection in waiting:
        connection.request("GET", "/")
    peer.order(Drain(PATIENCE_S))
    peer.mark("go").touch()
    for connection in (blocking, *waiting):
        assert connection.getresponse().read() == b'"served"'
        connection.close()
    assert peer.wait()[0] == 0


@pytest.mark.parametrize("means", ["signal", "twice", "after a drain"])
def test_an_interrupt_breaks_off_requests_and_leaves_in_order(start: Start, means: str) -> None:
    peer = start(HOLDING, HOLDS)
    peer.ready()
    with websocket(peer, method="site") as ws, contextlib.closing(peer.http("site")) as connection:
        connection.request("GET", "/")
        await_that(peer.mark("held").exists, "never called")
        if means == "after a drain":
            peer.order(Drain(PATIENCE_S))
            await_that(lambda: not os.path.exists(peer.socket_path("site")), "it accepts still")
        peer.interrupt()
        if means == "twice":
            peer.interrupt()
        with broken_off:
            connection.getresponse()
        with pytest.raises(ConnectionClosed):
            ws.recv(PATIENCE_S)
    code, out, err = peer.wait()
    assert (code, err) == (0, "")
    assert out.splitlines() == ["cancelled", "down", "left"]
