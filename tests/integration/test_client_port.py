"""The port for clients on other machines: who gets in, what a stranger costs, and how files travel."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from patience import wait_until

from swell.errors import AuthError, ConnectionError, DeserializationError, InvalidError, SerializationError
from swell.link.bulk import BulkError, BulkStream
from swell.link.bulk_pool import IDLE_MAX, BulkPool
from swell.link.certificate import FILES, MESSAGES, TlsAddress, client_context, make_certificate
from swell.sdk.connection.remote_shelf import RemoteShelf
from swell.sdk.connection.tls_socket import TlsSocket, connect_tls
from swell.server.client_files import ClientFiles
from swell.server.client_port import STRANGERS_MAX, ClientPort
from swell.wire import blobs
from swell.wire.blob_names import KEPT
from swell.wire.shelf import Shelf

MB = 1 << 20
FILE_MAX = 8 * MB
TOKEN = "t" * 32
CERTIFICATE = make_certificate()


class Echo(asyncio.Protocol):
    """A peer that answers with what it was sent."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


class Port:
    """A port in this process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / KEPT).mkdir()
        self.dropped: list[str] = []
        files = ClientFiles(str(directory), FILE_MAX, TOKEN, self.dropped.append)
        self.port = ClientPort("127.0.0.1", 0, certificate=CERTIFICATE, connect=Echo, files=files)
        self.port.start()
        self.address = TlsAddress.parse(self.port.address)
        self.here = Shelf(str(directory))
        self.there = RemoteShelf(self.port.address, TOKEN)

    def plain(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.address.port), 30.0)

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.directory)) for path in self.directory.rglob("*") if path.is_file())


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[Port]:
    found = Port(tmp_path)
    yield found
    found.there.close()
    await found.port.close()

    def threads_end() -> None:
        for thread in threading.enumerate():
            if thread.name == "bulk":
                thread.join(10.0)
                assert not thread.is_alive()

    await asyncio.to_thread(threads_end)


def echoed(connection: TlsSocket, data: bytes) -> bytes:
    """Send bytes and read them back, as a link does: whenever nothing can be sent, what has come is read."""
    left, back = memoryview(data), bytearray()
    while left or len(back) < len(data):
        with contextlib.suppress(BlockingIOError):
            if left:
                left = left[connection.send(left) :]
                continue
        with contextlib.suppress(BlockingIOError):
            back += connection.recv(1)
    return bytes(back)


# ---------------------------------------------------------------- messages


@pytest.mark.parametrize("size", [0, 1, 100_000, 20 * MB])
async def test_bytes_come_back_as_they_were_sent(port: Port, size: int) -> None:
    connection = await asyncio.to_thread(connect_tls, port.port.address)
    data = random.Random(size).randbytes(size)
    assert await asyncio.to_thread(echoed, connection, data) == data
    connection.close()


async def test_many_threads_have_connections_at_once(port: Port) -> None:
    def talk(number: int) -> bool:
        connection = connect_tls(port.port.address)
        try:
            return all(echoed(connection, bytes([number]) * 1_000) == bytes([number]) * 1_000 for _ in range(20))
        finally:
            connection.close()

    assert all(await asyncio.gather(*(asyncio.to_thread(talk, number) for number in range(8))))


async def test_the_end_of_the_server_is_the_end_of_the_stream(port: Port) -> None:
    connection = await asyncio.to_thread(connect_tls, port.port.address)
    assert await asyncio.to_thread(echoed, connection, b"hello") == b"hello"
    connection.shutdown(socket.SHUT_RDWR)
    assert await asyncio.to_thread(connection.recv, 1) == b""
    connection.close()


async def test_another_server_gets_nothing_and_both_fingerprints_are_named(port: Port) -> None:
    wrong = TlsAddress("127.0.0.1", port.address.port, "0" * 64)
    with pytest.raises(AuthError, match=rf"its fingerprint is {port.address.fingerprint}, and 0{{64}} was expected"):
        await asyncio.to_thread(connect_tls, str(wrong))
    with pytest.raises(DeserializationError, match="its fingerprint differs"):
        await asyncio.to_thread(blobs.unpack, b"fc-1.0.in", RemoteShelf(str(wrong), TOKEN))


async def test_a_port_without_tls_or_without_anybody_is_named(port: Port) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = TlsAddress("127.0.0.1", silent.getsockname()[1], "0" * 64)

        def close_at_once() -> None:
            silent.accept()[0].close()

        closing = asyncio.create_task(asyncio.to_thread(close_at_once))
        with pytest.raises(ConnectionError, match="no server of swell answers at tls://127"):
            await asyncio.to_thread(connect_tls, str(address))
        await closing
    with pytest.raises(ConnectionError, match="no server listens at tls://127"):
        await asyncio.to_thread(connect_tls, str(address))


async def test_a_port_that_is_taken_is_named_with_what_chooses_another(port: Port) -> None:
    with pytest.raises(InvalidError, match=r"cannot listen for clients at 127\.0\.0\.1:\d+: .*SWELL_LISTEN_PORT"):
        ClientPort(
            "127.0.0.1",
            port.address.port,
            certificate=CERTIFICATE,
            connect=Echo,
            files=ClientFiles("", 0, TOKEN, lambda _: None),
        )


# ---------------------------------------------------------------- strangers


def first_message(service: str = MESSAGES) -> bytes:
    """Return how a client of swell begins."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context(service).wrap_bio(incoming, outgoing, server_hostname="swell")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def first_bytes(chance: random.Random) -> bytes:
    """Return what a peer may begin with that is not, or not quite, a client."""
    hello = bytearray(first_message())
    match chance.randrange(6):
        case 0:
            return chance.randbytes(chance.randrange(1, 2_000))
        case 1:
            return b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        case 2:
            return bytes(hello[: chance.randrange(1, len(hello))])
        case 3:
            for _ in range(chance.randrange(1, 5)):
                hello[chance.randrange(len(hello))] = chance.randrange(256)
            return bytes(hello)
        case 4:
            return b"\x16\x03\x01\xff\xff" + bytes(100)
        case _:
            return bytes(hello) + chance.randbytes(chance.randrange(2_000)) + FILES.encode()


