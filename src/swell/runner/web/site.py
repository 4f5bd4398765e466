"""A site: one web function of a container, on a Unix socket of its own.

This module must not know what is said on the socket, or when a site opens and closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from abc import ABC, abstractmethod
from typing import Final, Generic, TypeVar, cast

from swell.private_files import bind_socket

__all__ = ["Site", "WaitableSet"]

T = TypeVar("T")

_BACKLOG: Final = 2048
_ROUNDS: Final = 2  #: of the loop, in which it reads what has been sent to it


class WaitableSet(set[T], Generic[T]):
    """A set that can be waited for to become empty."""

    def __init__(self) -> None:
        super().__init__()
        self._empty = asyncio.Event()
        self._empty.set()

    def add(self, element: T, /) -> None:
        """Let one in."""
        super().add(element)
        self._empty.clear()

    def discard(self, element: object, /) -> None:
        """Let one out, if it is in."""
        super().discard(cast("T", element))
        if not self:
            self._empty.set()

    def remove(self, element: T, /) -> None:
        """Let one out."""
        super().remove(element)
        if not self:
            self._empty.set()

    async def wait(self) -> None:
        """Wait until nobody is in."""
        await self._empty.wait()


class Site(ABC):
    """What listens on one socket.

    Args:
        path: Of the socket; the file is made when the site opens, and readable and writable for this user only.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._server: asyncio.AbstractServer | None = None
        self._listener: socket.socket | None = None  # the same as the server's

    @abstractmethod
    async def start(self) -> None:
        """Get what answers ready; connections come later.

        Raises:
            Exception: it cannot be had; that is why the container does not start.
        """

    async def open(self) -> None:
        """Accept connections from now on."""
        listener = bind_socket(self._path)
        listener.setblocking(False)
        self._listener = listener.dup()
        self._server = await asyncio.get_running_loop().create_unix_server(
            self._connection, sock=listener, backlog=_BACKLOG
        )

    async def close(self) -> None:
        """Accept no more connections, and end those that are idle; the others end with what they are at."""
        if self._server is not None and self._listener is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
            self._server.close()
            with self._listener as listener:
                self._listener = None
                await self._accept_all(listener)
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        self._end_idle()

    async def _accept_all(self, listener: socket.socket) -> None:
        """Accept who had connected before the socket was gone."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, _ = listener.accept()
                connection.setblocking(False)
                await loop.connect_accepted_socket(self._connection, connection)

    @abstractmethod
    async def wait(self) -> None:
        """Wait until no connection is left, and nothing works for any."""

    @abstractmethod
    def end_gracefully(self) -> None:
        """End what does not end by itself, in a way that its peer understands."""

    @abstractmethod
    def abort(self) -> None:
        """End every connection at once, without an answer."""

    @abstractmethod
    async def stop(self) -> None:
        """Release what `start` got ready."""

    @abstractmethod
    def _connection(self) -> asyncio.BaseProtocol:
        """Return what handles one more connection."""

    @abstractmethod
    def _end_idle(self) -> None:
        """End the connections of which nothing is awaited."""
