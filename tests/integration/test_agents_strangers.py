"""Who connects to a server's port for agents uninvited, and an agent that meets another server than its own."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from swell.backends.agents import backend as backend_module
from swell.backends.agents import node as node_module
from swell.backends.agents.backend import AgentBackend, Invitation
from swell.backends.agents.bulk import BulkServer
from swell.link import tls_port
from swell.link.certificate import TlsAddress, client_context, make_certificate, server_context
from swell.link.connection import Channel, Link
from swell.link.frames import End
from swell.link.order import AgentOrder, encode
from swell.link.words import (
    LINK_PROTOCOL,
    Drop,
    Greeting,
    Load,
    Ping,
    Pong,
    Refused,
    Watch,
    Welcome,
    Word,
    decode_to_agent,
)
from swell.link.words import encode as encode_word
from swell.model import Gpu, Node, RefusedNode
from swell.wire.messages import PROTOCOL


class Provider:
    """Starts nothing; writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    async def start(self, backend: AgentBackend) -> None:
        await backend.listen("127.0.0.1")

    def let_in(self, name: str) -> None:
        """Nobody wants to know."""

    def lost(self, name: str, why: str) -> None:
        self.told.append((name, why))

    def trouble(self) -> str:
        return ""

    async def stop(self) -> None:
        pass


class Listener:
    """Looks at the nodes whenever they change, as the server does."""

    def __init__(self, backend: AgentBackend) -> None:
        self.backend = backend
        self.nodes: list[str] = []
        self.looks = 0
        self.exits: list[tuple[str, str, bool]] = []
        self.news = asyncio.Event()

    def nodes_changed(self) -> None:
        self.nodes = [load.node.name for load in self.backend.observe(lambda _: True)]
        self.looks += 1
        self.news.set()

    def container_exited(self, container_id: str, reason: str, started: bool, excess: object = None) -> None:
        self.exits.append((container_id, reason, started))
        self.news.set()


class Guest:
    """An agent that a test plays."""

    def __init__(self) -> None:
        self.words: list[Any] = []
        self.why = ""
        self.link: Link
        self._news = asyncio.Event()

    async def connect(self, address: str) -> None:
        where = TlsAddress.parse(address)
        loop = asyncio.get_running_loop()
        await loop.create_connection(
            lambda: Link(End.AGENT, self, 600.0), where.host, where.port, ssl=client_context(), server_hostname="swell"
        )

    def greet(self, invitation: Invitation, **other: Any) -> None:
        greeting = Greeting(
            link_protocol=LINK_PROTOCOL,
            protocol=PROTOCOL,
            version=version("swell"),
            python=f"{sys.version_info.major}.{sys.version_info.minor}",
            token=invitation.token,
            node=Node(invitation.node, 2.0, 1 << 30),
            blob_dir="/nowhere/blobs",
            web_dir="/nowhere/web",
            shelf="/nowhere/shelf",
            bundle_dir="/nowhere/bundles",
        )
        self.say(replace(greeting, **other))

    def say(self, word: Word) -> None:
        self.link.send_word(encode_word(word))

    async def hears(self, kind: type[Word]) -> Any:
        return (await self._until(lambda: [word for word in self.words if isinstance(word, kind)]))[0]

    async def ends(self) -> str:
        return await self._until(lambda: self.why)

    async def _until(self, condition: Any) -> Any:
        while not (found := condition()):
            self._news.clear()
            await self._news.wait()
        return found

    def linked(self, link: Link) -> None:
        self.link = link

    def beat(self) -> None:
        pass

    def word(self, body: bytes) -> None:
        self.words.append(decode_to_agent(body))
        self._news.set()

    def opened(self, link: Link, number: int) -> Channel:
        raise AssertionError("a server opens no channels")

    def lost(self, why: str) -> None:
        self.why = why
        self._news.set()


@pytest.fixture
def provider() -> Provider:
    return Provider()


