"""A site: one web function of a container, on a Unix socket of its own.

This module must not know the protocol on the socket, or when a site opens and closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from abc import ABC, abstractmethod
from typing import Final, Generic, TypeVar, cast

from swell.listening import accept_at
from swell.private_files import bind_socket

__all__ = ["Site", "WaitableSet"]

T = TypeVar("T")

_ROUNDS: Final = 2  #: of the event loop, in which it reads what has been sent


class WaitableSet(set[T], Generic[T]):
    """A set with a `wait` until it is empty."""

    def __init__(self) -> None:
        super().__init__()
        self._empty = asyncio.Event()
        self._empty.set()

    def add(self, element: T, /) -> None:
        """Add an element."""
        super().add(element)
        self._empty.clear()

    def discard(self, element: object, /) -> None:
        """Remove an element, if it is in."""
        super().discard(cast("T", element))
        if not self:
            self._empty.set()

    def remove(self, element: T, /) -> None:
        """Remove an element."""
        super().remove(element)
        if not self:
            self._empty.set()

    async def wait(self) -> None:
        """Wait until the set is empty."""
        await self._empty.wait()


class Site(ABC):
    """A listener on one socket.

    Args:
        path: Of the socket; the file is made when the site opens, and readable and writable for this user only.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._server: asyncio.AbstractServer | None = None
        self._listener: socket.socket | None = None  # the same as the server's

    @abstractmethod
    async def start(self) -> None:
        """Prepare to answer; connections come later.

        Raises:
            Exception: this fails, and with it the start of the container.
        """

    async def open(self) -> None:
        """Accept connections from now on."""
        listener = bind_socket(self._path)
        listener.setblocking(False)
        self._listener = listener.dup()
        self._server = await accept_at(listener, self._connection)

    async def close(self) -> None:
        """Accept no more connections, and end those that are idle; the others end with their present request."""
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
        """Accept clients that had connected before the socket was gone."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, _ = listener.accept()
                connection.setblocking(False)
                await loop.connect_accepted_socket(self._connection, connection)

    @abstractmethod
    async def wait(self) -> None:
        """Wait until no connection is left, and no handler runs."""

    @abstractmethod
    def end_gracefully(self) -> None:
        """End connections that do not end by themselves, in a way that their peers understand."""

    @abstractmethod
    def abort(self) -> None:
        """Break every connection at once, without a response."""

    @abstractmethod
    async def stop(self) -> None:
        """Release what `start` prepared."""

    @abstractmethod
    def _connection(self) -> asyncio.BaseProtocol:
        """Return the protocol of one more connection."""

    @abstractmethod
    def _end_idle(self) -> None:
        """End the connections that have no request."""
