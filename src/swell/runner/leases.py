"""The leases of a container: who may connect, what is reported of the calls, and how a lease ends.

Three threads meet here. The main thread runs calls, and reads one lease at a time. The control thread opens and recalls
leases. A third one, which begins with the first lease, lets clients in, reports what has ended, announces what takes
long, and notices clients that are gone: the main thread may be in user code for any time.

What is told to the server is told under `_telling`, so that a call is announced before its end is reported, and all is
reported before the lease is told to be closed. That lock is taken before `InFlight.lock`, never after it.

This module must not know how a call is run.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import struct
import threading
from collections import deque
from time import perf_counter
from typing import Final

from swell.runner.channel import Channel, die_if_raises
from swell.runner.direct_call import DirectCall, DirectSlot, Lease
from swell.runner.door import Door, Stranger
from swell.runner.in_flight import InFlight
from swell.wire.leases import REPORT_EVERY_S, Abandoned, LeaseClosed, OpenLease
from swell.wire.messages import Message

__all__ = ["Leases"]

CLOSED_MAX: Final = 64  #: leases that have ended, and whose clients are turned away at once
TICK_S: Final = 0.005  #: between two looks at what runs, while there is a lease; and at what came elsewhere
BEHIND_MAX_S: Final = 0.02  #: how long calls of a lease wait behind a running one before they are given back
#: The same as the kernel's struct timeval: how long the main thread waits for a call before it looks elsewhere.
PATIENCE: Final = struct.pack("@ll", 0, int(TICK_S * 1_000_000))


class Leases:
    """Owns the leases of this container, the door where their clients connect, and the thread that looks after them.

    Attributes:
        connected: Leases whose clients have connected, for the main thread to take.
        bell: Readable when there may be one.
    """

    def __init__(self, channel: Channel, in_flight: InFlight, path: str, function_id: str) -> None:
        """Listen at a path.

        Raises:
            OSError: the socket cannot be made.
        """
        self.connected: deque[Lease] = deque()
        self.bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._channel = channel
        self._in_flight = in_flight
        self._function_id = function_id
        self._door = Door(path)
        self._telling = threading.Lock()
        self._open: dict[str, Lease] = {}  # those that are not told to be closed, or have something to report
        self._closed: deque[str] = deque(maxlen=CLOSED_MAX)
        self._has_begun = False  # the third thread
        self._is_draining = False
        self._is_over = False
        os.register_at_fork(after_in_child=self._leave_to_parent)

    # ------------------------------------------------------------ the control thread

    def open(self, message: OpenLease) -> None:
        """Let the client of a lease in, once it connects."""
        lease = Lease(message.lease, message.token, message.announce_after_s)
        with self._telling:
            self._open[lease.id] = lease
            lease.is_closed = self._is_draining
        if lease.is_closed:
            self._end(lease)
        elif not self._has_begun:
            self._has_begun = True
            body = self._look_after
            threading.Thread(target=die_if_raises, args=(body,), name="swell-leases", daemon=True).start()
        self._door.ring()

    def recall(self, lease_id: str) -> None:
        """Begin no more calls of a lease. Unknown ones have ended."""
        lease = self._open.get(lease_id)
        if lease is None:
            return
        with self._in_flight.lock:
            lease.is_closed = True
            is_read = lease.connection is not None and (lease.running is None or lease.running.is_over)
            if lease.connection is not None:
                with contextlib.suppress(OSError):  # the client is gone
                    lease.connection.shutdown(socket.SHUT_RD)  # what was sent before is still read
        if not is_read:  # else the main thread comes to the end of the connection, and tells
            self._end(lease)

    def drain(self) -> None:
        """Recall all leases, and refuse those that still come."""
        with self._telling:
            self._is_draining = True
            lease_ids = list(self._open)
        for lease_id in lease_ids:
            self.recall(lease_id)
        self._tell(is_due=True)  # what ended after its lease was told to be closed: the third thread may not come to it

    def cancel(self, call_id: str) -> None:
        """Interrupt a call if it runs."""
        with self._in_flight.lock:
            for lease in list(self._open.values()):
                lease.cancel(call_id)

    # ------------------------------------------------------------ the main thread

    def begin(self, lease: Lease, call: DirectCall, slot: DirectSlot) -> bool:
        """Begin a call in a slot; False if its lease is closed."""
        with self._in_flight.lock:
            return lease.claim(call, slot)

    def stop_cancelling(self, call: DirectCall) -> None:
        """Note that user code has returned: the call is cancelled no more."""
        with self._in_flight.lock:
            call.is_over = True

    def close(self, lease: Lease) -> None:
        """Begin no more calls of a lease, of which the main thread will come to the end."""
        with self._in_flight.lock:
            lease.is_closed = True

    def report(self, lease: Lease, call: DirectCall) -> None:
        """Have a call reported that has ended, or was not begun; its answer is written."""
        call.arguments_data = b""
        with self._in_flight.lock:
            lease.running = None
            lease.ended.append(call)

    def finish(self, lease: Lease) -> None:
        """Note that the main thread has come to the end of a lease's connection, and tell the server."""
        with self._in_flight.lock:
            lease.is_closed = True
            lease.hang_up()
        self._end(lease)

    def stop(self) -> None:
        """Close all connections: no call is run any more. One that was running has no answer."""
        self._door.unlink()
        with self._in_flight.lock:
            self._is_over = True
            for lease in list(self._open.values()):
                lease.is_closed = True
                lease.hang_up()
        self._door.ring()

    # ------------------------------------------------------------ telling the server

    def _end(self, lease: Lease) -> None:
        """Tell the server that a lease is closed: after what has ended and what runs."""
        with self._telling:
            if lease.is_told:
                return
            lease.is_told = True
            with self._in_flight.lock:
                call = lease.running
            messages: list[tuple[Message, bytes]] = [(report, b"") for report in lease.reports()]
            if call is not None and not call.is_announced:
                call.is_announced = True
                messages.append(call.announcement(lease.id, self._function_id))
            self._channel.send_together([*messages, (LeaseClosed(lease.id), b"")])
            self._closed.append(lease.id)
            if call is None:
                self._open.pop(lease.id, None)

    def _tell(self, *, is_due: bool) -> None:
        """Announce what takes long, and tell of clients that are gone; report what has ended, if that `is_due`."""
        with self._telling:
            for lease in list(self._open.values()):
                with self._in_flight.lock:
                    call = lease.running
                    is_gone = call is not None and not call.is_abandoned and not call.is_over and lease.is_client_gone()
                    if call is not None and not call.is_over and perf_counter() - call.began >= BEHIND_MAX_S:
                        self._take_back(lease)
                messages: list[tuple[Message, bytes]] = []
                if is_due or lease.is_told:
                    messages += [(report, b"") for report in lease.reports()]
                if call is not None:
                    messages += self._of_running(lease, call, is_gone=is_gone)
                if messages:
                    self._channel.send_together(messages)
                if lease.is_told and call is None and not lease.ended:
                    del self._open[lease.id]

    @staticmethod
    def _take_back(lease: Lease) -> None:
        """Have calls that wait behind a long one begun elsewhere. The caller holds `InFlight.lock`."""
        answers = lease.take_back()
        if not answers or lease.connection is None:
            return
        with contextlib.suppress(OSError):
            if lease.connection.send(answers, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL) == len(answers):
                return
        # The client does not read, and there is no room for some hundred bytes.
        with contextlib.suppress(OSError):
            lease.connection.shutdown(socket.SHUT_RDWR)

    def _of_running(self, lease: Lease, call: DirectCall, *, is_gone: bool) -> list[tuple[Message, bytes]]:
        """Return what is to be told of a call that runs, or ran a moment ago and is not reported."""
        messages: list[tuple[Message, bytes]] = []
        is_long = perf_counter() - call.began >= lease.announce_after_s
        if not call.is_announced and (is_gone or is_long):
            call.is_announced = True
            messages.append(call.announcement(lease.id, self._function_id))
        if is_gone:
            call.is_abandoned = True
            messages.append((Abandoned(call.call_id), b""))
        return messages

    # ------------------------------------------------------------ the third thread

    def _look_after(self) -> None:
        """Let clients in, and tell what is to be told, until the container exits."""
        reported_at = perf_counter()
        while not self._is_over:
            self._door.wait(None if self._door.is_quiet and not self._open else TICK_S)
            for stranger in self._door.greeted:
                self._judge(stranger)
            now = perf_counter()
            is_due = now - reported_at >= REPORT_EVERY_S
            reported_at = now if is_due else reported_at
            self._tell(is_due=is_due)
        self._door.close()

    def _judge(self, stranger: Stranger) -> None:
        """Let a client in that shows the token of a lease, if it is the first; turn others away, once it is certain."""
        hello = stranger.hello
        assert hello is not None
        lease = self._open.get(hello.lease)
        if lease is None and hello.lease not in self._closed:
            return  # the order that tells of it is on its way
        is_right = lease is not None and secrets.compare_digest(hello.token.encode(), lease.token.encode())
        if lease is None or not is_right or not self._connect(lease, stranger):
            self._door.turn_away(stranger)
            return
        self._door.let_in(stranger)
        self.connected.append(lease)
        os.eventfd_write(self.bell, 1)

    def _connect(self, lease: Lease, stranger: Stranger) -> bool:
        """Give a lease its connection; False if it has had one, or is closed."""
        with self._in_flight.lock:
            if lease.is_closed or lease.decoder is not None or self._is_over:
                return False
            connection = stranger.connection
            connection.setblocking(True)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, PATIENCE)
            stranger.decoder.trust(self._channel.frame_max)
            lease.connection, lease.decoder = connection, stranger.decoder
            return True

    def _leave_to_parent(self) -> None:
        """In a child that user code has forked: what the container holds is not the child's."""
        for lease in self._open.values():
            lease.hang_up()
        self._door.close()
