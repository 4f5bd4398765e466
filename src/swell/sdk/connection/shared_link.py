"""A link that all threads of a process share, for requests that may be made twice.

One thread at a time leads: it reads, for all. The others follow: each sleeps on a lock of its own until the leader has
put a message into its mailbox, or has its answer and hands the lead over. So there is no thread that only reads, and
an answer for the leader wakes nobody else. Sending is alike: who finds another thread sending leaves its frame to that
one. Threads that make requests at the same time so share writes, reads and the server's answers, as the coroutines of a
loop do; with a connection each, sixteen of them cost the server a quarter more.

What interrupts a thread (Ctrl-C, or what a signal handler raises) may strike where it holds bytes of others: read and
not sorted, or sent in part. The link is then broken for all, and who waits makes its request again on another one.

No thread may sleep while nobody leads. A follower is in `_following` before it tries to lead for the last time, and a
leader, which is not there itself, looks there after it has let go: one of the two sees the other. Whoever may have been
handed the lead and leaves without it looks, too: one that has waited in vain, and one that was taken from there, and
not for its answer.

This module must not know what messages mean.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from contextlib import suppress

from swell.errors import Error
from swell.sdk.connection.blocking import SIGNAL_CHECK_S
from swell.sdk.connection.link import BlockingLink, Mailbox, Received, how_it_broke
from swell.wire import codec
from swell.wire.messages import Message
from swell.wire.shelf import Shelf

__all__ = ["SharedLink"]


class _Follower:
    """A thread that waits while another one leads."""

    __slots__ = ("is_served", "wake")

    def __init__(self) -> None:
        self.wake = threading.Lock()  # it sleeps until another thread releases this
        self.wake.acquire()
        self.is_served = False  # it is woken for its answer, not to lead


class SharedLink(BlockingLink):
    """A link for any number of threads."""

    def __init__(self, address: str, frame_max: int, shelf: Shelf | None = None) -> None:
        super().__init__(address, frame_max, shelf)
        # Reentrant: a signal handler may make a request of its own while its thread leads, or sends.
        self._leading, self._lock = threading.RLock(), threading.RLock()
        self._is_sending = False
        self._following: dict[Mailbox, _Follower] = {}  # by the mailbox they wait for; whoever wakes one takes it out
        self._unsent: deque[bytes] = deque()
        self._nothing = Mailbox()

    def send(self, message: Message, payload: bytes | memoryview = b"") -> None:
        """Send a message, or leave it to the thread that sends already."""
        if self.broken is not None:
            raise self.broken
        self._unsent.append(codec.encode(message, payload))
        try:
            self._send_all()
        except OSError as error:
            raise self._break(how_it_broke(error)) from None
        except BaseException:
            self._interrupted()
            raise

    async def receive(self, mailbox: Mailbox, until: float | None = None) -> Received:
        """Return the next message in a mailbox; blocks the thread."""
        try:
            has_message = self._await(mailbox, until)
        except BaseException:
            self._interrupted()
            raise
        if not has_message:
            self._hand_over()
            raise TimeoutError
        return mailbox.messages.popleft()

    def poll(self) -> None:
        """Sort the messages that have arrived into mailboxes, without waiting, unless another thread reads."""
        if self.broken is None and self._leading.acquire(blocking=False):
            self._lead(self._nothing, 0.0)

    def works(self) -> bool:
        """Tell whether it can be used; the server may have gone long ago. Threads that wait notice that themselves."""
        if self.broken is None and not self._following:
            with suppress(Error):
                self._look()
        return self.broken is None

    def _look(self) -> None:
        try:
            if not self._leading.acquire(blocking=False):
                return
            try:
                has_news = self._poll.poll(0)
            finally:
                self._let_go()
        except BaseException:
            self._interrupted()
            raise
        if has_news:
            self.poll()

    def _send_all(self) -> None:
        unsent = self._unsent
        while unsent and self._lock.acquire(blocking=False):  # again, for a frame that came after the last look
            try:
                if (
                    self._is_sending
                ):  # this is in a signal handler, and the frame that it interrupts may be sent in part
                    raise self._break("a signal handler made a request while its thread sent another one")
                self._is_sending = True
                while unsent:
                    frames = [unsent.popleft() for _ in range(len(unsent))]
                    self._write(b"".join(frames) if len(frames) > 1 else frames[0])
                self._is_sending = False
            finally:
                self._lock.release()

    def _await(self, mailbox: Mailbox, until: float | None) -> bool:
        """Lead or follow until the mailbox has a message; return False if it has none in time."""
        follower: _Follower | None = None
        try:
            while not mailbox.messages:
                if self.broken is not None:
                    raise self.broken
                if until is not None and time.monotonic() >= until:
                    return False
                if self._leading.acquire(blocking=False):
                    if follower is not None:
                        self._following.pop(mailbox, None)  # or it would hand the lead to itself
                        follower = None
                    self._lead(mailbox, until)
                elif follower is None:
                    follower = self._following[mailbox] = _Follower()
                elif follower.wake.acquire(timeout=_patience_s(until)) and not mailbox.messages:
                    self._following[mailbox] = follower
        finally:
            if follower is not None and self._following.pop(mailbox, None) is None and not follower.is_served:
                self._hand_over()
        return True

    def _lead(self, mailbox: Mailbox, until: float | None) -> None:
        """Read for all until the mailbox has a message or nothing has come at that time. The caller has the lead."""
        try:
            while not mailbox.messages and self.broken is None and (until is None or self._wait(until)):
                for served in self._read():
                    if (follower := self._following.pop(served, None)) is not None:
                        follower.is_served = True
                        follower.wake.release()
        except BaseException:
            self._interrupted()
            raise
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._leading.release()
        if self._following:
            self._hand_over()

    def _hand_over(self) -> None:
        """Wake a follower, so that it leads."""
        if self._following:
            with suppress(KeyError):  # another thread has just woken the last one
                self._following.popitem()[1].wake.release()

    def _interrupted(self) -> None:
        """Break the link, unless that is what has happened, and wake all who wait."""
        if self.broken is None:
            self._break("a thread was interrupted while it used the connection that it shares with others")
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # ends the wait of the one that leads
        self._hand_over()

    def _await_room(self) -> None:
        self.poll()  # a server stops reading from a client that leaves much unread
        self._writable.poll(SIGNAL_CHECK_S * 1_000)


def _patience_s(until: float | None) -> float:
    """Return how long to sleep: as in the kernel, a signal must not have to wait for a message."""
    return SIGNAL_CHECK_S if until is None else max(0.0, min(SIGNAL_CHECK_S, until - time.monotonic()))
