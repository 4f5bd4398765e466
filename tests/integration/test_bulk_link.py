"""The bulk link between a server's shelf and that of a node: real sockets, TLS and threads, in one process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from patience import wait_until

from swell.agent.bulk import BulkClient
from swell.agent.shelf import AgentShelf
from swell.agent.shelf_space import ShelfSpace
from swell.backends.agents.bulk import BulkServer
from swell.bulk_service import STRANGERS_MAX
from swell.errors import DeserializationError, SerializationError
from swell.link.bulk import BulkError, BulkStream, connect
from swell.link.bulk_pool import Transfer
from swell.link.certificate import TlsAddress, client_context, make_certificate, server_context
from swell.private_files import bind_socket
from swell.wire import blobs
from swell.wire.blob_names import KEPT
from swell.wire.shelf import LINE_MAX, Shelf

MB = 1 << 20
LONG = "x" * 9_000
FILE_MAX = 8 * MB
NODE_MAX = 6 * MB
LOGGER = "swell.server"


class Cluster:
    """A server and one node, and what they log."""

    def __init__(self, directory: Path, log: pytest.LogCaptureFixture) -> None:
        self.server_dir, self.node_dir = directory / "server", directory / "node"
        for each in (self.server_dir, self.node_dir):
            (each / KEPT).mkdir(parents=True)
        self.bundle_dir = directory / "bundles"
        self.bundle_dir.mkdir()
        self.log = log
        self.bulk = BulkServer(str(self.server_dir), str(self.bundle_dir), FILE_MAX)
        self.context, self.fingerprint = server_context(make_certificate())
        self.address = TlsAddress("127.0.0.1", self.bulk.start("127.0.0.1", self.context), self.fingerprint)
        self.token = self.bulk.admit("node-1")
        self.dropped: list[str] = []
        self.here = Shelf(str(self.server_dir))
        self.there = Shelf(str(self.node_dir), str(directory / "shelf.sock"))
        self.space = ShelfSpace(str(self.node_dir), NODE_MAX)
        self.client = BulkClient(self.address, self.token, str(self.node_dir), self.space)
        self.agent = AgentShelf(str(self.node_dir), self.space, self.client, self.dropped.append)

    async def start(self) -> asyncio.Server:
        listener = bind_socket(str(self.node_dir.parent / "shelf.sock"))
        return await asyncio.start_unix_server(self.agent.serve, sock=listener, limit=LINE_MAX)

    def put(self, name: str, value: object) -> bytes:
        """Put a value on the server's shelf; return its name."""
        return blobs.pack(value, 0, self.here, name)[0]

    def stranger(self, token: str, port: int = 0) -> BulkStream:
        connection = connect("127.0.0.1", port or self.address.port, client_context())
        connection.settimeout(5.0)
        stream = BulkStream(connection)
        stream.send_line(token)
        return stream

    @property
    def sent(self) -> list[str]:
        return [r.message for r in self.log.records if "was sent to node" in r.message]

    def files(self, directory: Path) -> list[str]:
        return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


@pytest.fixture
async def cluster(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Cluster]:
    caplog.set_level(logging.DEBUG, LOGGER)
    cluster = Cluster(tmp_path, caplog)
    server = await cluster.start()
    yield cluster
    server.close()
    cluster.agent.close()
    cluster.bulk.close()
    await asyncio.to_thread(threads_end)


def threads_end() -> None:
    for thread in threading.enumerate():
        if thread.name == "bulk":
            thread.join(10.0)
            assert not thread.is_alive()


async def until(true: Callable[[], bool]) -> None:
    """Wait until other threads have done something."""
    await asyncio.to_thread(wait_until, true)


# ---------------------------------------------------------------- what containers do


@pytest.mark.parametrize("name", ["fc-1.0.in", "kept/fc-1.0.in"])
async def test_what_is_missing_is_fetched_and_read_like_any_other(cluster: Cluster, name: str) -> None:
    data = cluster.put(name, [os.urandom(2 * MB), "end"])
    value = await asyncio.to_thread(blobs.unpack, data, cluster.there)
    assert value == blobs.unpack(data, cluster.here)
    assert await asyncio.to_thread(blobs.unpack, data, cluster.there) == value
    assert cluster.files(cluster.node_dir) == [name]
    assert len(cluster.sent) == 1


