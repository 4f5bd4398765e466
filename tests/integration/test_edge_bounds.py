"""What the edge keeps in memory has a bound, whatever its clients and containers send, or do not read."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import hostile as h
import pytest
from edge_client import PATIENCE_S, ask, await_idle, edge_of, raw, read_all, read_until, request, url_of

import swell

PIECE = 1 << 16
MUCH = 96 << 20  #: bytes that are sent where nothing bounds them
GROWTH_MAX = 32 << 20
CONNECTIONS = 4
OFFER = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA==",
)
PUSHED_BACK_S = 1.0  #: without a byte taken: the other side reads no more


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> swell.App:
    return run_app(h.app, web_rate=1e6, cancel_grace_s=2.0)


@pytest.fixture
def url() -> str:
    """That of a server which answers, and has nothing else to do."""
    url = url_of(h.hostile)
    assert ask(f"{url}/wake").body == b"hi"
    await_idle(h.hostile)
    return url


@contextlib.contextmanager
def little_memory() -> Iterator[None]:
    """What happens meanwhile costs the edge little memory."""
    edge, is_over = edge_of(h.app), threading.Event()
    before = most = edge.memory_info().rss

    def watch() -> None:
        nonlocal most
        while not is_over.wait(0.005):
            most = max(most, edge.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()
    assert most - before < GROWTH_MAX, f"{(most - before) >> 20} MiB more"


def send_much(client: socket.socket, piece: bytes) -> int:
    """Send until enough is sent, or nothing more is taken; return how much was."""
    client.settimeout(PUSHED_BACK_S)
    sent = 0
    with contextlib.suppress(OSError):
        while sent < MUCH:
            sent += client.send(piece)
    return sent


# ---------------------------------------------------------------- clients


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"0\r\nT: ", b"t" * PIECE),
        (b"0\r\n", b"T: 1\r\n" * (PIECE // 6)),
        (b"1;", b"e" * PIECE),
        (b"", b"1;eeeeeeee\r\nx\r\n" * (PIECE // 15)),
        (b"", b"0" * PIECE),
    ],
    ids=["trailer line", "trailer", "extension", "extensions", "size"],
)
def test_what_belongs_to_chunks_has_a_bound(url: str, begin: bytes, piece: bytes) -> None:
    with little_memory(), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(raw(url)) for _ in range(CONNECTIONS)]
        for client in clients:
            client.sendall(request(url, "/silent", "POST", "Transfer-Encoding: chunked") + begin)
        for client in clients:
            send_much(client, piece)
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 400")


def test_a_client_that_sends_requests_and_reads_no_answer_is_held_back(url: str) -> None:
    """Not even answers of the edge's own wait for it without a bound."""
    with little_memory(), socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect((urlsplit(url).hostname, urlsplit(url).port))
        sent = send_much(client, b"GET /no-such-label HTTP/1.1\r\nHost: x\r\n\r\n" * 1_000)
        assert sent < MUCH, "it is all taken"
    assert ask(f"{url}/").body == b"hi"


def test_requests_that_come_ahead_are_all_answered(url: str) -> None:
    """However many there are: what is too much for now waits, and is not thrown away."""
    many = 2_000
    with raw(url) as client:
        sender = threading.Thread(target=client.sendall, args=(b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n" * many,))
        sender.start()
        client.settimeout(PATIENCE_S)
        data = b""
        while data.count(b"HTTP/1.1 404") < many:
            part = client.recv(1 << 16)
            assert part, f"the connection ended after {data.count(b'HTTP/1.1 404')} answers"
            data += part
        sender.join()


def test_what_comes_before_a_switch_of_protocols_has_a_bound(url: str) -> None:
    with little_memory(), raw(url) as client:
        client.sendall(request(url, "/silent", "GET", *OFFER))
        send_much(client, bytes(PIECE))
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 400")


# ---------------------------------------------------------------- containers


@pytest.mark.parametrize("mode", ["head", "fields", "interims"])
def test_a_head_that_does_not_end_is_a_bad_answer(url: str, mode: str) -> None:
    with little_memory(), raw(url) as client:
        client.sendall(request(url, f"/{mode}", "GET", "Connection: close"))
        data = read_all(client)
    assert data.count(b"HTTP/1.1 103") <= 64
    last = data.rpartition(b"HTTP/1.1 ")[2]
    assert last.startswith(b"502")
    assert b"may have" in last or b"more than" in last


@pytest.mark.parametrize("mode", ["trailer", "trailer-line", "extension", "extensions"])
def test_what_belongs_to_the_chunks_of_an_answer_has_a_bound(url: str, mode: str) -> None:
    with little_memory(), raw(url) as client:
        client.sendall(request(url, f"/{mode}"))
        data = b""
        with contextlib.suppress(ConnectionError):
            while part := client.recv(1 << 16):
                data += part
    assert data.startswith(b"HTTP/1.1 200")
    assert not data.endswith(b"0\r\n\r\n"), "it is taken for complete"


@pytest.mark.parametrize("mode", ["lengths", "switch"])
def test_an_answer_that_can_be_read_in_two_ways_is_a_bad_answer(url: str, mode: str) -> None:
    assert ask(f"{url}/{mode}").status == 502


def test_an_answer_that_is_cut_off_is_not_taken_for_complete(url: str) -> None:
    with raw(url) as client:
        client.sendall(request(url, "/cut"))
        data = b""
        with contextlib.suppress(ConnectionError):
            while part := client.recv(1 << 16):
                data += part
    assert data.endswith(b"\r\n\r\n12345")


def test_an_answer_too_many_reaches_nobody(url: str) -> None:
    for _ in range(5):
        assert ask(f"{url}/").body == b"hi"


# ---------------------------------------------------------------- tunnels


def test_a_client_that_does_not_read_its_tunnel_holds_its_container_back(url: str) -> None:
    with little_memory(), raw(url) as client:
        client.sendall(request(url, "/flood", "GET", *OFFER))
        assert b"101" in read_until(client, b"\r\n\r\n")
        received, size = 0, h.ENDLESS // 4
        client.settimeout(PATIENCE_S)
        threading.Event().wait(PUSHED_BACK_S)  # nobody reads
        while received < size:
            received += len(client.recv(1 << 20))


def test_a_container_that_does_not_read_its_tunnel_holds_its_client_back(url: str) -> None:
    with little_memory(), raw(url) as client:
        client.sendall(request(url, "/deaf", "GET", *OFFER))
        assert b"101" in read_until(client, b"\r\n\r\n")
        assert send_much(client, bytes(PIECE)) < MUCH, "it is all taken"


# ---------------------------------------------------------------- logs


def test_bad_requests_and_bad_answers_leave_no_traceback(
    url: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    capfd.readouterr()
    for line in (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: \xc2\xb2\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: [\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 as TLS begins\r\n\r\n",
    ):
        with raw(url) as client:
            client.sendall(line)
            with contextlib.suppress(ConnectionError):
                assert client.recv(1 << 16).startswith((b"HTTP/1.1 400", b"HTTP/1.1 505"))
    ask(f"{url}/lengths")
    written = capfd.readouterr().err
    assert "Traceback" not in written
    assert len(written.splitlines()) <= 1, written
