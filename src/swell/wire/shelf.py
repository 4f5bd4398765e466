"""A shelf: the directory of blobs of one machine, and the way to those that are elsewhere.

On the server's machine every blob is in the directory, and nothing else is to be done. On a node, which shares nothing
with the server, an agent fetches what is missing and publishes what was written. It is asked over a Unix socket, in one
connection for each blob:

    fetch NAME         ok, once the file is there; it stays there while the connection is open
    store SIZE NAME    ok, once there is room for it; after `written`, ok once the server has it
    drop NAME          is not answered: the blob is deleted here and at the server

Each is a line; what is answered instead of ok is the reason. A client on another machine than the server has neither
a directory nor an agent: its kind of shelf is in the SDK.

This module must not know what is in a blob, or how an agent moves it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
from collections.abc import Generator, Sequence
from typing import Final

import swell.cgroups as cgroups
from swell.private_files import connect_socket
from swell.wire.blob_file import new_blob, open_blob
from swell.wire.blob_names import KEPT

__all__ = ["LINE_MAX", "OK", "Shelf", "ShelfError"]

OK: Final = "ok"
LINE_MAX: Final = 4_096  #: bytes of a line
WRITEV_MAX: Final = 512  #: pieces in one call of writev; Linux takes 1024


class ShelfError(Exception):
    """The agent of this node cannot fetch or publish a blob; the text says why."""


class Shelf:
    """Where the blobs of this machine are."""

    __slots__ = ("_socket_path", "directory", "place")

    is_elsewhere = False  #: blobs travel while one waits: an event loop should not wait

    def __init__(self, directory: str, socket_path: str = "") -> None:
        """Begin.

        Args:
            directory: of the blobs.
            socket_path: where the agent of this node is asked; "": this is the server's machine.
        """
        self.directory = directory
        self.place = directory  #: for messages
        self._socket_path = socket_path

    def read(self, name: str) -> memoryview:
        """Return a blob, in memory of one's own that may be written to; the blob may be deleted afterwards.

        Raises:
            ShelfError, OSError: it cannot be read.
            ValueError: it is empty.
        """
        file = self._open(name)
        try:
            return memoryview(mmap.mmap(file, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE))
        finally:
            os.close(file)

    def write(self, name: str, pieces: Sequence[memoryview]) -> None:
        """Write a blob. When this returns, the server has it, and one in KEPT is on its disk.

        Raises:
            ShelfError, OSError: it cannot be written or published.
        """
        if not self._socket_path:
            _write(self.directory, name, pieces, is_copy=False)
            return
        with self.publishing(name, sum(piece.nbytes for piece in pieces)):
            _write(self.directory, name, pieces, is_copy=True)

    def _open(self, name: str) -> int:
        """Open a blob, after it was fetched if need be."""
        try:
            return open_blob(self.directory, name)
        except FileNotFoundError:
            if not self._socket_path:
                raise
        with self.fetching(name):
            return open_blob(self.directory, name)

    @contextlib.contextmanager
    def fetching(self, name: str) -> Generator[None]:
        """Have a blob fetched that is not in the directory. Within the block it is there, and stays.

        Raises:
            ShelfError: it cannot be fetched.
        """
        with self._connected() as agent:
            _ask(agent, f"fetch {name}")
            yield

    @contextlib.contextmanager
    def publishing(self, name: str, size: int) -> Generator[None]:
        """Have a blob of so many bytes published that is written within the block. The server has it after that.

        Raises:
            ShelfError: there is no room for it, or it cannot be published.
        """
        with self._connected() as agent:
            _ask(agent, f"store {size} {name}")
            yield
            _ask(agent, "written")

    def drop(self, name: str) -> None:
        """Have a blob deleted here and, some time soon, at the server."""
        if self._socket_path:
            with contextlib.suppress(ShelfError, OSError), self._connected() as agent:
                agent.sendall(f"drop {name}\n".encode())
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.directory, name))

    def _connected(self) -> socket.socket:
        try:
            return connect_socket(self._socket_path)
        except OSError as error:
            raise ShelfError(f"the agent of this node cannot be reached: {error}") from error


def _write(directory: str, name: str, pieces: Sequence[memoryview], *, is_copy: bool) -> None:
    """Write a file. One of which the server will have a copy does not have to survive here."""
    to_disk = name.startswith(KEPT) and not is_copy
    if not to_disk:
        cgroups.lift_limit()  # the file is in memory, and stays until others delete it
    with new_blob(directory, name, to_disk=to_disk) as file:
        left, at = list(pieces), 0
        while at < len(left):
            written = os.writev(file, left[at : at + WRITEV_MAX])
            while at < len(left) and written >= left[at].nbytes:
                written -= left[at].nbytes
                at += 1
            if written:
                left[at] = left[at][written:]


def _ask(agent: socket.socket, question: str) -> None:
    """Wait until the agent has done something."""
    answer = b""
    try:
        agent.sendall(f"{question}\n".encode())
        while not answer.endswith(b"\n") and (read := agent.recv(LINE_MAX)):
            answer += read
    except OSError as error:
        raise ShelfError(f"the agent of this node does not answer: {error}") from error
    text = answer[:-1].decode(errors="replace") or "it has ended"
    if text != OK:
        raise ShelfError(text)
