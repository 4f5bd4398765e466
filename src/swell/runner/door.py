"""Where clients of leases connect: a listening socket, and those who have not shown a token that is right.

Of a client that is not let in yet, no more is read than its first message, and not for long. One thread uses this. It
must not know which leases there are.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from time import perf_counter
from typing import Final

from swell.private_files import bind_socket
from swell.wire import codec
from swell.wire.leases import LeaseHello
from swell.wire.messages import PROTOCOL

__all__ = ["Door", "Stranger"]

STRANGERS_MAX: Final = 8  #: clients that are not let in yet; others wait in the kernel
BACKLOG: Final = 64  #: of those
STRANGER_S: Final = 1.0  #: how long such a client may take, and the order that tells of its lease
HELLO_BYTES: Final = 4 << 10  #: of one read


class Stranger:
    """A client that has connected.

    Attributes:
        connection: Its connection, which does not block.
        decoder: Has what came after its first message.
        hello: Its first message; None until that is complete.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.decoder = codec.for_callee()
        self.hello: LeaseHello | None = None
        self._until = perf_counter() + STRANGER_S

    @property
    def is_late(self) -> bool:
        """True when it has taken too long."""
        return perf_counter() > self._until

    def read(self) -> bool:
        """Read its first message, or a part of it; False if it is gone, or says something else."""
        try:
            frames = self.decoder.feed(self.connection.recv(HELLO_BYTES))
        except BlockingIOError:
            return True
        except (OSError, codec.FrameError):
            return False
        if frames:
            message, _ = frames[0]
            if not isinstance(message, LeaseHello) or message.protocol != PROTOCOL:
                return False
            self.hello = message
        return bool(frames) or not self._is_at_end()

    def _is_at_end(self) -> bool:
        poll = select.poll()
        poll.register(self.connection, select.POLLRDHUP)
        return bool(poll.poll(0))


class Door:
    """The listening socket, and who stands before it."""

    def __init__(self, path: str) -> None:
        """Listen at a path.

        Raises:
            OSError: the socket cannot be made.
        """
        self._path = path
        self._listener = bind_socket(path)
        self._listener.listen(BACKLOG)
        self._listener.setblocking(False)
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._strangers: list[Stranger] = []

    @property
    def greeted(self) -> list[Stranger]:
        """Those who have said which lease is theirs."""
        return [stranger for stranger in self._strangers if stranger.hello is not None]

    @property
    def is_quiet(self) -> bool:
        """True if nobody stands there."""
        return not self._strangers

    def ring(self) -> None:
        """Make `wait` return. Called from any thread."""
        os.eventfd_write(self._bell, 1)

    def wait(self, timeout_s: float | None) -> None:
        """Wait until something has happened here, or for so long; let go of those who are late or misbehave."""
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        if len(self._strangers) < STRANGERS_MAX:
            poll.register(self._listener, select.POLLIN)
        waiting = {stranger.connection.fileno(): stranger for stranger in self._strangers if stranger.hello is None}
        for fd in waiting:
            poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(None if timeout_s is None else timeout_s * 1_000):
            if fd == self._bell:
                os.eventfd_read(fd)
            elif fd not in waiting:
                self._accept()
            elif not waiting[fd].read():
                self.turn_away(waiting[fd])
        for stranger in [stranger for stranger in self._strangers if stranger.is_late]:
            self.turn_away(stranger)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # it has left already, or this process has no descriptors left
            connection, _ = self._listener.accept()
            stranger = Stranger(connection)
            self._strangers.append(stranger)
            if not stranger.read():
                self.turn_away(stranger)

    def turn_away(self, stranger: Stranger) -> None:
        """Close the connection of one who is not let in."""
        self._strangers.remove(stranger)
        stranger.connection.close()

    def let_in(self, stranger: Stranger) -> None:
        """Have no more to do with one."""
        self._strangers.remove(stranger)

    def unlink(self) -> None:
        """Remove the socket's path, so that nobody connects any more. Called from any thread."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    def close(self) -> None:
        """Close the socket, and all who have not been let in."""
        self._listener.close()
        for stranger in self._strangers:
            stranger.connection.close()
        self._strangers.clear()