@pytest.fixture
async def backend(provider: Provider, tmp_path: Path) -> AsyncIterator[AgentBackend]:
    bulk = BulkServer(str(tmp_path), str(tmp_path), 1 << 20)
    backend = AgentBackend(
        provider, asyncio.Protocol, bulk=bulk, protocol=PROTOCOL, timeout_s=600.0, blob_bytes_max=1 << 20
    )
    await backend.start(cast("Any", Listener(backend)), "unix:/nowhere")
    yield backend
    await backend.stop()


async def guest_of(backend: AgentBackend, invitation: Invitation | None = None) -> Guest:
    guest = Guest()
    await guest.connect((invitation or backend.invite("another")).server)
    return guest


async def let_in(backend: AgentBackend, name: str) -> Guest:
    """An agent that was invited is let in, whatever others have done before."""
    invitation = backend.invite(name)
    guest = await guest_of(backend, invitation)
    guest.greet(invitation)
    await guest.hears(Welcome)
    guest.say(Load(0.0, 0.0, 0, 0))
    listener = cast("Listener", backend.listener)
    while name not in listener.nodes:
        listener.news.clear()
        await listener.news.wait()
    return guest


# ---------------------------------------------------------------- at the server's port


async def test_a_token_lets_in_one_agent_once(backend: AgentBackend, provider: Provider) -> None:
    invitation = backend.invite("node-1")
    first, second = await guest_of(backend), await guest_of(backend)
    first.greet(invitation)
    await first.hears(Welcome)
    second.greet(invitation)
    assert "used before" in (await second.hears(Refused)).text
    await second.ends()
    assert not first.why
    assert provider.told == []


async def test_a_token_is_of_one_node(backend: AgentBackend) -> None:
    mine, others = backend.invite("node-1"), backend.invite("node-2")
    guest = await guest_of(backend)
    guest.greet(Invitation(mine.server, mine.token, others.node))
    await guest.hears(Refused)
    await guest.ends()


async def test_an_invitation_may_be_withdrawn(backend: AgentBackend) -> None:
    invitation = backend.invite("node-1")
    assert backend.withdraw("node-1")
    assert not backend.withdraw("node-1")
    guest = await guest_of(backend)
    guest.greet(invitation)
    await guest.hears(Refused)


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"link_protocol": 0}, "install the same version on both"),
        ({"protocol": 0}, "install the same version on both"),
        ({"python": "2.7"}, "it has Python 2.7"),
        ({"version": "0.0.1"}, "it has swell 0.0.1"),
    ],
)
async def test_an_agent_that_does_not_match_is_refused_in_one_line(
    backend: AgentBackend, provider: Provider, other: dict[str, Any], says: str
) -> None:
    invitation = backend.invite("node-1")
    guest = await guest_of(backend, invitation)
    guest.greet(invitation, **other)
    text = (await guest.hears(Refused)).text
    await guest.ends()
    assert says in text
    assert "\n" not in text
    assert provider.told == [("node-1", f"it is refused: {text}")]
    assert not backend.withdraw("node-1"), "its token is used up"
    assert backend.refused() == [RefusedNode("node-1", text)]
    await let_in(backend, "node-1")
    assert backend.refused() == []


@pytest.mark.parametrize(
    ("node", "says"),
    [
        (Node("node-1", math.nan, 1), "nan cores"),
        (Node("node-1", math.inf, 1), "inf cores"),
        (Node("node-1", 0.0, 1), "0.0 cores"),
        (Node("node-1", 1.0, -1), "-1 bytes of memory"),
        (Node("node-1", 1.0, 2**63), "bytes of memory"),
        (Node("node-1", 1.0, 1, (Gpu("a", "L4"), Gpu("a", "L4"))), "GPUs twice"),
        (Node("node-1", 1.0, 1, (Gpu("", "L4"),)), "cannot be"),
        (Node("node-1", 1.0, 1, (Gpu("a", "L4", -1),)), "cannot be"),
        (Node("node-1", 1.0, 1, tuple(Gpu(f"{i}", "L4") for i in range(1_025))), "1,025 GPUs"),
    ],
)
async def test_a_node_that_cannot_be_is_refused(backend: AgentBackend, node: Node, says: str) -> None:
    invitation = backend.invite("node-1")
    guest = await guest_of(backend, invitation)
    guest.greet(invitation, node=node)
    assert says in (await guest.hears(Refused)).text
    await let_in(backend, "node-1")


