"""Both ports of an edge are served by one process: what fills one leaves the other room."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import small as s
from edge_client import ask, await_that, raw, read_all, url_of

import swell
from swell.sdk.connection.blocking import run_blocking
from swell.wire.queries import GetStatus, Status

MAX = {"admin": 8, "web": 16}


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App], tmp_path_factory: pytest.TempPathFactory) -> swell.App:
    return run_app(
        s.app,
        data_dir=tmp_path_factory.mktemp("data"),
        web_rate=1e6,
        admin_connections_max=MAX["admin"],
        web_connections_max=MAX["web"],
        web_head_timeout_s=600,
    )


class Ports:
    def __init__(self) -> None:
        await_that(lambda: bool(self._status().admin_url), "the admin port is not open")
        status = self._status()
        self.urls = {"admin": status.admin_url, "web": url_of(s.site)}
        self._token = Path(status.admin_token_file).read_text()

    def _status(self) -> Status:
        session = s.app.session
        assert session is not None
        link = session.client.blocking_link()
        number = link.next_request()
        status, _ = run_blocking(link.request(number, GetStatus(number)))
        assert isinstance(status, Status)
        return status

    def counted(self, metric: str, port: str) -> int:
        """A number that the metrics tell of a port; they are asked for at the admin port."""
        told = ask(f"{self.urls['admin']}/metrics", authorization=f"Bearer {self._token}").body.decode()
        found = re.search(rf'^swell_{metric}{{port="{port}"}} (\d+)', told, re.MULTILINE)
        return int(float(found[1])) if found else 0

    def answers(self, port: str) -> bool:
        with contextlib.suppress(OSError):
            path = "/healthz" if port == "admin" else "/"
            return ask(self.urls[port] + path).status in (200, 303)
        return False


@pytest.fixture
def ports() -> Ports:
    return Ports()


@pytest.mark.parametrize(("full", "other"), [("admin", "web"), ("web", "admin")])
def test_silent_connections_at_one_port_are_counted_and_leave_the_other_room(
    ports: Ports, full: str, other: str
) -> None:
    await_that(lambda: ports.answers("web") and ports.answers("admin"), "it does not answer")
    await_that(lambda: ports.counted("http_connections", full) == (full == "admin"), "some are open still")
    refused_before = ports.counted("http_connections_refused_total", full)
    with contextlib.ExitStack() as stack:
        for _ in range(MAX[full]):
            stack.enter_context(raw(ports.urls[full]))
        for _ in range(3):
            with raw(ports.urls[full]) as one_more, contextlib.suppress(ConnectionResetError):
                assert read_all(one_more).startswith(b"HTTP/1.1 503")
        assert ports.answers(other)
        if full == "web":
            assert ports.counted("http_connections", full) == MAX[full]
    await_that(lambda: ports.answers(full), "connections that have ended still count")
    assert ports.counted("http_connections_refused_total", full) >= refused_before + 3
