"""Accepts connections, and bounds those of strangers: peers that have not shown who they are.

A stranger costs a descriptor, and what its handshake holds. Strangers are few, and the one that has waited longest
makes room for the next. The loop accepts one connection in a pass, so those that are accepted make progress meanwhile;
when descriptors are used up, it accepts none for a moment.

This module must not know how a stranger shows who it is, or what is said after that.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from swell.logs import PeerLog

__all__ = ["Acceptor"]

ACCEPT_PAUSE_S: Final = 0.1  #: after a connection that could not be accepted: descriptors may be lacking

#: A connection that has ended before it was accepted; all else lasts.
_OF_ONE_CONNECTION: Final = {errno.EAGAIN, errno.EINTR, errno.ECONNABORTED, errno.EPROTO}


class Acceptor:
    """Accepts connections on the running loop until `close`."""

    def __init__(
        self,
        listener: socket.socket,
        meet: Callable[[socket.socket], Coroutine[Any, Any, None]],
        *,
        strangers_max: int,
        logger: logging.Logger,
    ) -> None:
        """Begin to accept.

        Args:
            listener: does not block; from now on the acceptor's, which closes it.
            meet: hears who a stranger is, and hands it over. The connection does not block. If it raises an error of
                the system, the log says so, and the connection is closed. It is cancelled to make room.
            strangers_max: connections with which `meet` is not done.
            logger: of this process.
        """
        self._listener, self._meet_one = listener, meet
        self._strangers_max = strangers_max
        self._log = PeerLog(logger)
        self._loop = asyncio.get_running_loop()
        self._strangers: dict[asyncio.Task[None], None] = {}  # the oldest first
        self._pause: asyncio.TimerHandle | None = None
        self._begin()

    def close(self) -> None:
        """Accept no more, and put out strangers; whoever was handed over stays. May be called again."""
        if self._listener.fileno() < 0:
            return
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()
        for task in list(self._strangers):
            task.cancel()

    async def closed(self) -> None:
        """Wait until all strangers are gone that `close` has put out."""
        await asyncio.gather(*self._strangers, return_exceptions=True)

    def _begin(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            if error.errno not in _OF_ONE_CONNECTION:
                self._log.warning("not accepted", "a connection cannot be accepted: %s", error.strerror)
                self._loop.remove_reader(self._listener)
                self._pause = self._loop.call_later(ACCEPT_PAUSE_S, self._begin)
            return
        connection.setblocking(False)
        if len(self._strangers) >= self._strangers_max:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.cancel()
        task = self._loop.create_task(self._meet(connection))
        self._strangers[task] = None
        task.add_done_callback(partial(self._met, connection))

    async def _meet(self, connection: socket.socket) -> None:
        try:
            await self._meet_one(connection)
        except OSError as error:
            self._log.log(logging.INFO, "no handshake", "somebody has not connected: %s", error or "it took too long")
            connection.close()

    def _met(self, connection: socket.socket, task: asyncio.Task[None]) -> None:
        """Close a connection that was put out; also one whose task was cancelled before it began."""
        self._strangers.pop(task, None)
        if task.cancelled():
            connection.close()
