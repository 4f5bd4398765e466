"""A shelf: the directory of blobs of one machine, and the way to those that are elsewhere.

On the server's machine every blob is in the directory, and nothing else is to be done. On a node, which shares nothing
with the server, an agent fetches what is missing and publishes what was written. It is asked over a Unix socket, in one
connection for each blob:

    fetch NAME         ok, once the file is there; it stays there while the connection is open
    store SIZE NAME    ok, once there is room for it; after `written`, ok once the server has it
    drop NAME          is not answered: the blob is deleted here and at the server

Each is a line; what is answered instead of ok is the reason. This module must not know what is in a blob, or how an
agent moves it.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Generator
from typing import Final

from swell.private_files import connect_socket

__all__ = ["LINE_MAX", "OK", "Shelf", "ShelfError"]

OK: Final = "ok"
LINE_MAX: Final = 4_096  #: bytes of a line


class ShelfError(Exception):
    """The agent of this node cannot fetch or publish a blob; the text says why."""


class Shelf:
    """Where the blobs of this machine are."""

    __slots__ = ("_socket_path", "directory")

    def __init__(self, directory: str, socket_path: str = "") -> None:
        """Begin.

        Args:
            directory: of the blobs.
            socket_path: where the agent of this node is asked; "": this is the server's machine.
        """
        self.directory = directory
        self._socket_path = socket_path

    @property
    def is_remote(self) -> bool:
        """True where blobs have to be fetched and published."""
        return bool(self._socket_path)

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
        """Have a blob deleted here and at the server, some time soon."""
        with contextlib.suppress(ShelfError, OSError), self._connected() as agent:
            agent.sendall(f"drop {name}\n".encode())

    def _connected(self) -> socket.socket:
        try:
            return connect_socket(self._socket_path)
        except OSError as error:
            raise ShelfError(f"the agent of this node cannot be reached: {error}") from error


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
