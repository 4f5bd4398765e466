"""A fake container's half of call leases: it runs what clients send, reports, announces and closes as the runner does.

This module must not know the engine; it sees only what a container sees.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol

from swell.model import OutputStatus
from swell.sim.clock import Time
from swell.sim.lease_socket import LeaseSocket
from swell.sim.oracle.direct import DOOR_S
from swell.sim.run import Run
from swell.sim.work import Mishap, Work, input_bytes
from swell.wire import leases as cl
from swell.wire.messages import PROTOCOL, Message

__all__ = ["DirectHost", "DirectSlot"]

PATIENCE_S = 1.0  #: how long a stranger is kept whose lease the server has not told of
DEEP = 0.2  #: so often, user code keeps the container's other threads from running while it runs

Entry = tuple[str, float, float, int]  #: call, when it began, how long it ran, how it ended


class DirectHost(Protocol):
    """The container around the slot."""

    clock: Time
    items_ahead_max: int
    interrupt_s: float

    def send(self, message: Message, payload: bytes = b"") -> None:
        """Send something to the server."""
        ...

    def work(self, call_id: str, index: int) -> tuple[Work, int]:
        """Return what an input does, and how many mishaps are behind it."""
        ...

    def began_direct(self, call_id: str, at: float) -> None:
        """Note that a direct call begins."""
        ...

    def ended_direct(self, call_id: str, status: OutputStatus) -> None:
        """Note that a direct call has ended."""
        ...

    def die_of_direct(self, call_id: str, mishap: Mishap) -> None:
        """Die of a direct call."""
        ...

    def leave_when_idle(self) -> None:
        """Leave, if it is to and has nothing to do."""
        ...


class _Lease:
    """One lease, and the client's connection if there is one."""

    def __init__(self, slot: DirectSlot, lease_id: str, token: str) -> None:
        self.id = lease_id
        self.token = token
        self.socket: LeaseSocket | None = None
        self.is_closed = False  #: nothing more begins on it
        self.is_recalled = False  #: it is to be closed as soon as the thread that does it runs
        self._slot = slot

    def hear(self, message: Message, payload: bytes) -> None:
        """The client sent something."""
        assert isinstance(message, cl.CallDirectly), f"a client sends {message}"
        self._slot.called(self, message, payload)

    def hear_end(self) -> None:
        """The client has closed."""
        self._slot.hung_up(self)


class _Stranger:
    """A connection of which it is not known yet whose it is. What follows the first words waits until it is."""

    def __init__(self, slot: DirectSlot, socket: LeaseSocket) -> None:
        self.socket = socket
        self.hello: cl.LeaseHello | None = None
        self.unread: list[tuple[Message, bytes]] = []
        self.is_gone = False
        self._slot = slot

    def hear(self, message: Message, payload: bytes) -> None:
        """Somebody sent something, and his first words must be right."""
        if self.hello is not None:
            self.unread.append((message, payload))
            return
        assert isinstance(message, cl.LeaseHello), f"a stranger begins with {message}"
        self.hello = message
        self._slot.clock.after(self._slot.door_delay_s(), self._greet)

    def _greet(self) -> None:
        self._slot.greeted(self)

    def hear_end(self) -> None:
        """He is gone."""
        self.is_gone = True


class _Running:
    """The direct call that is executed."""

    def __init__(self, lease: _Lease, message: cl.CallDirectly, began: float, *, is_deep: bool) -> None:
        self.lease = lease
        self.call_id = message.call_id
        self.began = began
        self.is_deep = is_deep  #: no other thread of the container runs meanwhile
        self.is_announced = False
        self.is_abandoned = False
        self.run: Run | None = None


