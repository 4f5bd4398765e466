"""A direct call, and the lease on which it comes: what is known of them in the container.

The main thread runs the calls of a lease; others ask whether one runs, cancel it, and take what has ended. They hold
`InFlight.lock` for that. This module must not know sockets beyond the one of a lease, or how a call is run.
"""

from __future__ import annotations

import select
import socket
from collections import deque
from contextlib import suppress
from time import perf_counter
from typing import Final, Protocol

from swell.model import OutputStatus
from swell.runner.in_flight import Cancellable
from swell.wire.codec import CalleeDecoder, FrameError, encode
from swell.wire.leases import NOT_BEGUN, REPORTED_MAX, Announce, CallAnswer, CallDirectly, DirectReport

__all__ = ["READ_BYTES", "DirectCall", "DirectSlot", "Lease"]

SUCCESS: Final = int(OutputStatus.SUCCESS)
READ_BYTES: Final = 64 << 10  #: of one read from a client
CANCELLED_MAX: Final = 64  #: calls of a lease that were cancelled and did not run; they may be on their way
ENDED_MAX: Final = 10 * REPORTED_MAX  #: calls that the server, which does not read, was not told of
_NO_TRACES: Final[dict[str, dict[str, str]]] = {}
_NO_CALLS: Final[frozenset[str]] = frozenset()


class DirectSlot(Cancellable, Protocol):
    """A slot that runs direct calls.

    Attributes:
        cancelled: True once its present input was cancelled.
    """

    cancelled: bool


class DirectCall:
    """One call on a lease: to a slot, a delivery of one input."""

    __slots__ = (
        "arguments_data",
        "began",
        "call_id",
        "is_abandoned",
        "is_announced",
        "is_over",
        "kept",
        "method",
        "parent",
        "status",
        "took_s",
        "traces",
        "wrote",
    )

    def __init__(self, message: CallDirectly, data: bytes) -> None:
        self.call_id = message.call_id
        self.method = message.method
        self.parent = message.parent
        self.traces = {message.call_id: message.trace} if message.trace else _NO_TRACES
        self.kept = _NO_CALLS
        self.arguments_data = data
        self.began = perf_counter()
        self.took_s = 0.0
        self.status = NOT_BEGUN
        self.is_over = False  #: user code has returned: it is cancelled no more
        self.is_announced = False
        self.is_abandoned = False  #: the server knows that its client is gone
        self.wrote: list[tuple[int, int]] | None = None  #: (1 for stdout or 2 for stderr, bytes)

    def input(self, _position: int) -> tuple[str, int]:
        """Return (call id, index) of its input."""
        return self.call_id, 0

    def arguments(self, _position: int) -> tuple[bytes, bool]:
        """Return its arguments, which are never in a blob."""
        return self.arguments_data, False

    def announcement(self, lease_id: str, function_id: str) -> tuple[Announce, bytes]:
        """Return the message, with its payload, that makes the call known to the server."""
        message = Announce(
            call_id=self.call_id,
            lease=lease_id,
            function_id=function_id,
            method=self.method,
            age_s=max(0.0, perf_counter() - self.began),
            parent=self.parent,
            trace=self.traces.get(self.call_id, {}),
        )
        return message, self.arguments_data


class Lease:
    """One client's right to send calls here, one after another.

    Attributes:
        connection: The client's; None until it has connected, and when its end was told.
        decoder: Of what comes there.
        is_closed: No call begins any more.
        is_told: The server knows that.
        running: The call that runs, or whose answer is being written.
        queue: Calls that have come and were not begun. The main thread appends and takes while no call runs.
        ended: Calls that are over and not reported. The main thread appends, whoever reports takes from the left.
    """

    def __init__(self, lease_id: str, token: str, announce_after_s: float) -> None:
        self.id: Final = lease_id
        self.token: Final = token
        self.announce_after_s: Final = announce_after_s
        self.connection: socket.socket | None = None
        self.decoder: CalleeDecoder | None = None
        self.is_closed = False
        self.is_told = False
        self.running: DirectCall | None = None
        self.queue: deque[DirectCall] = deque()
        self.ended: deque[DirectCall] = deque()
        self._slot: DirectSlot | None = None
        self._cancelled: deque[str] = deque(maxlen=CANCELLED_MAX)

    def claim(self, call: DirectCall, slot: DirectSlot) -> bool:
        """Begin a call in a slot; False if the lease is closed. The caller holds `InFlight.lock`."""
        if self.is_closed or len(self.ended) >= ENDED_MAX:
            return False
        call.began = perf_counter()
        self.running, self._slot = call, slot
        slot.cancelled = call.call_id in self._cancelled  # which user code is told when it begins
        return True

    def cancel(self, call_id: str) -> None:
        """Interrupt a call if it runs, or when it begins. The caller holds `InFlight.lock`."""
        call = self.running
        if call is None or call.call_id != call_id:
            self._cancelled.append(call_id)
        elif not call.is_over and self._slot is not None:
            self._slot.cancel()

    def take_back(self) -> bytes:
        """Take what waits behind the call that runs; return the answers. The caller holds `InFlight.lock`.

        It is read by another thread than the main one, which is in user code.
        """
        assert self.running is not None
        connection, decoder = self.connection, self.decoder
        if connection is None or decoder is None:
            return b""
        try:
            while data := connection.recv(READ_BYTES, socket.MSG_DONTWAIT):
                self.take_in(data)
        except BlockingIOError:
            pass
        except (OSError, FrameError):
            self.is_closed = True
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        answers = b"".join([encode(CallAnswer(call.call_id, NOT_BEGUN)) for call in self.queue])
        self.ended += self.queue
        self.queue.clear()
        return answers

    def take_in(self, data: bytes | memoryview) -> None:
        """Queue the calls that are complete with what has come.

        Raises:
            FrameError: it is no call.
        """
        assert self.decoder is not None
        for message, payload in self.decoder.feed(data):
            if not isinstance(message, CallDirectly):
                raise FrameError(f"a client with a lease sent {type(message).__name__}")
            self.queue.append(DirectCall(message, payload))

    def is_client_gone(self) -> bool:
        """Tell whether the client has closed its connection. The caller holds `InFlight.lock`: it stays open."""
        if self.connection is None:
            return False
        poll = select.poll()
        poll.register(self.connection, 0)  # POLLHUP is reported in any case
        return bool(poll.poll(0))

    def hang_up(self) -> None:
        """Close the connection. The caller holds `InFlight.lock`."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def reports(self) -> list[DirectReport]:
        """Take what has ended since the last time, in messages of bounded length."""
        messages: list[DirectReport] = []
        while self.ended:
            calls = [self.ended.popleft() for _ in range(min(len(self.ended), REPORTED_MAX))]
            now = perf_counter()
            messages.append(
                DirectReport(
                    lease=self.id,
                    call_ids=[call.call_id for call in calls],
                    ages=[max(0.0, now - call.began) for call in calls],
                    took=[call.took_s for call in calls],
                    failures=[(at, call.status) for at, call in enumerate(calls) if call.status != SUCCESS],
                    parents=[call.parent for call in calls] if any(call.parent for call in calls) else [],
                    methods=[call.method for call in calls] if any(call.method for call in calls) else [],
                )
            )
        return messages
