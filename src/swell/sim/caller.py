"""A fake program that calls a function again and again, and waits for each answer: by the server, or by a call lease.

It does what decision record 30 says a client does, is stopped now and then, or hangs up in the middle. This module must
not know the engine; it sees only what a client sees.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from msgspec import Struct

from swell.model import CallKind, OutputStatus
from swell.sim.clock import Clock
from swell.sim.lease_socket import End, LeaseSocket
from swell.sim.work import Work, input_bytes, result_bytes
from swell.wire import leases as cl
from swell.wire import messages as m

__all__ = ["Caller", "LoopPlan"]

SUCCESS, FAILURE, TERMINATED = OutputStatus.SUCCESS, OutputStatus.FAILURE, OutputStatus.TERMINATED
STOPPED_S = 0.3  #: how long a client that is stopped does nothing


class LoopPlan(Struct, frozen=True):
    """One program: what its calls do, and how it behaves."""

    call_id: str  #: of which the ids of its calls are made
    function: str
    works: tuple[Work, ...]
    opens_at: float
    pause_s: float = 0.0  #: between an answer and the next call
    stops: float = 0.0  #: probability that the client is stopped while it waits
    hangs_up: float = 0.0  #: probability that it gives up a call while it waits
    gives_back: bool = False  #: it closes its lease at the end

    def call(self, number: int) -> str:
        """Return the id of its call of that number."""
        return f"{self.call_id}-{number}"


class _Held:
    """The client's end of a lease."""

    def __init__(self, caller: Caller, granted: cl.LeaseGranted) -> None:
        self.granted = granted
        self.socket: LeaseSocket | None = None
        self._caller = caller

    def hear(self, message: m.Message, payload: bytes) -> None:
        """The container has answered."""
        assert isinstance(message, cl.CallAnswer), f"a container sends {message}"
        self._caller.answered(self, message, payload)

    def hear_end(self) -> None:
        """The container has closed."""
        self._caller.cut_off(self)


