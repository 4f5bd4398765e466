"""A lease: a connection straight to a container, on which one call at a time is made.

The one of threads is here; that of event loops is in `loop_lease`, so that a program without asyncio does not load it.
This module must not know when a lease is used, or what an answer means.
"""

from __future__ import annotations

import select
import socket
import struct
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sized
from typing import Any, ClassVar, Final, Protocol

from swell.errors import ConnectionError, Error
from swell.private_files import connect_socket
from swell.sdk.connection.blocking import SIGNAL_CHECK_S
from swell.wire import codec
from swell.wire.leases import CallAnswer, CallDirectly, LeaseGranted, LeaseHello
from swell.wire.messages import PROTOCOL

__all__ = ["Answer", "BlockingLease", "Lease", "LeaseLost", "open_connection"]

Answer = tuple[CallAnswer, bytes]

_READ_BYTES: Final = 16 << 10
_TIMEVAL: Final = struct.Struct("@ll")  #: the kernel's struct timeval: seconds, microseconds


class ServerLink(Protocol):
    """What a call on a lease uses of its link to the server when it waits for both."""

    broken: Error | None

    def fileno(self) -> int:
        """Return the descriptor of the connection; only if threads wait on it."""
        ...

    def poll(self) -> None:
        """Sort the messages that have arrived into mailboxes, without waiting."""
        ...

    def wake(self, mailbox: Any, /) -> None:
        """Make `changed` return."""
        ...

    async def changed(self, mailbox: Any, /) -> None:
        """Return when the mailbox has a message, or after `wake`."""
        ...


class Inbox(Protocol):
    """What has come from the server for a call."""

    @property
    def messages(self) -> Sized:
        """Those that were not taken."""
        ...


class LeaseLost(Exception):
    """The connection has ended, and a call that was sent has no answer."""


class Lease(ABC):
    """One lease.

    Attributes:
        grant: What the server has said of it.
        is_over: The connection has ended, or an answer is outstanding that nobody waits for.
        closes: Its connection is its own, so that the container notices when it is dropped.
    """

    closes: ClassVar[bool] = True

    def __init__(self, grant: LeaseGranted) -> None:
        self.grant = grant
        self.is_over = False
        self.sent_at = 0.0  #: when the last call was sent, as a time of `time.monotonic()`

    @property
    def waited_s(self) -> float:
        """For how long a call has been on its way."""
        return max(0.0, time.monotonic() - self.sent_at)

    @abstractmethod
    async def send(self, message: CallDirectly, data: bytes) -> bool:
        """Send a call; False if that failed, so that it will not be begun, and the lease is over."""

    @abstractmethod
    async def answer(self) -> Answer | None:
        """Return the answer to the call that was sent; None if there is none after `announce_after_s`.

        Raises:
            LeaseLost: the connection has ended.
        """

    @abstractmethod
    async def answer_or(self, link: ServerLink, mailbox: Inbox) -> Answer | None:
        """Return the answer to the call; None if a message of the server is there first.

        Raises:
            LeaseLost: the connection has ended.
            Error: that to the server has.
        """

    @abstractmethod
    def drop(self) -> None:
        """Use it no more: close the connection, or leave the place. The loop's thread, or any thread if it `closes`."""


class BlockingLease(Lease):
    """A lease for one thread at a time."""

    def __init__(self, grant: LeaseGranted, frame_max: int) -> None:
        super().__init__(grant)
        self._decoder = codec.for_caller(frame_max)
        self._socket: socket.socket | None = None

    async def send(self, message: CallDirectly, data: bytes) -> bool:
        """Send a call; blocks the thread until the kernel has taken it."""
        frame: bytes | memoryview = codec.encode(message, data)
        connection = self._socket
        self.sent_at = time.monotonic()
        try:
            if connection is None:
                connection = self._socket = open_connection(self.grant.address)
                weakref.finalize(self, connection.close)  # if a thread is interrupted just now
                after_s = self.grant.announce_after_s
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(after_s))
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(SIGNAL_CHECK_S))
                frame = codec.encode(LeaseHello(PROTOCOL, self.grant.lease, self.grant.token)) + frame
            while (sent := _send(connection, frame)) < len(frame):
                frame = memoryview(frame)[sent:]
        except (OSError, Error):  # it was recalled, or its container is gone
            self.drop()
            return False
        return True

    async def answer(self) -> Answer | None:
        """Return the answer, or None after some time; blocks the thread."""
        while True:
            try:
                answer = self._read()
            except BlockingIOError:
                return None
            if answer is not None:
                return answer

    async def answer_or(self, link: ServerLink, mailbox: Inbox) -> Answer | None:
        """Return the answer, or None if the server has answered; blocks the thread."""
        connection = self._socket
        if connection is None:
            raise self._lost()
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        poll.register(link, select.POLLIN)
        while True:
            link.poll()
            if mailbox.messages:
                return None
            if link.broken is not None:
                raise link.broken
            for fd, _ in poll.poll(SIGNAL_CHECK_S * 1_000):
                if fd == connection.fileno() and (answer := self._read()) is not None:
                    return answer

    def _read(self) -> Answer | None:
        """Return the answer if it is complete with what has come, or comes first."""
        connection = self._socket
        if connection is None:
            raise self._lost()
        try:
            data = connection.recv(_READ_BYTES)
        except BlockingIOError:
            raise
        except OSError:
            raise self._lost() from None
        if not data:
            raise self._lost()
        try:
            frames = self._decoder.feed(data)
        except codec.FrameError:
            raise self._lost() from None
        return frames[0] if frames else None

    def _lost(self) -> LeaseLost:
        self.drop()
        return LeaseLost()

    def drop(self) -> None:
        """Close the connection."""
        self.is_over = True
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()


def open_connection(address: str) -> socket.socket:
    """Connect to a container, without waiting.

    Raises:
        ConnectionError: it is another user's, or the address is not that of a container here.
        OSError: nobody listens there, or too many others stand before the door.
    """
    kind, _, path = address.partition(":")
    if kind != "unix" or not path:
        raise ConnectionError(f"{address!r} is not the address of a container on this machine")
    return connect_socket(path, waits=False)


def _send(connection: socket.socket, frame: bytes | memoryview) -> int:
    try:
        # Without a signal: to send on a lease that was recalled is usual, and a program may let SIGPIPE end it.
        return connection.send(frame, socket.MSG_NOSIGNAL)
    except BlockingIOError:
        return 0  # the wait was ended so that Python handles signals


def _timeval(seconds: float) -> bytes:
    whole = int(seconds)
    return _TIMEVAL.pack(whole, int((seconds - whole) * 1_000_000))
