"""What a client without a token can take of the admin port: bytes, patience, connections, memory, lines of the log."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from edge_client import await_that, raw, read_all

APP = Path(__file__).parent / "apps" / "admin_alone.py"
TOKEN = "the-token"
HEAD_MAX = 4_000
BODY_MAX = 20_000
PATIENCE_S = 0.5
CONNECTIONS = 12
DESCRIPTORS = 40
GROWTH_MAX = 64 << 20  #: bytes that the process may grow by
VOLUME = 4 * GROWTH_MAX  #: bytes that clients send meanwhile

SITE = b"Host: localhost\r\n"
BEARER = f"Authorization: Bearer {TOKEN}\r\n".encode()
JSON = b"Content-Type: application/json\r\n"
STOP = b"POST /api/v1/containers/ta-1/stop HTTP/1.1\r\n" + SITE + BEARER + JSON


class Alone:
    """An admin port in a process of its own."""

    def __init__(self, log: Path, *options: str, loop: str = "uvloop", descriptors: int = 0) -> None:
        self._log = log
        with open(log, "w") as file:
            self.process = subprocess.Popen(
                [sys.executable, str(APP), loop, str(descriptors), *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )
        assert self.process.stdout
        self.url = self.process.stdout.readline().strip()
        self.stats = psutil.Process(self.process.pid)

    def cpu_s(self) -> float:
        times = self.stats.cpu_times()
        return times.user + times.system

    def log(self) -> str:
        return self._log.read_text()

    def get(self, path: str = "/healthz") -> bytes:
        """What one request is answered, head and all."""
        with raw(self.url) as client:
            client.sendall(b"GET %b HTTP/1.1\r\n%bConnection: close\r\n\r\n" % (path.encode(), SITE))
            return read_all(client)

    def end(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    """One with narrow bounds."""
    options = {
        "web_head_max": HEAD_MAX,
        "web_head_timeout_s": PATIENCE_S,
        "admin_body_max": BODY_MAX,
        "admin_connections_max": CONNECTIONS,
    }
    alone = Alone(tmp_path_factory.mktemp("alone") / "log", *(f"{name}={value}" for name, value in options.items()))
    yield alone
    alone.end()
    assert "Traceback" not in alone.log()


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    """One with the bounds that it has by default, but for patience: what stalls is not what is tried."""
    alone = Alone(tmp_path_factory.mktemp("usual") / "log", "web_head_timeout_s=600")
    yield alone
    alone.end()
    assert "Traceback" not in alone.log()


def status_of(data: bytes) -> int:
    return int(data.split(b" ", 2)[1])


def code_of(data: bytes) -> str:
    return json.loads(data.partition(b"\r\n\r\n")[2])["error"]["code"]


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize(
    "headers",
    [b"X: " + b"x" * HEAD_MAX + b"\r\n", b"".join(b"X%d: 1\r\n" % n for n in range(HEAD_MAX // 6)), b"a:\r\n" * 200],
    ids=["one long", "many", "more than may be, within the bytes"],
)
def test_a_head_that_is_too_large_is_refused(alone: Alone, headers: bytes) -> None:
    with raw(alone.url) as client:
        client.sendall(b"GET / HTTP/1.1\r\n" + SITE + headers + b"\r\n")
        answer = read_all(client)
    assert (status_of(answer), code_of(answer)) == (431, "RequestSizeError")


def test_a_head_that_is_too_large_is_refused_before_its_end(alone: Alone) -> None:
    with raw(alone.url) as client:
        client.sendall(b"GET / HTTP/1.1\r\n" + SITE + b"X: ")
        for _ in range(2):
            client.sendall(b"x" * (HEAD_MAX // 2))
        assert status_of(read_all(client)) == 431


@pytest.mark.parametrize("target", [b"/" + b"x" * HEAD_MAX, b"/?" + b"x" * HEAD_MAX])
def test_a_target_is_part_of_the_head(alone: Alone, target: bytes) -> None:
    with raw(alone.url) as client:
        client.sendall(b"GET " + target + b" HTTP/1.1\r\n" + SITE + b"\r\n")
        assert status_of(read_all(client)) == 431


@pytest.mark.parametrize("head", [b"POST /healthz HTTP/1.1\r\n" + SITE, STOP], ids=["without a token", "with one"])
def test_a_body_that_says_it_is_too_large_is_refused_at_once(alone: Alone, head: bytes) -> None:
    with raw(alone.url) as client:
        client.sendall(head + b"Content-Length: %d\r\n\r\n" % (BODY_MAX + 1))
        answer = read_all(client)
    assert (status_of(answer), code_of(answer)) == (413, "RequestSizeError")
    assert b"admin_body_max" in answer


def test_a_body_that_turns_out_too_large_is_refused_in_the_middle(alone: Alone) -> None:
    with raw(alone.url) as client:
        client.sendall(STOP + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(BODY_MAX // 1_000 + 1):
            client.sendall(b"3e8\r\n" + b" " * 1_000 + b"\r\n")
        answer = read_all(client)
    assert (status_of(answer), answer.count(b"HTTP/1.1")) == (413, 1)


def test_a_body_of_the_size_that_may_be_is_read(alone: Alone) -> None:
    with raw(alone.url) as client:
        client.sendall(STOP + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % BODY_MAX)
        client.sendall(b"{" + b" " * (BODY_MAX - 2) + b"}")
        assert status_of(read_all(client)) == 503, "there is no server behind it"


# ---------------------------------------------------------------- patience


def test_a_connection_on_which_nothing_is_asked_is_closed(alone: Alone) -> None:
    with raw(alone.url) as client, contextlib.suppress(ConnectionResetError):
        assert read_all(client) == b""


def drip(client: socket.socket, data: bytes) -> bytes:
    """Send byte by byte, each well in time, until the other side has something to say; return that."""
    for byte in data:
        with contextlib.suppress(ConnectionError):
            client.sendall(bytes([byte]))
        if select.select([client], [], [], PATIENCE_S / 10)[0]:
            break
    return read_all(client)


def test_a_head_that_takes_too_long_is_not_waited_for(alone: Alone) -> None:
    with raw(alone.url) as client:
        assert status_of(drip(client, b"GET /healthz HTTP/1.1\r\n" + SITE + b"X: ever\r\n" * 50)) == 408


def test_neither_is_one_that_follows_another_request(alone: Alone) -> None:
    with raw(alone.url) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\n" + SITE + b"\r\n")
        assert client.recv(4_096).startswith(b"HTTP/1.1 200")
        answer = drip(client, b"GET /healthz HTTP/1.1\r\n" + SITE + b"X: ever\r\n" * 50)
        assert status_of(answer[answer.index(b"HTTP/1.1") :]) == 408


@pytest.mark.parametrize("sent", [b"", b"{"])
def test_a_body_that_stalls_is_not_waited_for(alone: Alone, sent: bytes) -> None:
    with raw(alone.url) as client:
        client.sendall(STOP + b"Content-Length: 10\r\n\r\n" + sent)
        assert status_of(read_all(client)) == 408


def test_a_body_that_drips_is_not_waited_for_either(alone: Alone) -> None:
    with raw(alone.url) as client:
        client.sendall(STOP + b"Content-Length: 10000\r\n\r\n")
        assert status_of(drip(client, b" " * 10_000)) == 408


def test_what_follows_an_answer_without_end_is_not_waited_for(alone: Alone) -> None:
    """A request without a token is answered before its body is there."""
    with raw(alone.url) as client:
        client.sendall(b"POST /metrics HTTP/1.1\r\n" + SITE + b"Content-Length: 10000\r\n\r\n")
        assert client.recv(4_096).startswith(b"HTTP/1.1 401")
        with contextlib.suppress(ConnectionResetError):
            read_all(client)


def test_an_answer_that_is_not_read_is_not_kept(alone: Alone) -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        host, _, port = alone.url.removeprefix("http://").rpartition(":")
        client.connect((host, int(port)))
        asset = _asset(alone)
        with contextlib.suppress(ConnectionError):
            client.sendall(b"".join(b"GET %b HTTP/1.1\r\n%b\r\n" % (asset, SITE) for _ in range(40)))
        await_that(lambda: _connections(alone) == 0, "it is still there")


def _asset(alone: Alone) -> bytes:
    """The path of the largest file of the page."""
    from importlib.resources import files

    assets = files("swell.edge.admin").joinpath("assets").iterdir()
    name = max(assets, key=lambda file: len(file.read_bytes())).name
    path = f"/assets/{name}"
    assert len(alone.get(path)) > 100_000
    return path.encode()


def _connections(alone: Alone) -> int:
    return sum(each.status == psutil.CONN_ESTABLISHED for each in alone.stats.net_connections("tcp"))


# ---------------------------------------------------------------- how many


def test_requests_that_are_sent_ahead_are_answered_in_order(alone: Alone) -> None:
    with raw(alone.url) as client:
        paths = [b"/healthz", b"/login", b"/metrics"] * 20
        client.sendall(b"".join(b"GET %b HTTP/1.1\r\n%b\r\n" % (path, SITE) for path in paths))
        client.sendall(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n" + SITE + b"\r\n")
        answers = read_all(client).split(b"HTTP/1.1 ")[1:]
    assert [int(answer.split()[0]) for answer in answers] == [200, 403, 401] * 20 + [200]


def test_one_connection_more_than_may_be_is_refused_and_silent_ones_make_room(alone: Alone) -> None:
    with contextlib.ExitStack() as stack:
        began = time.monotonic()
        clients = [stack.enter_context(raw(alone.url)) for _ in range(CONNECTIONS)]
        with raw(alone.url) as one_more:
            answer = read_all(one_more)
        if time.monotonic() - began < PATIENCE_S:  # else the first have been closed on a busy machine
            assert (status_of(answer), code_of(answer)) == (503, "ResourceExhausted")
        for client in clients:
            with contextlib.suppress(ConnectionResetError):
                assert read_all(client) == b""
        assert status_of(alone.get()) == 200


@pytest.fixture(params=["uvloop", "asyncio"])
def few_descriptors(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Alone]:
    """One that may have few descriptors, and waits for its clients for ever, as far as a test goes."""
    alone = Alone(tmp_path / "log", "web_head_timeout_s=600", loop=request.param, descriptors=DESCRIPTORS)
    yield alone
    alone.end()


def test_out_of_descriptors_it_waits_and_goes_on(few_descriptors: Alone) -> None:
    """Shares of descriptors are there to prevent it; other programs of the machine can use up those that there are."""
    alone = few_descriptors
    with contextlib.ExitStack() as stack:
        for _ in range(2 * DESCRIPTORS):
            stack.enter_context(raw(alone.url))
        await_that(lambda: alone.stats.num_fds() == DESCRIPTORS, "there are descriptors left")
        used, began = alone.cpu_s(), time.monotonic()
        time.sleep(2.5)  # what must not happen is given time to: asyncio tries again once in a second
        used, seconds = alone.cpu_s() - used, time.monotonic() - began
        assert used < seconds / 4, "it turns in a circle"
        assert alone.log().count("out of system resource") <= 2 + seconds, "it says so again and again"

    def answers() -> bool:
        with contextlib.suppress(OSError, IndexError):
            return status_of(alone.get()) == 200
        return False

    await_that(answers, "it does not accept connections any more")


# ---------------------------------------------------------------- memory


def pour(client: socket.socket, data: bytes, size: int) -> None:
    """Send the same again and again until so much is sent, or the other side has had enough."""
    client.settimeout(1.0)
    sent = 0
    with contextlib.suppress(OSError):  # refused, or not read
        while sent < size:
            client.sendall(data)
            sent += len(data)


_LINES = b"x-a: b\r\n" * 4_096
_ASKED = b"GET /healthz HTTP/1.1\r\n" + SITE + b"\r\n"
_CHUNKED = b"POST /healthz HTTP/1.1\r\n" + SITE + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("begin", "repeat"),
    [
        (b"GET / HTTP/1.1\r\n", _LINES),
        (b"GET / HTTP/1.1\r\nx: ", b"x" * 65_536),
        (b"GET /", b"x" * 65_536),
        (b"", b"\r\n" * 32_768),
        (b"", b"\r" * 65_536),
        (_CHUNKED + b"0\r\n", _LINES),
        (_CHUNKED + b"1;", b"x" * 65_536),
        (_CHUNKED, b"1\r\nx\r\n" * 8_192),
        (_CHUNKED, b"00000000000000000000" * 4_096),
        (b"POST /healthz HTTP/1.1\r\n" + SITE + b"Content-Length: 1000000000\r\n\r\n", bytes(65_536)),
        (STOP + b"Content-Length: 1000000000\r\n\r\n", bytes(65_536)),
        (STOP + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + bytes(65_536) + b"\r\n"),
        (b"", _ASKED * 1_000),
        (b"", (b"GET /assets/none HTTP/1.1\r\n" + SITE + b"\r\n") * 1_000),
        (b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" + SITE + b"\r\n", bytes(65_536)),
    ],
    ids=[
        "headers",
        "one header",
        "target",
        "empty lines",
        "returns",
        "trailers",
        "chunk extension",
        "small chunks",
        "chunk size",
        "body without a token",
        "body",
        "chunks",
        "requests ahead",
        "requests ahead that are refused",
        "another protocol",
    ],
)
def test_memory_stays_within_its_bound_whatever_clients_send(usual: Alone, begin: bytes, repeat: bytes) -> None:
    usual.get()
    before = usual.stats.memory_info().rss
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(raw(usual.url)) for _ in range(8)]
        for client in clients:
            client.sendall(begin)
        for client in clients:
            pour(client, repeat, VOLUME // len(clients))
        assert usual.stats.memory_info().rss - before < GROWTH_MAX
    assert status_of(usual.get()) == 200


def test_memory_stays_within_its_bound_though_no_answer_is_read(usual: Alone) -> None:
    asset = _asset(usual)
    before = usual.stats.memory_info().rss
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            client = stack.enter_context(raw(usual.url))
            pour(client, b"GET %b HTTP/1.1\r\n%b\r\n" % (asset, SITE), 100_000)  # each asks for 1,000 times the file
        assert usual.stats.memory_info().rss - before < GROWTH_MAX


# ---------------------------------------------------------------- what is logged


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: \xb2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_not_http_is_one_line_of_the_log_and_a_flood_of_it_few(
    tmp_path: Path, usual: Alone, nonsense: bytes
) -> None:
    began = len(usual.log())
    for _ in range(30):
        with raw(usual.url) as client, contextlib.suppress(ConnectionResetError):
            client.sendall(nonsense)
            client.shutdown(socket.SHUT_WR)
            answer = read_all(client)
            assert not answer or 400 <= status_of(answer) < 500
    lines = usual.log()[began:].splitlines()
    assert len(lines) <= 11
    assert all(len(line) < 600 and "admin port: a client was refused" in line for line in lines)
