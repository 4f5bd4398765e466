"""A connection for files: what it holds, and how much it gives TLS at once."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from typing import Any, cast

import pytest

from swell.link.bulk import CHUNK, LINE_MAX, SLICE, BulkStream

DATA = os.urandom(2 * CHUNK + 5)


class Sent:
    """A connection that keeps what it is given to send."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def settimeout(self, seconds: float | None) -> None: ...

    def sendall(self, data: bytes | memoryview) -> None:
        self.parts.append(bytes(data))


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, BulkStream]]:
    """A peer, and the end that reads from it."""
    peer, end = socket.socketpair()
    with peer, end:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)  # takes all that is sent here
        yield peer, BulkStream(cast("Any", end))


def test_a_file_is_sent_in_slices_so_that_each_has_its_own_time() -> None:
    connection = Sent()
    with tempfile.TemporaryFile() as file:
        file.write(DATA)
        file.flush()
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        BulkStream(cast("Any", connection)).send_file(file.fileno(), len(DATA))
    assert b"".join(connection.parts) == DATA
    assert max(len(part) for part in connection.parts) == SLICE


@pytest.mark.parametrize("sizes", [(len(DATA),), (1_000,) * 3, (60_000,) * 30, (10, CHUNK, 20)])
def test_pieces_are_sent_in_slices_as_well(sizes: tuple[int, ...]) -> None:
    connection, at = Sent(), 0
    pieces: list[memoryview] = []
    for size in sizes:
        pieces.append(memoryview(DATA)[at : at + size])
        at += size
    BulkStream(cast("Any", connection)).send_pieces(pieces)
    assert b"".join(connection.parts) == DATA[:at]
    assert max(len(part) for part in connection.parts) <= SLICE


def test_one_that_has_sent_lines_alone_holds_little_memory(pair: tuple[socket.socket, BulkStream]) -> None:
    peer, stream = pair
    peer.sendall(b"token\nget a\n")
    assert [stream.receive_line(), stream.receive_line()] == ["token", "get a"]
    assert stream._buffer.nbytes == LINE_MAX


def test_the_file_after_a_line_is_whole_also_where_both_came_at_once(pair: tuple[socket.socket, BulkStream]) -> None:
    peer, stream = pair
    data = DATA[:100_000]
    peer.sendall(b"put a\n" + data + b"next\n")
    assert stream.receive_line() == "put a"
    with tempfile.TemporaryFile() as file:
        stream.receive_file(file.fileno(), len(data))
        file.seek(0)
        assert file.read() == data
    assert stream.receive_line() == "next"
