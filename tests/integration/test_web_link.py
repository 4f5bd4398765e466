"""The web link between an edge and the agent of a node: real sockets and TLS, in one process, without HTTP."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from patience import patience

from swell.agent import web_port
from swell.agent.web_port import WebPort
from swell.edge.gateway.node_links import NodeLinks
from swell.edge.gateway.peer_connection import PeerConnection
from swell.link.certificate import TlsAddress, fingerprint_in, make_certificate
from swell.link.connection import Channel, Link
from swell.link.dialing import PinnedLink, dial
from swell.link.frames import End, LinkError
from swell.link.transport import ChannelTransport
from swell.link.web import SOCKET_NAME_MAX, WEB_BOUNDS, WebAddress
from swell.logs import PeerLog

PATIENCE_S = patience(20.0)
MUCH = 16 << 20  #: more than all windows and buffers on the way
SITE = "co-0123456789abcdef.01234567"


class Site:
    """What listens at the socket of a container; tests say what it does with a connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connections: list[asyncio.StreamWriter] = []
        self.received = bytearray()
        self.serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any] = self.echo
        self.accepted = asyncio.Event()  #: another connection is in `connections`
        self.ended = asyncio.Event()  #: the end of what a client sends was seen

    async def start(self) -> None:
        self.server = await asyncio.start_unix_server(self._serve, self.path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        self.accepted.set()
        try:
            await self.serve(reader, writer)
        except ConnectionError:
            self.ended.set()
        finally:
            writer.close()

    async def echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send back what comes, and after its end one word more."""
        while data := await reader.read(1 << 16):
            self.received += data
            writer.write(data)
            await writer.drain()
        self.ended.set()
        writer.write(b"bye")


class Client(PeerConnection):
    """A connection of the edge's."""

    def __init__(self) -> None:
        super().__init__()
        self.received = bytearray()
        self.is_over = False
        self.was_broken = False
        self._news = asyncio.Event()

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.is_over, self.was_broken = True, exc is not None
        self._news.set()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not true():
                self._news.clear()
                await self._news.wait()


class Stranger:
    """The owner of a link that a test plays."""

    def __init__(self, token: bytes | None) -> None:
        self.token = token
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def linked(self, link: Link) -> None:
        self.link = link
        if self.token is not None:
            link.send_word(self.token)

    def beat(self) -> None: ...
    def word(self, body: bytes) -> None: ...
    def opened(self, link: Link, number: int) -> Channel:
        raise LinkError("not here")

    def lost(self, why: str) -> None:
        self.over.set_result(why)

    async def comes(self, agent: TlsAddress) -> Stranger:
        await dial(PinnedLink(End.SERVER, self, math.inf, address=agent, bounds=WEB_BOUNDS))
        return self

    async def ends(self) -> str:
        async with asyncio.timeout(PATIENCE_S):
            return await self.over


class Node:
    """An agent's web port, one site, and an edge's links."""

    def __init__(self, directory: Path) -> None:
        self.is_given_up = False
        self.held_back = asyncio.Semaphore(0)  #: released for each piece of bytes that came after it was given up
        self.port = WebPort(str(directory), "the token", self._is_given_up)
        self.site = Site(directory / SITE)
        self.links = NodeLinks(PeerLog(logging.getLogger("swell.edge")), node_timeout_s=PATIENCE_S)

    def _is_given_up(self) -> bool:
        if self.is_given_up:
            self.held_back.release()
        return self.is_given_up

    async def start(self) -> None:
        certificate = make_certificate()
        port = self.port.open("127.0.0.1", certificate)
        self.agent = TlsAddress("127.0.0.1", port, fingerprint_in(certificate))
        self.where = str(WebAddress(self.agent, "the token"))
        await self.site.start()

    async def connect(self, name: str = SITE) -> Client:
        async with asyncio.timeout(PATIENCE_S):
            self.site.accepted.clear()
            client = await self.links.connect(self.where, name, Client)
            await self.site.accepted.wait()
            return client

    async def stranger(self, token: bytes | None) -> Stranger:
        return await Stranger(token).comes(self.agent)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    node = Node(tmp_path)
    await node.start()
    yield node
    node.links.close()
    node.port.close()
    node.site.server.close()
    for writer in node.site.connections:
        writer.transport.abort()
    await asyncio.sleep(0)  # another pass of the loop, in which all are closed


async def test_bytes_pass_in_both_directions_and_each_ends_by_itself(node: Node) -> None:
    client = await node.connect()
    sent = bytes(range(256)) * (MUCH >> 8)
    client.transport.write(sent)
    await client.until(lambda: len(client.received) == MUCH)
    assert not node.site.ended.is_set()
    client.transport.write_eof()
    await client.until(lambda: client.is_over)
    assert node.site.ended.is_set()
    assert bytes(client.received) == sent + b"bye", "it answers after the end of what it was sent"
    assert not client.was_broken


async def test_connections_share_one_link_and_end_one_by_one(node: Node) -> None:
    first, second = await node.connect(), await node.connect()
    first.transport.abort()
    async with asyncio.timeout(PATIENCE_S):
        await node.site.ended.wait()
    second.transport.write(b"x")
    await second.until(lambda: second.received == b"x")
    node.site.connections[1].transport.abort()
    await second.until(lambda: second.is_over)


async def test_a_client_that_does_not_read_stops_its_container_and_no_other(node: Node) -> None:
    poured = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal poured
        while not writer.transport.is_closing():
            writer.write(bytes(1 << 16))
            poured += 1 << 16
            await writer.drain()

    node.site.serve = pour
    slow = await node.connect()
    slow.transport.pause_reading()
    node.site.serve = node.site.echo
    other = await node.connect()
    sent = 0
    while sent < poured:  # until nothing moves any more
        sent = poured
        for _ in range(50):
            before = len(other.received)
            other.transport.write(b"x")
            await other.until(lambda before=before: len(other.received) > before)
    assert sent < MUCH
    slow.transport.resume_reading()
    await slow.until(lambda: len(slow.received) > MUCH)


async def test_a_container_that_does_not_read_stops_its_client(node: Node) -> None:
    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await node.site.ended.wait()
        await node.site.echo(reader, writer)

    node.site.serve = wait
    client = await node.connect()
    client.transport.write(bytes(MUCH))
    assert client.transport.get_write_buffer_size() > MUCH // 2
    node.site.ended.set()
    await client.until(lambda: len(client.received) == MUCH)


NAMES = ["co-gone", "../" + SITE, "/etc/passwd", "", "co-1.x", "é", "x" * (SOCKET_NAME_MAX + 1)]


@pytest.mark.parametrize("name", NAMES)
async def test_who_is_no_container_accepts_nothing_and_the_link_goes_on(node: Node, name: str) -> None:
    client = await node.connect()
    with pytest.raises(ConnectionRefusedError):
        await node.connect(name)
    client.transport.write(b"x")
    await client.until(lambda: client.received == b"x")


async def test_a_container_that_was_killed_accepts_nothing_and_its_socket_is_removed(node: Node) -> None:
    container, method = SITE.split(".")[0], "method"
    node.port.launched(container, ["", method])
    left = node.site.path.with_name(container)
    left.touch()
    with pytest.raises(ConnectionRefusedError):
        await node.connect(container)
    node.port.exited(container)
    node.port.exited("co-unknown")
    assert not left.exists()


async def test_bytes_before_the_answer_are_passed_to_nobody(node: Node) -> None:
    guest = await node.stranger(b"the token")
    client = Client()
    channel = ChannelTransport(guest.link, client)
    channel.write(f"{SITE}\nGET / HTTP/1.1".encode())
    await client.until(lambda: client.is_over)
    assert (bytes(client.received), node.site.connections) == (b"", [])


async def test_more_connections_than_the_node_bears_are_refused(node: Node) -> None:
    node.port.connections_max = 1
    client = await node.connect()
    with pytest.raises(ConnectionRefusedError):
        await node.connect()
    client.transport.abort()
    await client.until(lambda: client.is_over)
    await node.connect()


# ---------------------------------------------------------------- who is not the edge


@pytest.mark.parametrize("token", [b"", b"another token", "the tokén".encode(), bytes(4 << 10)])
async def test_whoever_shows_another_token_is_gone(node: Node, token: bytes) -> None:
    guest = await node.stranger(token)
    await guest.ends()
    assert node.site.connections == []


async def test_whoever_opens_a_channel_before_the_token_is_gone(node: Node) -> None:
    guest = await node.stranger(None)
    client = Client()
    ChannelTransport(guest.link, client).write(f"{SITE}\n".encode())
    await guest.ends()
    assert node.site.connections == []


async def test_whoever_says_nothing_is_gone_after_a_while(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_port, "ENTER_S", 0.01)
    await (await node.stranger(None)).ends()


async def test_of_many_who_say_nothing_the_oldest_is_gone(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_port, "STRANGERS_MAX", 2)
    first, *_ = [await node.stranger(None) for _ in range(3)]
    await first.ends()
    await node.connect()


async def test_of_many_who_begin_no_handshake_the_oldest_are_gone(node: Node) -> None:
    before = len(os.listdir("/proc/self/fd"))
    sockets = [socket.create_connection(("127.0.0.1", node.agent.port)) for _ in range(60)]
    for each in sockets[: 60 - web_port.HANDSHAKES_MAX]:
        assert await asyncio.to_thread(each.recv, 1) == b""
    assert len(os.listdir("/proc/self/fd")) <= before + 60 + web_port.HANDSHAKES_MAX
    await node.connect()
    for each in sockets:
        each.close()


async def test_without_tls_nobody_is_served(node: Node) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", node.agent.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n" * 100)
    async with asyncio.timeout(PATIENCE_S):
        assert b"HTTP" not in await reader.read()
    writer.close()