async def test_whatever_a_peer_begins_with_the_next_client_is_served(port: Port) -> None:
    chance = random.Random(13)

    def knock() -> None:
        for _ in range(150):
            with port.plain() as plain, contextlib.suppress(OSError):  # it is refused before it has said all
                plain.sendall(first_bytes(chance))
                if chance.random() < 0.3:
                    plain.shutdown(socket.SHUT_WR)

    await asyncio.to_thread(knock)
    connection = await asyncio.to_thread(connect_tls, port.port.address)
    assert await asyncio.to_thread(echoed, connection, b"hello") == b"hello"
    connection.close()
    acceptor = port.port._acceptor
    assert acceptor is not None
    await asyncio.to_thread(wait_until, lambda: not acceptor._strangers)
    assert port.files() == []


async def test_what_does_not_begin_as_tls_does_is_closed_without_a_word(port: Port) -> None:
    with port.plain() as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.to_thread(plain.recv, 100) == b""


def ended(connection: socket.socket) -> bool:
    """Tell whether the server has ended a connection over which it sends nothing."""
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


async def test_strangers_who_say_nothing_are_put_out_by_others(port: Port) -> None:
    sockets = [port.plain() for _ in range(4 * STRANGERS_MAX)]  # in one pass of the loop
    for each in sockets:
        each.setblocking(False)
    await asyncio.to_thread(wait_until, lambda: ended(sockets[-STRANGERS_MAX - 1]))
    assert [ended(each) for each in sockets] == 3 * STRANGERS_MAX * [True] + STRANGERS_MAX * [False]
    connection = await asyncio.to_thread(connect_tls, port.port.address)
    assert await asyncio.to_thread(echoed, connection, b"hello") == b"hello"
    connection.close()
    for each in sockets:
        each.close()