async def test_who_has_not_said_who_it_is_gets_no_memory_for_long_words(backend: AgentBackend) -> None:
    guest = await guest_of(backend)
    assert guest.link.transport is not None
    guest.link.transport.write(struct.pack("<IIB", (64 << 10) + 1, 0, 0))  # the header alone: nothing is waited for
    await guest.ends()
    guest = await let_in(backend, "node-1")
    guest.say(Drop("x" * 100_000))  # no name of a blob, and no reason to send it away
    guest.say(Load(0.5, 0.0, 0, 0))
    listener = cast("Listener", backend.listener)
    while backend.observe(lambda _: False)[0].busy_cores < 0.5:
        listener.news.clear()
        await listener.news.wait()


async def test_many_loads_are_looked_at_together(backend: AgentBackend) -> None:
    guest, listener = await let_in(backend, "node-1"), cast("Listener", backend.listener)
    before = listener.looks
    for i in range(2_000):
        guest.say(Load(float(i), 0.0, 0, 1))
    while backend.observe(lambda _: False)[0].busy_cores < 1_999:
        listener.news.clear()
        await listener.news.wait()
    assert listener.looks - before < 200


async def test_who_greets_twice_is_sent_away(backend: AgentBackend, provider: Provider) -> None:
    invitation = backend.invite("node-1")
    guest = await guest_of(backend, invitation)
    guest.greet(invitation)
    guest.greet(backend.invite("node-2"))
    await guest.ends()
    assert [name for name, _ in provider.told] == ["node-1"]


async def test_who_opens_a_channel_before_it_is_let_in_is_sent_away(backend: AgentBackend) -> None:
    guest = await guest_of(backend)
    guest.link.open(cast("Any", guest))
    await guest.ends()
    await let_in(backend, "node-1")


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\xff" * 5_000])
@pytest.mark.parametrize("tls", [False, True])
async def test_garbage_ends_only_its_own_connection(backend: AgentBackend, garbage: bytes, tls: bool) -> None:
    where = TlsAddress.parse(backend.invite("another").server)
    reader, writer = await asyncio.open_connection(
        where.host, where.port, ssl=client_context() if tls else None, server_hostname="swell" if tls else None
    )
    writer.write(garbage)
    try:
        while await reader.read(1 << 16):
            pass
    except (ssl.SSLError, ConnectionError):
        pass
    writer.transport.abort()
    await let_in(backend, "node-1")


@pytest.mark.parametrize("tls", [False, True])
async def test_who_says_nothing_is_sent_away(backend: AgentBackend, tls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "GREETING_S", 0.05)
    monkeypatch.setattr(tls_port, "HANDSHAKE_S", 0.05)
    where = TlsAddress.parse(backend.invite("another").server)
    reader, writer = await asyncio.open_connection(
        where.host, where.port, ssl=client_context() if tls else None, server_hostname="swell" if tls else None
    )
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.transport.abort()
    monkeypatch.undo()
    await let_in(backend, "node-1")


async def test_many_that_begin_no_handshake_keep_no_agent_out(backend: AgentBackend) -> None:
    where = TlsAddress.parse(backend.invite("another").server)
    sockets = [socket.create_connection((where.host, where.port)) for _ in range(backend_module.HANDSHAKES_MAX + 20)]
    for each in sockets[:20]:
        assert await asyncio.to_thread(each.recv, 1) == b""
    await let_in(backend, "node-1")
    for each in sockets:
        each.close()


