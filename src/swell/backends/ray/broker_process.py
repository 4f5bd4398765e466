"""The server's end of the broker: a child process that is started, and started again when it has ended, or is frozen.

Whatever becomes of it, agents and their links go on. It is asked every second whether it lives. Questions without an
answer are counted, not seconds: a server that was stopped itself finds the answers in its socket.

A broker takes the end of the socket for the end of the server, and ends the agents. So while the server wants these, it
kills a broker first, and lets go of its socket then. This module must not know what the other messages are about.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Final

from swell.backends.ray.messages import (
    SIZE_BYTES,
    Begin,
    BrokerError,
    Connected,
    Ping,
    Pong,
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
BEAT_S: Final = 1.0  #: between two questions whether it lives
SILENT_MAX: Final = 10  #: questions without an answer after which it counts as frozen
LOADING_MAX: Final = 60  #: likewise before it is connected: loading Ray leaves its other threads little time
WAITS_MAX_S: Final = 120.0  #: how long Ray may let it wait: longer than the head may be away by Ray's own rules

#: How a broker is started; its socket is the standard input.
COMMAND: Final = (sys.executable, "-P", "-m", "swell.backends.ray.broker")


class BrokerProcess:
    """Owner of the broker's process, and of the socket to it."""

    def __init__(
        self,
        begin: Begin,
        received: Callable[[ToServer], None],
        lost: Callable[[str], None],
        *,
        beat_s: float = BEAT_S,
        command: Sequence[str] = COMMAND,
    ) -> None:
        """Prepare.

        Args:
            begin: what each broker is told first.
            received: called with each message.
            lost: called with the reason when a broker has ended; another is started in a while.
            beat_s: between two questions whether it lives.
            command: starts a broker.
        """
        self._begin = begin
        self._received = received
        self._lost = lost
        self._beat_s = beat_s
        self._command = command
        self._pause_s = PAUSE_S
        self._writer: asyncio.StreamWriter | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._unanswered = 0  # questions whether it lives
        self._silent_max = LOADING_MAX
        self._why = ""  # it was killed

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
            try:
                status = await self._run_one()
                why = self._why or f"has ended with status {status}"
            except OSError as error:  # no descriptor is left, or no process
                why = f"cannot be started: {error.strerror}"
            self._lost(f"its broker {why}, and is started again")
            if self._is_stopping:
                return
            log.warning("the broker %s; the next one starts in %g s", why, self._pause_s)
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(2 * self._pause_s, PAUSE_MAX_S)

    async def _run_one(self) -> int:
        """Start a broker and listen to it until it has ended; return its status."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = self._process = _start(self._command, theirs)
        self._unanswered, self._silent_max, self._why = 0, LOADING_MAX, ""
        reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        self.send(self._begin)
        beats = asyncio.get_running_loop().create_task(self._beat())
        try:
            await self._read(reader)
        finally:
            beats.cancel()
            writer, self._writer = self._writer, None
            writer.close()
            status = await asyncio.get_running_loop().run_in_executor(None, _end, process)
            self._process = None
        return status

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                size = size_of(await reader.readexactly(SIZE_BYTES))
                message = decode_to_server(await reader.readexactly(size))
                if isinstance(message, Pong):
                    self._unanswered = 0
                    if message.waits_s > WAITS_MAX_S:
                        self._kill(f"has waited for Ray for {WAITS_MAX_S:g} s")
                elif isinstance(message, Connected):
                    self._pause_s, self._silent_max = PAUSE_S, SILENT_MAX
                self._received(message)
        except (asyncio.IncompleteReadError, OSError):
            return
        except BrokerError as error:
            self._kill(f"is not understood: {error}")

    async def _beat(self) -> None:
        """Ask again and again whether the broker lives, until it is killed because it does not answer."""
        while not self._why:
            if self._unanswered >= self._silent_max:
                self._kill(f"has not answered for {self._silent_max * self._beat_s:g} s")
                return
            self._unanswered += 1
            self.send(Ping())
            await asyncio.sleep(self._beat_s)

    def _kill(self, why: str) -> None:
        """Kill a broker that is of no use. Even one that is stopped does nothing from now on, so its socket may go."""
        self._why = why
        if self._process is not None and not self._is_stopping:
            self._process.kill()
        if self._writer is not None:
            self._writer.transport.abort()


def _start(command: Sequence[str], server: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
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
