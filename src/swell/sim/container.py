"""A fake container: speaks the container's side of the protocol as the runner does, and executes nothing.

This module must not know the engine or its state; it sees only what a container sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from swell.items import pack
from swell.model import FunctionSpec, MemoryExcess, OutputStatus
from swell.sim.clock import Time
from swell.sim.direct_slot import DirectSlot
from swell.sim.lease_socket import LeaseSocket
from swell.sim.oracle.ledger import Ledger
from swell.sim.parallel import BatchSlots, ParallelSlots
from swell.sim.run import EXCESS
from swell.sim.serial import SerialSlot
from swell.sim.slots import Held, Result, Slots
from swell.sim.work import Mishap, Work, input_bytes
from swell.wire import messages as m
from swell.wire.leases import CancelDirect, OpenLease, RecallLease

__all__ = ["FakeContainer", "Manners"]


class Manners(Struct, frozen=True):
    """How a container behaves apart from its inputs."""

    start_s: float = 0.002  #: from its process to Ready
    exit_s: float = 0.001  #: exit hooks
    interrupt_s: float = 0.0005  #: how long user code takes to notice a cancellation
    items_ahead_max: int = 1_024
    fails_start: bool = False  #: an import or enter hook raises
    hangs_start: bool = False
    hangs_exit: bool = False
    resizes_to: tuple[int, ...] = ()  #: sets its own number of slots, one after each result
    leaves_after: int | None = None  #: says Leaving after so many inputs
    takes_calls: bool = False  #: listens for direct calls


class FakeContainer:
    """One container from the moment its process exists."""

    def __init__(
        self,
        container_id: str,
        spec: FunctionSpec,
        clock: Time,
        manners: Manners,
        ledger: Ledger,
        *,
        function_id: str = "",
        send: Callable[[m.Message, bytes], None],
        exit: Callable[[str, bool, MemoryExcess | None], None],
    ) -> None:
        self.id = container_id
        self.clock = clock
        self.interrupt_s = manners.interrupt_s
        self.items_ahead_max = manners.items_ahead_max
        self.alive = True
        self._manners = manners
        self._ledger = ledger
        self._send = send
        self._exit = exit
        self._has_started = False
        self._draining = False
        self._leaving = False
        self._resizes = list(manners.resizes_to)
        self._served = 0
        self._last_read = 0
        self._refused: set[int] = set()
        self._inputs: dict[int, list[tuple[str, int]]] = {}
        self._cancelled: dict[int, set[int]] = {}
        self._spec = spec
        self._slots = _slots(self, spec)
        self._direct = DirectSlot(self, function_id, container_id) if manners.takes_calls else None
        clock.after(manners.start_s, self._started)

    @property
    def is_busy(self) -> bool:
        """True while it executes something."""
        return self.alive and not self._is_idle

    @property
    def _is_idle(self) -> bool:
        return self._slots.is_idle and (self._direct is None or self._direct.is_idle)

    @property
    def is_starting(self) -> bool:
        """True until it has checked in."""
        return self.alive and not self._has_started

    # ------------------------------------------------------------ its life

    def _started(self) -> None:
        if not self.alive or self._manners.hangs_start:
            return
        self._has_started = True
        if self._manners.fails_start:
            self.send(m.StartFailed("enter hook raised"), b"the exception of the start")
            self._end("exited with status 1")
        else:
            self.send(m.Ready(1, self._manners.start_s, self._direct is not None))

    def kill(self) -> None:
        """Die at once; nothing more is said."""
        if self.alive:
            self.alive = False
            self._stop()

    def _stop(self) -> None:
        self._slots.stop()
        if self._direct is not None:
            self._direct.stop()

    def _end(self, reason: str) -> None:
        """Leave in order: all that was said arrives before the end is seen."""
        if self.alive:
            self.alive = False
            self._stop()
            self._exit(reason, True, None)

    def leave_when_idle(self) -> None:
        """Leave, if it is to and has nothing to do."""
        if self._draining and self._is_idle and not self._manners.hangs_exit:
            self.clock.after(self._manners.exit_s, lambda: self._end("exited with status 0"))

    # ------------------------------------------------------------ what it hears

    def hear_data(self, message: m.Message, payload: bytes) -> None:
        """A message arrived on the data channel."""
        if not self.alive or not isinstance(message, m.Deliver):
            return
        assert self._direct is None or not self._direct.is_held, (
            f"{self.id} is given inputs, and its slot is a client's"
        )
        self._last_read = message.delivery
        inputs = _inputs(message, payload)
        carried = [position for position, of in enumerate(inputs) if self.work(*of)[0].is_blob]
        assert message.blobs == carried, f"blobs at {message.blobs} instead of {carried}"
        self._inputs[message.delivery] = inputs
        if message.delivery in self._refused:
            return
        if self._draining:
            self.send(m.Returned(message.delivery, 0))
            return
        held = Held(message.delivery, inputs)
        held.answered = self._cancelled.pop(message.delivery, set())
        self._slots.deliver(held)

    def hear_control(self, message: m.Message, payload: bytes) -> None:
        """A message arrived on the control channel; it may have overtaken the data channel."""
        if not self.alive:
            return
        match message:
            case m.Cancel():
                if not self._slots.cancel(message.delivery, message.positions) and self._is_unread(message.delivery):
                    fresh = [p for p in message.positions if p not in self._cancelled.get(message.delivery, set())]
                    self._cancelled.setdefault(message.delivery, set()).update(fresh)
                    self.report([(message.delivery, p, OutputStatus.TERMINATED, b"", 0.0) for p in fresh])
            case m.Reclaim():
                self._reclaim(message.delivery)
            case m.Drain():
                self._draining = True
                if isinstance(self._slots, SerialSlot):
                    for number in self._slots.numbers():
                        self._slots.reclaim(number)
                if self._direct is not None:
                    self._direct.drain()
                self.leave_when_idle()
            case m.Interrupt():
                self._draining = True
                self._stop()
                if not self._manners.hangs_exit:
                    self.clock.after(self._manners.exit_s, lambda: self._end("exited with status 0"))
            case m.ItemsTaken():
                self._slots.items_taken(message.delivery, message.position, message.count)
            case OpenLease() | RecallLease() | CancelDirect() if self._direct is not None:
                self._direct.hear(message)
            case _:
                raise AssertionError(f"a container is not told {type(message).__name__}")

    def _is_unread(self, delivery: int) -> bool:
        return delivery > self._last_read and delivery not in self._refused

    def _reclaim(self, delivery: int) -> None:
        if not self._slots.reclaim(delivery) and self._is_unread(delivery):
            self._refused.add(delivery)
            self.send(m.Returned(delivery, 0))

    # ------------------------------------------------------------ what it says

    def send(self, message: m.Message, payload: bytes = b"") -> None:
        """Send something on the data channel."""
        if self.alive:
            self._send(message, payload)

    def give_back(self, delivery: int, position: int) -> None:
        """Send back what is not begun."""
        self.send(m.Returned(delivery, position))

    def report(self, results: Sequence[Result]) -> None:
        """Send results, runs of positions together."""
        parts: list[tuple[int, int, int]] = []
        for delivery, position, *_ in results:
            if parts and parts[-1][0] == delivery and parts[-1][1] + parts[-1][2] == position:
                parts[-1] = (delivery, parts[-1][1], parts[-1][2] + 1)
            else:
                parts.append((delivery, position, 1))
        failures = [(i, int(r[2])) for i, r in enumerate(results) if r[2] is not OutputStatus.SUCCESS]
        blobs = [i for i, r in enumerate(results) if r[2] is OutputStatus.SUCCESS and self._is_blob(r[0], r[1])]
        busy_s = sum(result[4] for result in results)
        items = pack([result[3] for result in results], blobs=blobs, failures=failures)
        self.send(m.Completed(parts, items.ends, failures, blobs, busy_s), items.payload)
        self._served += len(results)
        if self._resizes:
            self.send(m.Resize(self._resizes.pop()))
        if self._manners.leaves_after is not None and not self._leaving and self._served >= self._manners.leaves_after:
            self._leaving = True
            self.send(m.Leaving())
        self.clock.after(0.0, self.leave_when_idle)

    def _is_blob(self, delivery: int, position: int) -> bool:
        return self.work(*self._inputs[delivery][position])[0].is_blob

    # ------------------------------------------------------------ what its inputs are

    def work(self, call_id: str, index: int) -> tuple[Work, int]:
        """Return what an input does, and how many mishaps are behind it."""
        return self._ledger.work(call_id, index)

    def began(self, delivery: int, call_id: str, index: int, at: float) -> None:
        """Note that an input begins to execute."""
        self._ledger.began(delivery, call_id, index, at)

    # ------------------------------------------------------------ what clients send it themselves

    def accept(self, socket: LeaseSocket) -> bool:
        """Let a client connect for direct calls; False if it does not listen."""
        if not self.alive or self._direct is None:
            return False
        self._direct.accept(socket)
        return True

    def began_direct(self, call_id: str, at: float) -> None:
        """Note that a direct call begins to execute."""
        assert self._slots.is_idle, f"{self.id} runs an input, and begins {call_id}"
        self._ledger.direct.began(self.id, self._spec, call_id, at)

    def ended_direct(self, call_id: str, status: OutputStatus) -> None:
        """Note that a direct call has ended."""
        self._ledger.direct.ended(self.id, call_id, status, self.clock.now)

    def die_of_direct(self, call_id: str, mishap: Mishap) -> None:
        """Die of a direct call."""
        self._ledger.direct.dies_of(call_id)
        self._die(mishap)

    def die_of(self, delivery: int, call_id: str, index: int, mishap: Mishap) -> None:
        """Die of an input."""
        self._ledger.killed(delivery, call_id, index)
        self._die(mishap)

    def _die(self, mishap: Mishap) -> None:
        self.kill()
        if mishap is Mishap.OUTGROW:
            self._exit(f"killed: it {EXCESS}", True, EXCESS)
        else:
            self._exit("killed by SIGSEGV", True, None)


def _slots(container: FakeContainer, spec: FunctionSpec) -> Slots:
    if spec.batching is not None:
        return BatchSlots(container, spec.concurrency.max_inputs, spec.batching.max_batch_size)
    if spec.concurrency.max_inputs > 1:
        return ParallelSlots(container, spec.concurrency.max_inputs)
    return SerialSlot(container)


def _inputs(message: m.Deliver, payload: bytes) -> list[tuple[str, int]]:
    """Return (call, index) of every item, having checked that each got its own bytes."""
    inputs = [(call_id, first + i) for call_id, first, count in message.parts for i in range(count)]
    assert len(inputs) == len(message.ends), "items and offsets differ in number"
    for of, data in zip(inputs, message.items(payload).pieces(), strict=True):
        assert data == input_bytes(*of), f"{of} got the bytes {data!r}"
    return inputs
