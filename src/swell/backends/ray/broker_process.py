"""The server's end of the broker: a child process that is started, and started again when it has ended.

Whatever becomes of it, agents and their links go on. This module must not know what the messages are about.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Final

from swell.backends.ray.messages import (
    SIZE_BYTES,
    Begin,
    Connected,
    ToBroker,
    ToServer,
    decode_to_server,
    encode,
    size_of,
)

__all__ = ["BrokerProcess"]

log = logging.getLogger("swell.server")

PAUSE_S: Final = 0.5  #: before a broker that has ended is followed by another; doubled as long as none is connected
PAUSE_MAX_S: Final = 30.0
STOP_PATIENCE_S: Final = 20.0  #: longer than it gives itself


class BrokerProcess:
    """Owner of the broker's process, and of the socket to it."""

    def __init__(self, begin: Begin, received: Callable[[ToServer], None], lost: Callable[[], None]) -> None:
        """Prepare.

        Args:
            begin: what each broker is told first.
            received: called with each message.
            lost: called when a broker has ended; another is started in a while.
        """
        self._begin = begin
        self._received = received
        self._lost = lost
        self._pause_s = PAUSE_S
        self._writer: asyncio.StreamWriter | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start a broker, and others after it."""
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def send(self, message: ToBroker) -> None:
        """Tell the broker something. What one has missed is said to the next by whoever sees it connected."""
        if self._writer is not None:
            self._writer.write(encode(message))

    async def stop(self) -> None:
        """End the broker, which ends what it has started. Safe to call twice, and before `start`."""
        self._is_stopping = True
        if self._task is None:
            return
        if self._writer is None:
            self._task.cancel()  # it waits for the time of the next one
        else:
            self._writer.close()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _serve(self) -> None:
        while not self._is_stopping:
            status = await self._run_one()
            self._lost()
            if self._is_stopping:
                return
            log.warning("the broker has ended with status %s; the next one starts in %g s", status, self._pause_s)
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(2 * self._pause_s, PAUSE_MAX_S)

    async def _run_one(self) -> int:
        """Start a broker and listen to it until it has ended; return its status."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = self._process = _start(theirs)
        reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        self.send(self._begin)
        try:
            await self._read(reader)
        finally:
            writer, self._writer = self._writer, None
            writer.close()
            status = await asyncio.get_running_loop().run_in_executor(None, _end, process)
            self._process = None
        return status

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                size = size_of(await reader.readexactly(SIZE_BYTES))
                message = decode_to_server(await reader.readexactly(size))
                if isinstance(message, Connected):
                    self._pause_s = PAUSE_S
                self._received(message)


def _start(server: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "swell.backends.ray.broker"],
        stdin=server.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # what matters is a message; the rest is in Ray's own logs
        start_new_session=True,
        cwd="/",
    )


def _end(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a broker whose socket is closed; return its status."""
    try:
        return process.wait(STOP_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
