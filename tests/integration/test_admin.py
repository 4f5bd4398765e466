"""The admin surface as it listens, and what it says while there is no server behind it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from swell.config import Settings
from swell.edge.admin.app import Admin
from swell.edge.traffic import Traffic
from swell.logs import PER_MINUTE
from swell.sdk.connection.client import Client

TOKEN = "the-token"


def make(tmp_path: Path, *, any_port: bool = False, **settings: str | int) -> Admin:
    chosen = Settings(**{"admin_port": 0, **settings})
    client = Client(f"unix:{tmp_path}/nobody", "", chosen)
    return Admin(client, chosen, TOKEN, list, Traffic(), any_port=any_port)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        yield holder.getsockname()[1]


async def ask(url: str, path: str) -> tuple[int, bytes]:
    """Make one request as a client that knows the token; return the status and the body."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode())
    answer = await reader.read()
    writer.close()
    first, _, body = answer.partition(b"\r\n\r\n")
    return int(first.split()[1]), body


async def test_a_port_that_is_taken_is_an_error_and_can_be_tried_again(tmp_path: Path, taken: int) -> None:
    admin = make(tmp_path, admin_port=taken)
    with pytest.raises(OSError, match="in use"):
        await admin.start()
    await admin.stop()


async def test_a_server_of_one_run_takes_another_port(tmp_path: Path, taken: int) -> None:
    admin = make(tmp_path, admin_port=taken, any_port=True)
    url = await admin.start()
    try:
        assert not url.endswith(f":{taken}")
        assert await ask(url, "/healthz") == (200, b"ok\n")
    finally:
        await admin.stop()


async def test_ipv6(tmp_path: Path) -> None:
    admin = make(tmp_path, admin_host="::1")
    try:
        url = await admin.start()
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    try:
        assert url.startswith("http://[::1]:")
        assert (await ask(url, "/healthz"))[0] == 200
    finally:
        await admin.stop()


async def test_without_a_server_the_api_says_so(tmp_path: Path) -> None:
    admin = make(tmp_path)
    url = await admin.start()
    try:
        status, body = await ask(url, "/api/v1/status")
        assert status == 503
        assert json.loads(body)["error"]["code"] == "ConnectionError"
    finally:
        await admin.stop()


async def test_a_defect_is_logged_once_and_told_without_its_insides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_client: Client) -> None:
        raise RuntimeError("a secret of the inside")

    admin = make(tmp_path)
    url = await admin.start()
    monkeypatch.setattr(Client, "loop_link", broken)
    caplog.clear()
    try:
        status, body = await ask(url, "/api/v1/status")
    finally:
        await admin.stop()
    assert status == 500
    assert json.loads(body)["error"]["code"] == "InternalError"
    assert b"secret" not in body
    told = [record for record in caplog.records if "GET /api/v1/status" in record.getMessage()]
    assert len(told) == 1
    assert "a secret of the inside" in caplog.text


async def test_a_defect_that_comes_again_and_again_does_not_fill_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_client: Client) -> None:
        raise RuntimeError("a secret of the inside")

    admin = make(tmp_path)
    url = await admin.start()
    monkeypatch.setattr(Client, "loop_link", broken)
    caplog.clear()
    try:
        for _ in range(PER_MINUTE + 2):
            assert (await ask(url, "/api/v1/status"))[0] == 500
    finally:
        await admin.stop()
    told = [record for record in caplog.records if "a defect" in record.getMessage()]
    assert len(told) == PER_MINUTE
    assert [record.exc_info is not None for record in told] == [True] + [False] * (PER_MINUTE - 1)


async def test_stopping_ends_connections_and_is_safe_twice(tmp_path: Path) -> None:
    admin = make(tmp_path)
    url = await admin.start()
    port = int(url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    await admin.stop()
    with contextlib.suppress(ConnectionError):
        while await reader.read(4096):
            pass
    writer.close()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)
    await admin.stop()