async def test_an_edge_shows_its_token_to_the_right_agent_alone(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    context, seen = web_port.server_context(make_certificate())[0], bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await reader.read())
        writer.close()

    impostor = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=context)
    port = impostor.sockets[0].getsockname()[1]
    where = str(WebAddress(TlsAddress("127.0.0.1", port, node.agent.fingerprint), "the token"))
    with pytest.raises(ConnectionError):
        await node.links.connect(where, SITE, Client)
    assert seen == b""
    assert f"another server answers at 127.0.0.1 port {port}" in caplog.text
    assert "the token" not in caplog.text
    impostor.close()
    await impostor.wait_closed()


# ---------------------------------------------------------------- ends


async def test_the_end_of_the_agent_breaks_its_connections_and_refuses_others(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    client = await node.connect()
    node.port.close()
    await client.until(lambda: client.is_over)
    assert client.was_broken
    with pytest.raises(OSError):
        await node.connect()
    assert f"no server answers at 127.0.0.1 port {node.agent.port}" in caplog.text


async def test_the_end_of_the_edge_ends_what_containers_have(node: Node) -> None:
    await node.connect()
    node.links.close()
    async with asyncio.timeout(PATIENCE_S):
        await node.site.ended.wait()


async def test_a_process_that_was_given_up_passes_nothing_on(node: Node) -> None:
    client, guest = await node.connect(), await node.stranger(b"the token")
    node.is_given_up = True
    client.transport.write(b"run this")
    guest.link.send_word(b"a second word would end this")
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(2):
            await node.held_back.acquire()
    assert node.site.received == b""
    assert not guest.over.done()


async def test_a_link_that_has_carried_all_it_can_is_followed_by_another(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await node.connect()
    (link,) = node.links._links.values()
    with monkeypatch.context() as patched:
        patched.setattr("swell.link.frames.NUMBERS_MAX", 0)
        second = await node.connect()
    assert node.links._links[node.where] is not link
    link.beat()
    first.transport.write(b"x")
    await first.until(lambda: first.received == b"x")
    assert node.links._retired == {link}
    first.transport.abort()
    await first.until(lambda: first.is_over)
    link.beat()
    assert node.links._retired == set()
    second.transport.write(b"y")
    await second.until(lambda: second.received == b"y")