class DirectSlot:
    """Executes one direct call at a time."""

    def __init__(self, host: DirectHost, function_id: str, seed: str) -> None:
        self.clock = host.clock
        self.items_ahead_max = host.items_ahead_max
        self.interrupt_s = host.interrupt_s
        self._host = host
        self._function_id = function_id
        self._random = Random(seed)
        self._leases: dict[str, _Lease] = {}
        self._sockets: list[LeaseSocket] = []  # all that were ever connected
        self._early: dict[str, _Stranger] = {}  # those whose lease is not known yet
        self._running: _Running | None = None
        self._ended: dict[str, list[Entry]] = {}  # by lease
        self._will_report = False
        self._is_draining = False
        self._is_dead = False

    @property
    def is_idle(self) -> bool:
        """True while nothing is executed."""
        return self._running is None

    @property
    def is_held(self) -> bool:
        """True while a client may send it a call, or it executes one."""
        return self._running is not None or any(not lease.is_closed for lease in self._leases.values())

    # ------------------------------------------------------------ leases

    def hear(self, message: Message) -> None:
        """The server said something of leases."""
        match message:
            case cl.OpenLease():
                lease = self._leases[message.lease] = _Lease(self, message.lease, message.token)
                early = self._early.pop(message.lease, None)
                if early is not None:
                    self._attach(early, lease)
                if self._is_draining:
                    self._close(lease)
            case cl.RecallLease():
                self._recall(self._leases[message.lease])
            case cl.CancelDirect():
                running = self._running
                if running is not None and running.call_id == message.call_id and running.run is not None:
                    running.run.cancel()
            case _:
                raise AssertionError(f"{message} is about no lease")

    def accept(self, socket: LeaseSocket) -> None:
        """Let a client in that will say who it is. The thread that listens may be kept from running for a while."""
        socket.accept(_Stranger(self, socket))
        self._sockets.append(socket)

    def door_delay_s(self) -> float:
        """Return how long it takes until the first words of a stranger are read."""
        return self._random.choice((0.0, 0.0, 0.0, 0.0, DOOR_S))

    def greeted(self, stranger: _Stranger) -> None:
        """A stranger has said which lease is his; the server may say so later."""
        hello = stranger.hello
        assert hello is not None and hello.protocol == PROTOCOL
        if self._is_dead:
            return
        lease = self._leases.get(hello.lease)
        if lease is not None:
            self._attach(stranger, lease)
            return
        self._early[hello.lease] = stranger
        self.clock.after(PATIENCE_S, lambda: self._give_up(hello.lease, stranger))

    def _give_up(self, lease_id: str, stranger: _Stranger) -> None:
        if self._early.get(lease_id) is stranger:
            del self._early[lease_id]
            stranger.socket.hang_up()

    def _attach(self, stranger: _Stranger, lease: _Lease) -> None:
        socket, hello = stranger.socket, stranger.hello
        if hello is None or hello.token != lease.token or lease.socket is not None or lease.is_closed:
            socket.hang_up()
            return
        lease.socket = socket
        socket.accept(lease)
        for message, payload in stranger.unread:
            lease.hear(message, payload)
        if stranger.is_gone:
            lease.hear_end()

    def drain(self) -> None:
        """Close all leases: the container is to leave."""
        self._is_draining = True
        for lease in list(self._leases.values()):
            self._recall(lease)

    def _recall(self, lease: _Lease) -> None:
        if self._running is not None and self._running.is_deep:
            lease.is_recalled = True  # the thread that would do it does not run
        else:
            self._close(lease)

    def _close(self, lease: _Lease) -> None:
        if lease.is_closed:
            return
        lease.is_closed = True
        runs = self._running is not None and self._running.lease is lease
        if runs:
            self._announce()
            self._say_closed(lease)
        if lease.socket is None:
            self._say_closed(lease)
        elif runs:
            lease.socket.shut(lambda: None)
        else:
            lease.socket.shut(lambda: self._read_to_the_end(lease))

    def _read_to_the_end(self, lease: _Lease) -> None:
        self._say_closed(lease)
        if lease.socket is not None:
            lease.socket.hang_up()

    def _say_closed(self, lease: _Lease) -> None:
        self._report()
        self._host.send(cl.LeaseClosed(lease.id))

    def hung_up(self, lease: _Lease) -> None:
        """A client has closed its end."""
        running = self._running
        if running is not None and running.lease is lease:
            if not running.is_deep:
                self._abandon()
            running.is_abandoned = True
        elif not lease.is_closed:
            lease.is_closed = True
            self._say_closed(lease)

    def _abandon(self) -> None:
        running = self._running
        assert running is not None
        self._announce()
        self._host.send(cl.Abandoned(running.call_id))
        if not running.lease.is_closed:
            running.lease.is_closed = True
            self._say_closed(running.lease)

    # ------------------------------------------------------------ calls

    def called(self, lease: _Lease, message: cl.CallDirectly, payload: bytes) -> None:
        """A client has sent a call."""
        assert payload == input_bytes(message.call_id, 0), f"{message.call_id} got the bytes {payload!r}"
        assert lease.socket is not None
        now = self.clock.now
        if lease.is_closed:
            lease.socket.answer(cl.CallAnswer(message.call_id, cl.NOT_BEGUN))
            self._note(lease, (message.call_id, now, 0.0, cl.NOT_BEGUN))
            return
        assert self._running is None, f"{message.call_id} and {self._running} at once"
        running = self._running = _Running(lease, message, now, is_deep=self._random.random() < DEEP)
        running.run = Run(self, 0, 0, (message.call_id, 0), lambda status, data: self._over(running, status, data))
        self._later(cl.ANNOUNCE_AFTER_S, running, lambda: None if running.is_deep else self._announce())
        running.run.start()

    def _later(self, delay_s: float, running: _Running, action: Callable[[], None]) -> None:
        self.clock.after(delay_s, lambda: action() if self._running is running else None)

    def _announce(self) -> None:
        running = self._running
        if running is None or running.is_announced:
            return
        running.is_announced = True
        age_s = self.clock.now - running.began
        message = cl.Announce(running.call_id, running.lease.id, self._function_id, age_s=age_s)
        self._host.send(message, input_bytes(running.call_id, 0))

    def _over(self, running: _Running, status: OutputStatus, data: bytes) -> None:
        """A call has ended: answer it, note it, and do what waited for its thread."""
        lease, call_id = running.lease, running.call_id
        self._running = None
        self._host.ended_direct(call_id, status)
        if lease.socket is not None:
            lease.socket.answer(cl.CallAnswer(call_id, int(status)), data)
        self._note(lease, (call_id, running.began, self.clock.now - running.began, int(status)))
        if lease.is_closed:
            self._report()
            if lease.socket is not None:
                lease.socket.hang_up()
        elif running.is_abandoned:
            lease.is_closed = True
            self._say_closed(lease)
        for other in list(self._leases.values()):
            if other.is_recalled:
                other.is_recalled = False
                self._close(other)
        self._host.leave_when_idle()

    def _note(self, lease: _Lease, entry: Entry) -> None:
        self._ended.setdefault(lease.id, []).append(entry)
        if not self._will_report:
            self._will_report = True
            self.clock.after(cl.REPORT_EVERY_S, self._report)

    def _report(self) -> None:
        self._will_report = False
        ended, self._ended = self._ended, {}
        now = self.clock.now
        for lease_id, entries in ended.items():
            failures = [(i, entry[3]) for i, entry in enumerate(entries) if entry[3] != OutputStatus.SUCCESS]
            ages = [now - began for _, began, _, _ in entries]
            took = [each for _, _, each, _ in entries]
            self._host.send(cl.DirectReport(lease_id, [entry[0] for entry in entries], ages, took, failures))

    def stop(self) -> None:
        """Execute and say nothing more: the container is dead."""
        running, self._running = self._running, None
        if running is not None and running.run is not None:
            running.run.stop()
        self._is_dead = True
        for socket in self._sockets:
            socket.hang_up()

    # ------------------------------------------------------------ for the run

    def send(self, message: Message, payload: bytes = b"") -> None:
        """Send nothing: no generator is called directly."""
        raise AssertionError(f"a direct call sends {message}")

    def work(self, call_id: str, index: int) -> tuple[Work, int]:
        """Return what an input does, and how many mishaps are behind it."""
        return self._host.work(call_id, index)

    def began(self, delivery: int, call_id: str, index: int, at: float) -> None:
        """Note that a call begins to execute."""
        self._host.began_direct(call_id, at)

    def die_of(self, delivery: int, call_id: str, index: int, mishap: Mishap) -> None:
        """Die of a call."""
        self._host.die_of_direct(call_id, mishap)