async def test_many_that_say_nothing_keep_no_agent_out(backend: AgentBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_module, "LINKS_PENDING_MAX", 8)
    guests = [await guest_of(backend) for _ in range(20)]
    await let_in(backend, "node-1")
    gone = [await guest.ends() for guest in guests[:12]]
    assert len(gone) == 12
    for guest in guests:
        guest.link.end("the test is over")


async def test_a_load_is_not_asked_for_because_one_has_come(backend: AgentBackend) -> None:
    guest = await let_in(backend, "node-1")
    listener = cast("Listener", backend.listener)
    for _ in range(3):
        listener.news.clear()
        guest.say(Load(0.0, 0.0, 0, 0))
        await listener.news.wait()
    backend.observe(lambda _: False)
    assert await guest.hears(Watch) == Watch(())
    assert len([word for word in guest.words if isinstance(word, Watch)]) == 1


async def test_a_round_trip_is_known_once_an_agent_has_answered(backend: AgentBackend) -> None:
    guest = await let_in(backend, "node-1")
    before = backend.link_of("node-1")
    assert before is not None
    assert before.round_trip_s is None
    assert before.received_bytes > 0 < before.sent_bytes
    await guest.hears(Ping)
    listener = cast("Listener", backend.listener)
    listener.news.clear()
    guest.say(Pong())
    guest.say(Load(0.0, 0.0, 0, 0))
    await listener.news.wait()
    after = backend.link_of("node-1")
    assert after is not None
    assert after.round_trip_s is not None
    assert after.round_trip_s > 0
    assert after.received_bytes > before.received_bytes
    assert after.sent_bytes > before.sent_bytes
    assert backend.link_of("node-2") is None


# ---------------------------------------------------------------- the agent's side


def agent_at(address: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run an agent that is to go to an address, until it ends."""
    order = AgentOrder(address, "token", "node-1", str(directory / "node-1"), 1_000, 600.0)
    with subprocess.Popen(
        [sys.executable, "-m", "swell.agent.main"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(encode(order).decode())
        process.stdin.flush()
        said = process.stderr.read()
    return subprocess.CompletedProcess([], process.returncode, "", said)


class Impostor(asyncio.Protocol):
    """A server with another certificate, which says what it has to say at once."""

    def __init__(self, received: bytearray) -> None:
        self._received = received

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        frames = Link(End.SERVER, cast("Any", Guest()), 600.0)
        frames.connection_made(transport)
        frames.send_word(encode_word(Welcome(1, "token", 1)))

    def data_received(self, data: bytes) -> None:
        self._received += data


async def test_an_agent_that_meets_another_server_tells_it_nothing(tmp_path: Path) -> None:
    received = bytearray()
    context, _ = server_context(make_certificate())
    server = await asyncio.get_running_loop().create_server(lambda: Impostor(received), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    ended = await asyncio.to_thread(agent_at, f"tls://127.0.0.1:{port}#{'0' * 64}", tmp_path)
    server.close()
    assert ended.returncode == 77
    assert ended.stderr.count("\n") == 1
    assert "its fingerprint differs" in ended.stderr
    assert not received
    assert os.listdir(tmp_path) == []


async def test_an_agent_without_a_server_ends_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        address = f"tls://127.0.0.1:{nobody.getsockname()[1]}#{'0' * 64}"
        ended = await asyncio.to_thread(agent_at, address, tmp_path)
    assert ended.returncode == 75
    assert ended.stderr.count("\n") == 1
    assert "no server answers" in ended.stderr
    assert os.listdir(tmp_path) == []


async def test_an_agent_at_a_port_without_tls_ends_in_one_line(tmp_path: Path) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    ended = await asyncio.to_thread(agent_at, f"tls://127.0.0.1:{port}#{'0' * 64}", tmp_path)
    server.close()
    assert ended.returncode == 75
    assert ended.stderr.count("\n") == 1
