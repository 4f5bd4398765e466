"""A port for links, on both event loops: who does not end its handshake costs little, and keeps nobody out."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from patience import patience

from swell.event_loop import new_event_loop
from swell.link import acceptor, tls_port
from swell.link.certificate import client_context, make_certificate, server_context
from swell.link.tls_port import TlsPort
from swell.listening import listen_at

PATIENCE_S = patience(20.0)
LOG = logging.getLogger("swell.test")

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[new_event_loop, asyncio.new_event_loop], ids=["installed", "asyncio"])
def run(request: pytest.FixtureRequest) -> Run:
    def run(test: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(test, PATIENCE_S))

    return run


class Echo(asyncio.Protocol):
    """What is served at the port."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)
        self.transport.close()


class Full(socket.socket):
    """A listener without a descriptor for what it accepts, so many times."""

    asked = 0
    lacks = 0

    def accept(self) -> tuple[socket.socket, Any]:
        self.asked += 1
        if self.asked <= self.lacks:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


def port_at(listener: socket.socket, strangers_max: int = 3) -> tuple[TlsPort, tuple[str, int]]:
    context, _ = server_context(make_certificate())
    return TlsPort(listener, context, Echo, strangers_max=strangers_max, logger=LOG), listener.getsockname()


async def answer_at(address: tuple[str, int]) -> bytes:
    reader, writer = await asyncio.open_connection(*address, ssl=client_context(), server_hostname="swell")
    writer.write(b"hello")
    answer = await reader.read()
    writer.close()
    return answer


async def come(address: tuple[str, int], said: bytes = b"") -> socket.socket:
    """Connect without TLS."""
    stranger = socket.socket()
    stranger.setblocking(False)
    await asyncio.get_running_loop().sock_connect(stranger, address)
    stranger.send(said)
    return stranger


async def is_put_out(stranger: socket.socket) -> None:
    """Wait until its connection is closed."""
    try:
        while await asyncio.get_running_loop().sock_recv(stranger, 1_000):
            pass
    except ConnectionError:
        pass


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "the beginning"])
def test_of_many_who_say_too_little_the_oldest_are_put_out(run: Run, said: bytes) -> None:
    async def test() -> None:
        port, address = port_at(listen_at("127.0.0.1", 0, any_port=False))
        await answer_at(address)  # a loop opens some descriptors of its own with the first connection
        before = len(os.listdir("/proc/self/fd"))
        strangers = [await come(address, said) for _ in range(30)]
        for stranger in strangers[:27]:
            await is_put_out(stranger)
        assert len(os.listdir("/proc/self/fd")) <= before + 30 + 3
        assert await answer_at(address) == b"hello"
        port.close()
        for stranger in strangers[27:]:
            await is_put_out(stranger)
        for stranger in strangers:
            stranger.close()
        assert len(os.listdir("/proc/self/fd")) < before, "the listener is closed as well"

    run(test())


def test_many_who_come_together_are_all_served(run: Run) -> None:
    async def test() -> None:
        port, address = port_at(listen_at("127.0.0.1", 0, any_port=False), strangers_max=20)
        assert await asyncio.gather(*(answer_at(address) for _ in range(20))) == [b"hello"] * 20
        port.close()

    run(test())


def test_who_is_slow_is_put_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_port, "HANDSHAKE_S", 0.05)

    async def test() -> None:
        port, address = port_at(listen_at("127.0.0.1", 0, any_port=False))
        stranger = await come(address)
        await is_put_out(stranger)
        stranger.close()
        port.close()

    run(test())


def test_without_descriptors_nothing_is_accepted_for_a_moment(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(acceptor, "ACCEPT_PAUSE_S", 3_600.0)

    async def test() -> None:
        listener = Full(fileno=listen_at("127.0.0.1", 0, any_port=False).detach())
        listener.lacks = 1_000
        port, address = port_at(listener)
        waiting = [await come(address) for _ in range(10)]
        for _ in range(100):
            await asyncio.sleep(0)
        assert listener.asked == 1
        assert len(caplog.records) == 1
        assert "Too many open files" in caplog.text
        port.close()
        for each in waiting:
            await is_put_out(each)
            each.close()

    run(test())


def test_once_there_are_descriptors_again_who_has_waited_is_served(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "ACCEPT_PAUSE_S", 0.001)

    async def test() -> None:
        listener = Full(fileno=listen_at("127.0.0.1", 0, any_port=False).detach())
        listener.lacks = 3
        port, address = port_at(listener)
        assert await answer_at(address) == b"hello"
        assert listener.asked >= 4
        port.close()

    run(test())