async def test_a_stranger_who_is_slow_is_given_up(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swell.server.client_port.HANDSHAKE_S", 0.05)
    with port.plain() as plain:
        plain.sendall(first_message()[:20])
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.to_thread(plain.recv, 1) == b""


async def test_strangers_who_want_files_and_show_no_token_are_put_out_as_well(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swell.bulk_service.CONNECT_S", 600.0)
    hello, sockets = first_message(FILES), list[socket.socket]()
    for _ in range(2 * STRANGERS_MAX + 1):
        sockets.append(port.plain())
        sockets[-1].sendall(hello)
    acceptor = port.port._acceptor
    assert acceptor is not None
    await asyncio.to_thread(wait_until, lambda: not acceptor._strangers and threads() == STRANGERS_MAX)
    for each in sockets:
        each.close()


def threads() -> int:
    return sum(thread.name == "bulk" for thread in threading.enumerate())


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("name", ["fc-1.0.in", "kept/fc-1.0.in"])
async def test_values_travel_both_ways_and_no_file_is_made_at_the_client(port: Port, name: str) -> None:
    value = [os.urandom(3 * MB), "end", *(bytes([i]) * 70_000 for i in range(5))]
    data, is_blob = await asyncio.to_thread(blobs.pack, value, 0, port.there, name)
    assert is_blob
    assert blobs.unpack(data, port.here) == value
    assert await asyncio.to_thread(blobs.unpack, data, port.there) == value
    assert await asyncio.to_thread(blobs.starts_with, b"\x80", data, port.there)
    assert port.files() == [name]
    await asyncio.to_thread(blobs.discard, data, port.there)
    assert port.dropped == [name]


async def test_an_array_that_was_fetched_may_be_written_to(port: Port) -> None:
    data, _ = blobs.pack(bytearray(MB), 0, port.here, "fc-1.0.out")
    whole = await asyncio.to_thread(port.there.read, data.decode())
    whole[-1:] = b"x"
    assert blobs.unpack(data, port.here) == bytearray(MB)


async def test_a_value_over_the_bound_and_one_that_is_not_there_are_named(port: Port) -> None:
    with pytest.raises(
        SerializationError, match=r"in the shelf of the server at 127\.0\.0\.1:\d+: .*over the limit of 8"
    ):
        await asyncio.to_thread(blobs.pack, bytes(9 * MB), 0, port.there, "fc-1.0.in")
    with pytest.raises(DeserializationError, match=r"the server cannot read fc-2\.0\.out: No such file"):
        await asyncio.to_thread(blobs.unpack, b"fc-2.0.out", port.there)
    assert port.files() == []


async def test_without_the_token_there_are_no_files(port: Port) -> None:
    blobs.pack(bytes(MB), 0, port.here, "fc-1.0.out")
    with pytest.raises(DeserializationError, match="the connection ended"):
        await asyncio.to_thread(blobs.unpack, b"fc-1.0.out", RemoteShelf(port.port.address, "wrong"))


async def test_connections_that_the_server_has_ended_are_replaced(port: Port) -> None:
    data, _ = blobs.pack(bytes(MB), 0, port.here, "fc-1.0.out")
    await keep_idle(port.there, IDLE_MAX)
    for stream in await idle(port, IDLE_MAX):
        stream.abort()
    assert await asyncio.to_thread(blobs.unpack, data, port.there) == bytes(MB)


async def keep_idle(shelf: RemoteShelf, count: int) -> None:
    """Have a client keep so many connections."""
    together = threading.Barrier(count)

    def use(stream: BulkStream) -> None:
        together.wait(20.0)
        stream.send_line("drop fc-9.0.out")
        stream.answer()

    await asyncio.gather(*(asyncio.to_thread(shelf._run, use) for _ in range(count)))


async def idle(port: Port, count: int) -> list[BulkStream]:
    """Return the connections that are idle at the server, as soon as they are so many."""
    await asyncio.to_thread(wait_until, lambda: len(port.port._files._idle) == count)
    return list(port.port._files._idle)


async def test_the_connection_that_was_idle_longest_makes_room(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swell.server.client_files.CONNECTIONS_MAX", 2)
    data, _ = blobs.pack(bytes(MB), 0, port.here, "fc-1.0.out")
    await keep_idle(port.there, 2)
    others = [RemoteShelf(port.port.address, TOKEN) for _ in range(2)]
    for shelf in (*others, port.there):
        kept = await idle(port, 2)
        assert await asyncio.to_thread(blobs.unpack, data, shelf) == bytes(MB)
        assert (await idle(port, 2))[0] == kept[1]
    for shelf in others:
        shelf.close()


async def test_where_all_connections_are_in_use_a_client_is_told_so(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swell.server.client_files.CONNECTIONS_MAX", 1)
    pool = BulkPool(port.address, TOKEN, FILES)

    def meanwhile(stream: BulkStream) -> None:
        stream.send_line(f"put {MB} fc-1.0.in")
        assert stream.answer() == "ok"
        with pytest.raises(DeserializationError, match="the server carries 1 values of clients at once, and no more"):
            blobs.unpack(b"fc-1.0.out", port.there)
        stream.send_pieces([memoryview(bytes(MB))])
        assert stream.answer() == "ok"

    await asyncio.to_thread(pool.run, meanwhile)
    pool.close()
    assert port.files() == ["fc-1.0.in"]


async def test_what_a_client_was_sending_that_is_gone_never_comes_to_be(port: Port) -> None:
    pool = BulkPool(port.address, TOKEN, FILES)

    def begin(stream: BulkStream) -> None:
        stream.send_line(f"put {2 * MB} fc-1.0.in")
        assert stream.answer() == "ok"
        stream.send_pieces([memoryview(bytes(MB))])
        raise BulkError("killed")

    with pytest.raises(BulkError, match="killed"):
        await asyncio.to_thread(pool.run, begin)
    await asyncio.to_thread(wait_until, lambda: not port.files())
