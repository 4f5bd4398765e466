"""How tests of the edge speak to it: as browsers and libraries do, and as nobody should."""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import psutil
from patience import patience, wait_until

import swell

PATIENCE_S = patience(60.0)


def url_of(function: Any) -> str:
    """The URL of a web function of an app that runs."""
    url = function.get_web_url()
    assert url is not None
    return url


class Reply:
    """An answer that has been read."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.body = answer.read()
        self.headers = {name.lower(): value for name, value in answer.getheaders()}


def connect(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)


def ask(url: str, method: str = "GET", body: Any = None, **headers: str) -> Reply:
    """Send one request and read the answer. Underscores in names of headers stand for dashes."""
    parts = urlsplit(url)
    with contextlib.closing(connect(url)) as connection:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, target, body, sent)
        return Reply(connection.getresponse())


def follow(url: str, reply: Reply, **headers: str) -> Reply:
    """Go where redirects lead, as clients do."""
    while reply.status == 303:
        reply = ask(urljoin(url, reply.headers["location"]), **headers)
    return reply


@contextlib.contextmanager
def raw(url: str) -> Iterator[socket.socket]:
    """A connection on which anything may be sent."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S) as client:
        yield client


def request(url: str, path: str, method: str = "GET", *headers: str, version: str = "1.1") -> bytes:
    """The bytes of a request to a page of a site."""
    parts = urlsplit(url)
    lines = [f"{method} {parts.path}{path} HTTP/{version}", f"Host: {parts.netloc}", *headers, "", ""]
    return "\r\n".join(lines).encode()


def read_all(client: socket.socket) -> bytes:
    """Everything until the other side closes."""
    data = b""
    while part := client.recv(1 << 16):
        data += part
    return data


def read_until(client: socket.socket, end: bytes) -> bytes:
    """Everything until some bytes have come."""
    data = b""
    while end not in data:
        part = client.recv(1 << 16)
        assert part, f"the connection ended after {data!r}"
        data += part
    return data


def await_that(is_so: Callable[[], bool], what: str) -> None:
    wait_until(is_so, what, pause_s=0.005)


def await_idle(function: Any) -> None:
    """Wait until nothing of a function waits or runs: all slots are back."""

    def is_idle() -> bool:
        stats = function.get_current_stats()
        return stats.backlog == stats.num_running_inputs == 0

    await_that(is_idle, "slots do not come back")


def edge_of(app: swell.App) -> psutil.Process:
    """The process of the edge that serves a run of an app by a server of its own."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "swell.edge.main" in process.cmdline():
                return process
    raise AssertionError("there is no edge")


class Notes:
    """A file name by which a test and a site talk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def lines(self, what: str) -> list[str]:
        """What sites have noted."""
        file = Path(f"{self.path}.{what}")
        return file.read_text().splitlines() if file.exists() else []

    def go(self) -> None:
        """Let those go on that wait, or let one item more be sent."""
        with open(f"{self.path}.go", "a") as file:
            file.write(".")

    def await_lines(self, what: str, count: int = 1) -> None:
        await_that(lambda: len(self.lines(what)) >= count, f"{count} times {what!r} was never noted")