async def test_ten_containers_want_a_blob_at_once_and_it_travels_once(cluster: Cluster) -> None:
    data = cluster.put("fc-1.0.in", bytes(4 * MB))
    wanted = [asyncio.to_thread(blobs.unpack, data, cluster.there) for _ in range(10)]
    assert [len(value) for value in await asyncio.gather(*wanted)] == [4 * MB] * 10
    assert len(cluster.sent) == 1


@pytest.mark.parametrize("name", ["fc-1.0.out", "kept/fc-1.0.out"])
async def test_the_server_has_what_is_stored_and_the_node_has_it_no_more(cluster: Cluster, name: str) -> None:
    value = os.urandom(3 * MB)
    data, _ = await asyncio.to_thread(blobs.pack, value, 0, cluster.there, name)
    assert blobs.unpack(data, cluster.here) == value
    assert cluster.files(cluster.node_dir) == []
    assert cluster.files(cluster.server_dir) == [name]


async def test_a_blob_that_a_container_has_read_last_is_dropped_everywhere(cluster: Cluster) -> None:
    data = cluster.put("fc-1.0.out", bytes(MB))
    await asyncio.to_thread(blobs.unpack, data, cluster.there)
    await asyncio.to_thread(blobs.discard, data, cluster.there)
    await until(lambda: cluster.dropped == ["fc-1.0.out"])
    assert cluster.files(cluster.node_dir) == []


async def test_what_begins_a_blob_is_seen_from_a_node_as_well(cluster: Cluster) -> None:
    data = blobs.store([memoryview(b"\0json" + bytes(MB))], cluster.here, "fc-1.0.in")
    assert await asyncio.to_thread(blobs.starts_with, b"\0json", data, cluster.there)
    assert not await asyncio.to_thread(blobs.starts_with, b"\0json", b"fc-2.0.in", cluster.there)


async def test_nodes_with_a_copy_are_known_until_it_is_deleted(cluster: Cluster) -> None:
    data = cluster.put("fc-1.0.in", bytes(MB))
    await asyncio.to_thread(blobs.unpack, data, cluster.there)
    await asyncio.to_thread(blobs.pack, bytes(MB), 0, cluster.there, "fc-1.1.out")
    assert cluster.bulk.deleted("fc-1.1.out") == set()
    assert cluster.bulk.deleted("fc-1.0.in") == {"node-1"}
    assert cluster.bulk.deleted("fc-1.0.in") == set()
    cluster.agent.forget(("fc-1.0.in", "fc-9.0.in"))
    assert cluster.files(cluster.node_dir) == []


# ---------------------------------------------------------------- what fails


async def test_a_blob_that_the_server_does_not_have_is_told_and_can_be_fetched_later(cluster: Cluster) -> None:
    with pytest.raises(DeserializationError, match=r"the server cannot read fc-1\.0\.in: No such file"):
        await asyncio.to_thread(blobs.unpack, b"fc-1.0.in", cluster.there)
    assert cluster.bulk.deleted("fc-1.0.in") == set()
    data = cluster.put("fc-1.0.in", bytes(MB))
    assert len(await asyncio.to_thread(blobs.unpack, data, cluster.there)) == MB


async def test_a_full_shelf_fails_one_input_and_not_the_next(cluster: Cluster) -> None:
    with pytest.raises(SerializationError, match=r"more than the shelf of this node may hold: 6291456 \(node_blob_"):
        await asyncio.to_thread(blobs.pack, bytes(7 * MB), 0, cluster.there, "fc-1.0.out")
    data = cluster.put("fc-1.1.in", bytes(7 * MB))
    with pytest.raises(DeserializationError, match="more than the shelf of this node may hold"):
        await asyncio.to_thread(blobs.unpack, data, cluster.there)
    assert cluster.files(cluster.node_dir) == []
    for i in range(4):
        data = cluster.put(f"fc-2.{i}.in", bytes(2 * MB))
        assert len(await asyncio.to_thread(blobs.unpack, data, cluster.there)) == 2 * MB
    assert cluster.files(cluster.node_dir) == ["fc-2.2.in", "fc-2.3.in"]