class Caller:
    """One program that makes calls one after another."""

    def __init__(
        self,
        plan: LoopPlan,
        function_id: str,
        clock: Clock,
        *,
        send: Callable[[m.Message, bytes], None],
        dial: Callable[[str, End], LeaseSocket | None],
        ended: Callable[[], None],
    ) -> None:
        self.plan = plan
        self.function_id = function_id
        self.statuses: dict[str, OutputStatus | None] = {}  #: None: it was given up
        self.direct = 0  #: calls that were answered by a container
        self._clock = clock
        self._random = Random(plan.call_id)
        self._send = send
        self._dial = dial
        self._ended = ended
        self._lease: _Held | None = None
        self._sent_on: _Held | None = None  #: the lease on which the present call is
        self._sent_at = 0.0
        self._is_announced = False
        self._is_lost = False
        self._is_stopped = False
        self._next()

    @property
    def is_over(self) -> bool:
        """True when it has made all its calls."""
        return len(self.statuses) == len(self.plan.works)

    @property
    def wants_lease(self) -> bool:
        """True if it has use for a lease."""
        return self._lease is None and not self.is_over

    @property
    def _call_id(self) -> str:
        return self.plan.call(len(self.statuses))

    def leave(self) -> None:
        """The program is gone, and its connections with it."""
        self._drop()

    # ------------------------------------------------------------ calling

    def _next(self) -> None:
        if self.is_over:
            if self.plan.gives_back:
                self._drop()
            self._ended()
            return
        self._is_announced = self._is_lost = self._is_stopped = False
        self._sent_at = self._clock.now
        lease, call_id = self._lease, self._call_id
        if self._random.random() < self.plan.hangs_up:
            self._while(call_id, self._random.choice((0.0005, 0.02, 0.5)), self._hang_up)
        if lease is None or lease.socket is None:
            self._ask()
            return
        if not lease.socket.send(cl.CallDirectly(call_id), input_bytes(call_id, 0)):
            self._drop()
            self._ask()
            return
        self._sent_on = lease
        if self._random.random() < self.plan.stops:
            self._is_stopped = True
            self._while(call_id, STOPPED_S, self._wake)
        else:
            self._while(call_id, lease.granted.announce_after_s, self._announce)

    def _while(self, call_id: str, delay_s: float, action: Callable[[], None]) -> None:
        """Do something later, unless the call is over by then."""
        self._clock.after(delay_s, lambda: None if self.is_over or self._call_id != call_id else action())

    def _ask(self) -> None:
        """Call through the server."""
        self._sent_on = None
        data = input_bytes(self._call_id, 0)
        message = m.OpenCall(
            call_id=self._call_id,
            function_id=self.function_id,
            method="",
            kind=CallKind.REMOTE,
            ends=[len(data)],
            sealed=True,
            wants_lease=True,
        )
        self._send(message, data)

    def _announce(self, *, failed: bool = False, is_lost: bool = False) -> None:
        lease = self._sent_on
        if lease is None or (self._is_announced and not (failed or is_lost)):
            return
        self._is_announced = True
        call_id, age_s = self._call_id, self._clock.now - self._sent_at
        message = cl.Announce(
            call_id, lease.granted.lease, self.function_id, age_s=age_s, failed=failed, is_lost=is_lost
        )
        self._send(message, input_bytes(call_id, 0))

    def _wake(self) -> None:
        """Go on after it was stopped, with what is to be done first."""
        self._is_stopped = False
        self._announce(is_lost=self._is_lost)

    def _hang_up(self) -> None:
        """Give up the present call."""
        if self._sent_on is None or self._is_lost:
            self._send(m.CancelCall(self._call_id), b"")
        self._drop()
        self._finish(None)

    def _finish(self, status: OutputStatus | None) -> None:
        self.statuses[self._call_id] = status
        self._sent_on = None
        self._clock.after(self.plan.pause_s, self._next)

    # ------------------------------------------------------------ what containers say

    def granted(self, message: cl.LeaseGranted) -> None:
        """The server gives it a lease."""
        held = _Held(self, message)
        held.socket = self._dial(message.container_id, held)
        if held.socket is not None and held.socket.send(cl.LeaseHello(m.PROTOCOL, message.lease, message.token)):
            self._lease = held

    def answered(self, held: _Held, message: cl.CallAnswer, payload: bytes) -> None:
        """A container has answered."""
        if self.is_over or self._sent_on is not held or message.call_id != self._call_id:
            return  # the server's word was first
        if message.status == cl.NOT_BEGUN:
            self._drop()
            self._ask()
        elif message.status == TERMINATED:
            self._announce()
            self._drop()
        elif message.status == FAILURE and held.granted.is_retried:
            self._announce(failed=True)
        else:
            status = OutputStatus(message.status)
            assert status is not SUCCESS or payload == result_bytes(self._call_id, 0), f"{self._call_id}: {payload!r}"
            if self._is_announced:
                self._send(cl.DirectAnswered(self._call_id, int(status)), b"")
            self.direct += 1
            self._finish(status)

    def cut_off(self, held: _Held) -> None:
        """The connection to a container is closed."""
        if self._lease is held:
            self._lease = None
        if self.is_over or self._sent_on is not held:
            return
        self._is_lost = True
        if not self._is_stopped:
            self._announce(is_lost=True)

    def _drop(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None and lease.socket is not None:
            lease.socket.close()

    # ------------------------------------------------------------ what the server says

    def outputs(self, message: m.Outputs, payload: bytes) -> None:
        """The server has a result."""
        status = OutputStatus(message.failures[0][1] if message.failures else 1)
        assert message.parts == [(0, 1)], f"{message.call_id} has one input, and results {message.parts}"
        assert status is not SUCCESS or payload == result_bytes(message.call_id, 0), f"{message.call_id}: {payload!r}"
        if self.is_over or message.call_id != self._call_id:
            return  # the container's answer was first
        if self._sent_on is not None:
            self._drop()
        self._finish(status)

    def refused(self, message: m.Refused) -> None:
        """The server does not take a call, for the present or for good."""
        if self.is_over or message.call_id != self._call_id:
            return
        if message.retry_after_s is None:
            self._finish(None)
        else:
            self._while(self._call_id, message.retry_after_s, self._ask)
