"""Connections that are kept: one that has ended meanwhile costs a transfer nothing."""

from __future__ import annotations

from typing import Any, cast

import pytest

from swell.link.bulk import BulkStream
from swell.link.bulk_pool import IDLE_MAX, TRIES, BulkPool, Transfer
from swell.link.certificate import TlsAddress


class Stream:
    """A connection that ends when the server does."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.life = server.life
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.life = -1


class Server:
    """Begins anew with `life`, which ends all connections."""

    def __init__(self) -> None:
        self.life = 0
        self.streams: list[Stream] = []

    def connect(self) -> BulkStream:
        self.streams.append(Stream(self))
        return cast("Any", self.streams[-1])

    @property
    def open(self) -> int:
        return sum(not stream.is_closed for stream in self.streams)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def pool(server: Server, monkeypatch: pytest.MonkeyPatch) -> BulkPool:
    """A pool with as many idle connections as it keeps."""
    pool = BulkPool(TlsAddress("127.0.0.1", 1, "0" * 64), "token")
    monkeypatch.setattr(pool, "_connect", server.connect)

    def nested(depth: int) -> None:
        pool.run(lambda _: nested(depth - 1) if depth > 1 else None)

    nested(IDLE_MAX + 1)
    assert (len(server.streams), server.open) == (IDLE_MAX + 1, IDLE_MAX)
    return pool


def transferred(stream: BulkStream) -> str:
    own = cast("Stream", stream)
    if own.life != own.server.life:
        raise ConnectionResetError("the connection ended")
    return "whole"


def test_a_transfer_is_carried_though_all_kept_connections_have_ended(pool: BulkPool, server: Server) -> None:
    server.life += 1
    assert pool.run(transferred) == "whole"
    assert (len(server.streams), server.open) == (IDLE_MAX + 2, 1), "the others are not tried"


def test_a_kept_connection_is_used_again(pool: BulkPool, server: Server) -> None:
    assert pool.run(transferred) == "whole"
    assert (len(server.streams), server.open) == (IDLE_MAX + 1, IDLE_MAX)


def test_a_server_that_ends_every_connection_is_given_up(pool: BulkPool, server: Server) -> None:
    def broken(stream: BulkStream) -> str:
        server.life += 1
        return transferred(stream)

    with pytest.raises(ConnectionResetError):
        pool.run(broken)
    assert (len(server.streams), server.open) == (IDLE_MAX + 1 + TRIES, 0)


def test_a_transfer_that_was_ended_does_not_begin_again(pool: BulkPool, server: Server) -> None:
    transfer = Transfer()

    def ended(stream: BulkStream) -> str:
        transfer.abort()
        return transferred(stream)

    with pytest.raises(ConnectionResetError):
        pool.run(ended, transfer)
    assert len(server.streams) == IDLE_MAX + 1