async def test_a_value_over_the_servers_bound_is_refused_before_it_is_sent(cluster: Cluster) -> None:
    (cluster.node_dir / "fc-1.0.out").write_bytes(b"")
    os.truncate(cluster.node_dir / "fc-1.0.out", FILE_MAX + 1)
    stream = cluster.stranger(cluster.token)
    stream.send_line(f"put {FILE_MAX + 1} fc-1.0.out")
    with pytest.raises(BulkError, match=r"over the limit of 8388608 \(payload_max\)"):
        stream.answer()
    stream.close()
    assert cluster.files(cluster.server_dir) == []


async def test_a_server_without_room_says_so(cluster: Cluster) -> None:
    bulk = BulkServer(str(cluster.server_dir), str(cluster.bundle_dir), 1 << 62)
    port = bulk.start("127.0.0.1", cluster.context)
    stream = cluster.stranger(bulk.admit("node-2"), port)
    stream.send_line(f"put {1 << 60} fc-1.0.out")
    with pytest.raises(BulkError, match="the server has no room for blob"):
        stream.answer()
    stream.close()
    bulk.close()


@contextlib.contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let no file of this process become longer, as if the disk was full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_disk_of_the_server_that_fills_is_named_and_the_next_one_is_stored(cluster: Cluster) -> None:
    (cluster.node_dir / "fc-1.0.out").write_bytes(os.urandom(5 * MB))
    with files_up_to(2 * MB), pytest.raises(BulkError, match=r"cannot store blob fc-1\.0\.out: .*: File too large"):
        await asyncio.to_thread(cluster.client.send, "fc-1.0.out", Transfer())
    assert cluster.files(cluster.server_dir) == []
    await asyncio.to_thread(cluster.client.send, "fc-1.0.out", Transfer())
    assert cluster.files(cluster.server_dir) == ["fc-1.0.out"]


async def test_a_disk_of_a_node_that_fills_is_named(cluster: Cluster) -> None:
    data = cluster.put("fc-1.0.in", bytes(4 * MB))
    with files_up_to(2 * MB), pytest.raises(DeserializationError, match="cannot be written: File too large"):
        await asyncio.to_thread(blobs.unpack, data, cluster.there)
    assert cluster.files(cluster.node_dir) == []
    assert len(await asyncio.to_thread(blobs.unpack, data, cluster.there)) == 4 * MB


async def test_a_connection_that_broke_is_replaced(cluster: Cluster) -> None:
    for i in range(3):
        data = cluster.put(f"fc-1.{i}.in", bytes(MB))
        assert len(await asyncio.to_thread(blobs.unpack, data, cluster.there)) == MB
        with cluster.bulk._lock:
            streams = list(cluster.bulk._members[cluster.bulk._tokens["node-1"]].streams)
        assert streams
        for stream in streams:
            stream.abort()


async def test_a_container_that_ends_before_its_blob_is_written_leaves_nothing(cluster: Cluster) -> None:
    def begin_to_write() -> None:
        with cluster.there.publishing("fc-1.0.out", 5 * MB):
            (cluster.node_dir / "~fc-1.0.out.7.8").write_bytes(bytes(MB))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await asyncio.to_thread(begin_to_write)
    await until(lambda: not cluster.agent._stores)
    assert cluster.files(cluster.node_dir) == []
    data, _ = await asyncio.to_thread(blobs.pack, bytes(5 * MB), 0, cluster.there, "fc-1.0.out")
    assert len(blobs.unpack(data, cluster.here)) == 5 * MB


async def test_what_a_lost_node_was_sending_never_comes_to_be(cluster: Cluster) -> None:
    stream = cluster.stranger(cluster.token)
    stream.send_line(f"put {2 * MB} fc-1.0.out")
    assert await asyncio.to_thread(stream.answer) == "ok"
    file = os.open(cluster.node_dir / "half", os.O_RDWR | os.O_CREAT)
    os.truncate(file, MB)
    stream.send_file(file, MB)
    os.close(file)
    assert [name[:12] for name in cluster.files(cluster.server_dir)] == ["~fc-1.0.out."]
    cluster.bulk.expel("node-1")
    await until(lambda: not cluster.files(cluster.server_dir))
    with pytest.raises(OSError):
        await asyncio.to_thread(stream.answer)
    stream.close()


