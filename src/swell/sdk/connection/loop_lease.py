"""The leases of an event loop: one call at a time on each, and coroutines that wait for one.

Bytes are read and written without a transport: one would not tell whether what it was given was sent, and so whether a
call may have begun. This module must not know calls.
"""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Final

from swell.errors import Error
from swell.sdk.connection.lease import Answer, Inbox, Lease, LeaseLost, ServerLink, open_connection
from swell.sdk.connection.lease_pool import WAIT_MAX_S, LeasePool, Waiter
from swell.wire import codec
from swell.wire.leases import CallDirectly, LeaseGranted

__all__ = ["LoopLeases"]

_READ_BYTES: Final = 64 << 10
_SEND: Final = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL


class LoopLease(Lease):
    """A lease for one coroutine at a time."""

    def __init__(self, grant: LeaseGranted, leases: LoopLeases) -> None:
        super().__init__(grant, leases.frame_max)
        self._leases = leases
        self._loop = leases.loop
        self._socket: socket.socket | None = None
        self._waiting: asyncio.Future[Answer | None] | None = None
        self._arrived: Answer | None = None
        self._wake: tuple[ServerLink, Inbox] | None = None  # whom an answer wakes, if not the one that waits for it
        self._watch: asyncio.TimerHandle | None = None

    async def send(self, message: CallDirectly, data: bytes) -> bool:
        """Send a call; suspends the coroutine until the kernel has taken it."""
        frame = codec.encode(message, data)
        self._arrived = None
        self.sent_at = time.monotonic()
        if self._socket is None:
            if self.is_over or not self._connect():
                return False
            frame = self._first_words() + frame
        connection = self._socket
        assert connection is not None
        try:
            sent = connection.send(frame, _SEND)
        except BlockingIOError:
            sent = 0
        except OSError:  # it was recalled, or its container is gone
            self.drop()
            return False
        if sent < len(frame):
            try:
                await self._loop.sock_sendall(connection, memoryview(frame)[sent:])
            except OSError:
                self.drop()
                return False
        return True

    def _connect(self) -> bool:
        try:
            connection = open_connection(self.grant.address)
        except (OSError, Error):
            self.drop()
            return False
        connection.setblocking(False)
        self._socket = connection
        self._loop.add_reader(connection.fileno(), self._on_readable)
        return True

    async def answer(self) -> Answer | None:
        """Return the answer, or None after some time."""
        if self._arrived is None and not self.is_over:
            self._waiting = self._loop.create_future()
            if self._watch is None:
                self._watch = self._loop.call_later(self.grant.announce_after_s, self._look)
            try:
                return await self._waiting
            finally:
                self._waiting = None
        if self._arrived is None:
            raise LeaseLost
        return self._arrived

    async def answer_or(self, link: ServerLink, mailbox: Inbox) -> Answer | None:
        """Return the answer, or None if the server has answered."""
        self._wake = link, mailbox
        try:
            while self._arrived is None:
                if self.is_over:
                    raise LeaseLost
                if mailbox.messages:
                    return None
                if link.broken is not None:
                    raise link.broken
                await link.changed(mailbox)
            return self._arrived
        finally:
            self._wake = None

    def drop(self) -> None:
        """Close the connection. Called on the loop's thread."""
        self.is_over = True
        connection, self._socket = self._socket, None
        if connection is not None:
            self._loop.remove_reader(connection.fileno())
            connection.close()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._tell(None)

    # ------------------------------------------------------------ inside

    def _on_readable(self) -> None:
        connection = self._socket
        if connection is None:
            return
        try:
            data = connection.recv(_READ_BYTES)
            answer = self._decoded(data) if data else None
        except BlockingIOError:
            return
        except (OSError, LeaseLost):
            data, answer = b"", None
        if not data:
            self.drop()
            self._leases.lost(self)
        elif answer is not None:
            self._tell(answer)

    def _tell(self, answer: Answer | None) -> None:
        """Hand an answer, or the end of the connection, to who waits for it."""
        waiting = self._waiting
        if waiting is not None and not waiting.done():
            if answer is None:
                waiting.set_exception(LeaseLost())
            else:
                waiting.set_result(answer)
            return
        self._arrived = answer
        if self._wake is not None:
            link, mailbox = self._wake
            link.wake(mailbox)

    def _look(self) -> None:
        """Tell who waits for long that there is no answer yet. One timer serves many calls."""
        self._watch = None
        waiting = self._waiting
        if waiting is None or waiting.done():
            return
        left_s = self.grant.announce_after_s - self.waited_s
        if left_s <= 0:
            waiting.set_result(None)
        else:
            self._watch = self._loop.call_later(left_s, self._look)


class _WaitingTask(Waiter[LoopLease]):
    """A coroutine that waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[None] = loop.create_future()
        self.until = time.monotonic() + WAIT_MAX_S

    def wake(self) -> None:
        """Go on."""
        if not self.future.done():
            self.future.set_result(None)


class LoopLeases(LeasePool[LoopLease]):
    """The leases of the coroutines of a loop."""

    def __init__(self, frame_max: int, loop: asyncio.AbstractEventLoop) -> None:
        """`frame_max` bounds what an answer may carry."""
        super().__init__(lambda grant: LoopLease(grant, self))
        self.frame_max = frame_max
        self.loop = loop
        self._watched: set[str] = set()  # functions whose coroutines are looked after by a timer

    async def take(self, function_id: str) -> LoopLease | None:
        """Return a free lease, or wait for one, which suspends the coroutine."""
        lease, waiter = self._take(function_id, self._new_waiter)
        if waiter is None:
            return lease
        if function_id not in self._watched:
            self._watched.add(function_id)
            self.loop.call_later(WAIT_MAX_S, self._look, function_id)
        try:
            await waiter.future
        except BaseException:
            self._leave(function_id, waiter, is_interrupted=True)
            raise
        return self._leave(function_id, waiter)

    def _new_waiter(self) -> _WaitingTask:
        return _WaitingTask(self.loop)

    def _look(self, function_id: str) -> None:
        """Wake those that have waited long enough. One timer serves many of them."""
        function = self._of(function_id)
        now = time.monotonic()
        waits = False
        for waiter in list(function.waiting):
            assert isinstance(waiter, _WaitingTask)
            if waiter.until > now:
                waits = True
                self.loop.call_later(waiter.until - now, self._look, function_id)
                break
            waiter.wake()
        if not waits:
            self._watched.discard(function_id)

    def lost(self, lease: LoopLease) -> None:
        """Forget a lease whose connection has ended while no call was on it."""
        function = self._of(lease.grant.function_id)
        if lease in function.free:
            function.free.remove(lease)
