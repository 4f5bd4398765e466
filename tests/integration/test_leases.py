"""The edge's connection to a server that does not read, or does again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swell.config import Settings
from swell.edge.gateway.gateway import Gateway
from swell.edge.gateway.http_error import HTTPError
from swell.edge.gateway.leases import UNREAD_MAX, Leases
from swell.edge.traffic import Traffic

PATIENCE_S = 20.0


class Requests:
    """Requests that wait for a container, and are told nothing."""

    def leased(self, container_id: str, where: str) -> None: ...
    def refused(self, code: str, text: str, retry_after_s: float | None) -> None: ...
    def ended(self, status: Any, text: str) -> None: ...


@pytest.fixture
async def link(tmp_path: Path) -> AsyncIterator[tuple[Leases, asyncio.StreamReader]]:
    """The edge's end, and the server's, which reads nothing of its own accord."""
    loop = asyncio.get_running_loop()
    accepted: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = loop.create_future()
    address = str(tmp_path / "server")
    server = await asyncio.start_unix_server(lambda *streams: accepted.set_result(streams), address, limit=1)
    own, leases = await loop.create_unix_connection(
        lambda: Leases("", 1 << 20, lambda _: None, lambda _: None), address
    )
    reader, writer = await accepted
    yield leases, reader
    own.abort()
    writer.transport.abort()
    server.close()
    await _tick()


async def _tick() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_while_the_server_does_not_read_no_request_is_let_in(
    link: tuple[Leases, asyncio.StreamReader],
) -> None:
    leases, reader = link
    asked = 0
    while not leases.is_full:
        assert asked < UNREAD_MAX, "it never pushes back"
        for _ in range(1_000):
            leases.ask("fu-1", "", b"", Requests())
        asked += 1_000
        await _tick()
    settings = Settings()
    means: Any = SimpleNamespace(settings=settings, leases=leases, peers=None)
    gateway = Gateway(means, Any, "token", traffic := Traffic(), connections_max=1)  # type: ignore[arg-type]
    client: Any = SimpleNamespace(head=SimpleNamespace(target=b"/", host=b"localhost"))
    with pytest.raises(HTTPError) as refused:
        gateway.admit(client)
    assert refused.value.status == 503
    assert traffic.refused[503] == 1
    async with asyncio.timeout(PATIENCE_S):
        while leases.is_full:
            await reader.read(1 << 20)