async def test_a_peer_that_stops_in_the_middle_of_a_file_is_given_up(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = cluster.stranger(cluster.token)
    stream.send_line(f"put {2 * MB} fc-1.0.out")
    assert await asyncio.to_thread(stream.answer) == "ok"
    monkeypatch.setattr("swell.link.bulk.STALL_S", 0.01)
    other = cluster.stranger(cluster.token)
    other.send_line(f"put {2 * MB} fc-2.0.out")
    with pytest.raises((BulkError, OSError)):
        await asyncio.to_thread(other.answer)
        await asyncio.to_thread(other.answer)
    other.close()
    stream.close()
    await until(lambda: not cluster.files(cluster.server_dir))


# ---------------------------------------------------------------- who is let in


async def test_without_a_token_of_a_node_there_is_nothing(cluster: Cluster) -> None:
    cluster.put("fc-1.0.in", bytes(MB))
    stream = cluster.stranger("wrong")
    stream.send_line("get fc-1.0.in")
    with pytest.raises(OSError):
        await asyncio.to_thread(stream.answer)
    stream.close()
    cluster.bulk.expel("node-1")
    stream = cluster.stranger(cluster.token)
    stream.send_line("get fc-1.0.in")
    with pytest.raises(OSError):
        await asyncio.to_thread(stream.answer)
    stream.close()


async def test_an_agent_sends_no_token_to_another_server(cluster: Cluster) -> None:
    other, _ = server_context(make_certificate())
    bulk = BulkServer(str(cluster.server_dir), str(cluster.bundle_dir), FILE_MAX)
    address = TlsAddress("127.0.0.1", bulk.start("127.0.0.1", other), cluster.fingerprint)
    client = BulkClient(address, "secret", str(cluster.node_dir), cluster.space)
    with pytest.raises(BulkError, match="its fingerprint differs"):
        await asyncio.to_thread(client.fetch, "fc-1.0.in")
    bulk.close()


@pytest.mark.parametrize(
    "request_",
    ["get ../../etc/passwd", "get kept", "put -1 a", "put 9 ~a/b", "put x a", "take a", "get a b", LONG],
)
async def test_what_is_no_request_ends_the_connection(cluster: Cluster, request_: str) -> None:
    stream = cluster.stranger(cluster.token)
    stream.send_line(request_)
    with pytest.raises(OSError):
        await asyncio.to_thread(stream.answer)
    stream.close()
    assert cluster.files(cluster.server_dir) == []


@pytest.mark.parametrize("line", ["fetch ../a", "fetch kept", "store x a", "store 9 ../a", "eat a", "x" * 9_000])
async def test_what_is_no_request_of_a_container_is_refused(cluster: Cluster, line: str) -> None:
    reader, writer = await asyncio.open_unix_connection(str(cluster.node_dir.parent / "shelf.sock"))
    writer.write(f"{line}\n".encode())
    answer = await reader.read()
    assert not answer.startswith(b"ok")
    writer.close()


async def test_strangers_who_say_nothing_are_put_out_by_others(cluster: Cluster) -> None:
    sockets = [socket.create_connection(("127.0.0.1", cluster.address.port)) for _ in range(STRANGERS_MAX + 1)]
    assert await asyncio.to_thread(sockets[0].recv, 1) == b""
    for each in sockets:
        each.close()
    data = cluster.put("fc-1.0.in", bytes(MB))
    assert len(await asyncio.to_thread(blobs.unpack, data, cluster.there)) == MB


async def test_a_peer_without_tls_gets_nothing(cluster: Cluster) -> None:
    cluster.put("fc-1.0.in", bytes(MB))
    with socket.create_connection(("127.0.0.1", cluster.address.port)) as plain:
        plain.sendall(f"{cluster.token}\nget fc-1.0.in\n".encode())
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while read := await asyncio.to_thread(plain.recv, 100):
                answer += read
    assert len(answer) < 100, "an alert of TLS at most"
    assert not cluster.sent
