"""Requests to containers on nodes that are killed or frozen, and a site that moves to nodes with the next server."""

from __future__ import annotations

import contextlib
import http.client
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from daemon import Daemon
from patience import patience, wait_until

import swell

PATIENCE_S = patience(60.0)


def make_site() -> Callable[[], Any]:
    """Return a site that is sent as it is, since no node can import this module."""

    def site() -> Any:
        import asyncio
        import os

        held = asyncio.Event()

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http":
                raise NotImplementedError
            path = scope["path"].rpartition("/")[2]
            if path == "hold":  # for ever, with nothing sent
                held.set()
                await asyncio.Event().wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"%d\n" % os.getpid(), "more_body": True})
            if path == "stream":
                await held.wait()
                await send({"type": "http.response.body", "body": b"held\n", "more_body": True})
                await asyncio.Event().wait()
            await send({"type": "http.response.body", "body": b""})

        return answer

    return site


def begin(url: str, path: str) -> http.client.HTTPConnection:
    """Send a request."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE_S)
    connection.request("GET", f"{parts.path}{path}", headers={"connection": "close"})
    return connection


@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP], ids=lambda fault: fault.name)
def test_what_a_lost_node_has_of_requests_fails_and_the_others_go_elsewhere(
    fault: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWELL_BACKEND", "agents")
    monkeypatch.setenv("SWELL_NODE_TIMEOUT_S", str(patience(1.0)))
    for port in ("SWELL_WEB_PORT", "SWELL_ADMIN_PORT"):
        monkeypatch.setenv(port, "0")
    app = swell.App("lossy")
    site = app.function(max_containers=1, serialized=True)(
        swell.concurrent(max_inputs=3)(swell.asgi_app()(make_site()))
    )
    with app.run(), contextlib.ExitStack() as stack:
        url = site.get_web_url()
        assert url
        stream = stack.enter_context(begin(url, "/stream").getresponse())
        first = int(stream.readline())
        held = stack.enter_context(contextlib.closing(begin(url, "/hold")))
        assert stream.readline() == b"held\n"
        agent = psutil.Process(first).parents()[1]
        run_dir = Path(app.session.client.address.removeprefix("unix:")).parent
        assert list(run_dir.glob("nodes/*/web/*")) != []
        assert list(run_dir.glob("web/*")) == [], "the server's own"
        agent.send_signal(fault)
        # Neither is there a kept connection, nor can another be made: the container accepts nothing.
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            assert int(answer.read()) != first
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            stream.read()
        response = held.getresponse()
        assert response.status == 502
        assert b"container" in response.read()
        with contextlib.suppress(psutil.NoSuchProcess):
            agent.send_signal(signal.SIGCONT)
        wait_until(lambda: not psutil.pid_exists(first), "the container of the lost node goes on")


SITE = """
import os
import swell
app = swell.App("kept")

@app.function()
@swell.asgi_app()
def site():
    async def answer(scope, receive, send):
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": os.environ["SWELL_RUN_DIR"].encode()})
    return answer
"""


def test_a_deployed_site_answers_from_nodes_once_its_server_has_them(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, web=1, web_port=0, admin_port=0, backend="process")
    try:
        daemon.told("start")
        daemon.deploy(SITE)
        daemon.environment["SWELL_BACKEND"] = "agents"
        daemon.told("restart")
        url = daemon.eventually(lambda: daemon.status()["web_url"])
        with urllib.request.urlopen(f"{url}/kept-site", timeout=PATIENCE_S) as answer:
            assert "/nodes/" in answer.read().decode(), "not where its containers run"
    finally:
        daemon.end()
