"""The shelf of a client on another machine: blobs are in its memory alone, and travel to and from the server.

They travel over connections beside that for messages, which are kept for the next ones. Nothing is written to a file
here, so nothing is left of a client that is killed. This module must not know what is in a blob.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

from swell.link.bulk import BulkError, BulkStream
from swell.link.bulk_pool import BulkPool
from swell.link.certificate import FILES, TlsAddress
from swell.wire.shelf import Shelf, ShelfError

__all__ = ["RemoteShelf"]

R = TypeVar("R")


class RemoteShelf(Shelf):
    """Where the blobs of a server on another machine are. Any thread may use it, also after a fork."""

    __slots__ = ("_address", "_pools", "_token")

    is_elsewhere = True

    def __init__(self, address: str, token: str) -> None:
        """Prepare; connections are made when they are needed.

        Raises:
            InvalidError: that is no address.
        """
        super().__init__("")
        self._address = TlsAddress.parse(address)
        self.place = f"the shelf of the server at {self._address.host}:{self._address.port}"
        self._token = token
        self._pools: dict[int, BulkPool] = {}  # at most one, by the process that it belongs to

    def read(self, name: str) -> memoryview:
        """Return a blob."""
        return self._run(lambda stream: _receive(stream, name))

    def write(self, name: str, pieces: Sequence[memoryview]) -> None:
        """Send a blob."""
        self._run(lambda stream: _send(stream, name, pieces))

    def drop(self, name: str) -> None:
        """Have a blob deleted; one that cannot be is left for the server to delete at its end."""
        try:
            self._run(lambda stream: _drop(stream, name))
        except (OSError, ShelfError):
            return

    def close(self) -> None:
        """Close the connections that are not in use."""
        if (pool := self._pools.pop(os.getpid(), None)) is not None:
            pool.close()

    def _run(self, act: Callable[[BulkStream], R]) -> R:
        pid = os.getpid()
        if (pool := self._pools.get(pid)) is None:
            for parent in self._pools.keys() - {pid}:
                self._pools.pop(parent, None)
            pool = self._pools.setdefault(pid, BulkPool(self._address, self._token, FILES))  # one for all threads
        try:
            return pool.run(act)
        except BulkError as error:
            raise ShelfError(str(error)) from error


def _receive(stream: BulkStream, name: str) -> memoryview:
    stream.send_line(f"get {name}")
    answer = stream.answer()
    if not answer.isdecimal():
        raise BulkError(f"{answer:.200} is no size")
    whole = memoryview(mmap.mmap(-1, int(answer), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    stream.receive_into(whole)
    return whole


def _send(stream: BulkStream, name: str, pieces: Sequence[memoryview]) -> None:
    stream.send_line(f"put {sum(piece.nbytes for piece in pieces)} {name}")
    stream.answer()
    stream.send_pieces(pieces)
    stream.answer(patience_s=None)  # its disk may be slow, and the connection tells whether it lives


def _drop(stream: BulkStream, name: str) -> None:
    stream.send_line(f"drop {name}")
    stream.answer()
