"""One container as the engine sees it, and the inputs that it holds.

Its lifecycle is `state`, and changes by the verbs of that lifecycle alone (`check_in`, `leave`, `drain`, `interrupt`,
`kill`, `end`). Three flags stand beside it since they are independent of it: `exclusive`, `reclaiming` and `stalled`
say something of the inputs that it holds, and are over when it holds none. The inputs that it holds are counted as they
come and go; whoever closes positions of a delivery has `close` called after it. This module must not know how inputs
get there, nor why a container is to leave.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from swell.engine.state.span import Part, Segment
from swell.model import DeliveryMode
from swell.states import SHOWN_AS, ContainerState, step

if TYPE_CHECKING:
    from swell.engine.state.call import Call
    from swell.engine.state.call_lease import CallLease
    from swell.engine.state.pool import Pool
    from swell.policy.placement import Place

__all__ = ["Container", "Delivery", "Lease"]

_SERIAL, _PARALLEL = DeliveryMode.SERIAL, DeliveryMode.PARALLEL
_BATCH, _LEASE, _DIRECT = DeliveryMode.BATCH, DeliveryMode.LEASE, DeliveryMode.DIRECT
_READY, _DRAINING, _INTERRUPTED = ContainerState.READY, ContainerState.DRAINING, ContainerState.INTERRUPTED
# Tuples, since a lookup in a set would take the hash of an enum, which is Python code.
_FINISHING = (ContainerState.LEAVING, _DRAINING)
_KILLED = (ContainerState.ABANDONED, ContainerState.KILLED)
_CUT_SHORT = (*_KILLED, _INTERRUPTED)
_BEFORE_LEAVING = (ContainerState.REQUESTED, ContainerState.STARTING, _READY)


class Delivery:
    """Inputs sent to a container in one message. Its id fences: an answer for a delivery that is gone is ignored.

    `open` holds the positions that the container has not answered; those of them in `revoked` have ended already
    (cancelled, timed out): their answer frees the slot and is otherwise ignored.
    """

    __slots__ = (
        "at",
        "container",
        "id",
        "is_confirmed",
        "is_cut_off",
        "lease",
        "mode",
        "open",
        "parts",
        "revoked",
        "since",
    )

    def __init__(
        self, delivery_id: int, container: Container, mode: DeliveryMode, parts: list[Part], since: float
    ) -> None:
        self.id = delivery_id
        self.container = container
        self.mode = mode
        self.parts = parts
        self.open = set(range(sum(part.count for part in parts)))
        self.revoked: set[int] = set()
        self.at = since  #: when it was sent
        self.since = since  #: when the input that it executes (serial) or all inputs (otherwise) began
        self.lease: CallLease | None = None  #: in whose slot it is, if it is a direct call
        self.is_confirmed = False  #: its container has said that it runs this direct call
        self.is_cut_off = False  #: the client of this direct call will get no answer from the container

    def begin(self, now: float) -> None:
        """Note that the input that it executes (serial) began now."""
        self.since = now

    def confirm(self) -> None:
        """Note that the container has said that it runs this direct call."""
        self.is_confirmed = True

    def cut_off(self) -> None:
        """Note that the client of this direct call will get no answer from the container."""
        self.is_cut_off = True

    def close_run(self, first: int, count: int) -> None:
        """Note that the container has answered consecutive positions, none of which was revoked."""
        self.open.difference_update(range(first, first + count))
        self.container.count_answered(self, count, 0)

    def close(self, positions: Iterable[int]) -> None:
        """Note that the container does not have these positions any more."""
        opened, revoked = len(self.open), len(self.revoked)
        self.open.difference_update(positions)
        if self.revoked:
            self.revoked &= self.open
        self.container.count_answered(self, opened - len(self.open), revoked - len(self.revoked))

    def revoke(self, positions: Iterable[int]) -> None:
        """Note that these positions have ended, and still take their slots until the container answers."""
        before = len(self.revoked)
        self.revoked.update(positions)
        self.container.count_revoked(len(self.revoked) - before)

    def locate(self, position: int) -> tuple[Call, Segment, int]:
        """Return the call, segment and index of the input at a position."""
        for part in self.parts:
            if position < part.count:
                return part.call, part.segment, part.first + position
            position -= part.count
        raise IndexError(position)

    def runs(self, position: int, count: int) -> Iterator[tuple[Part, int, int]]:
        """Iterate over (part, index of the first, number of inputs) of `count` inputs from a position on."""
        for part in self.parts:
            if position >= part.count:
                position -= part.count
                continue
            many = min(count, part.count - position)
            yield part, part.first + position, many
            position, count = 0, count - many
            if not count:
                return

    def positions_of(self, call: Call) -> Iterator[int]:
        """Iterate over the positions of a call's inputs, open or not."""
        start = 0
        for part in self.parts:
            if part.call is call:
                yield from range(start, start + part.count)
            start += part.count


class Lease(NamedTuple):
    """The slot of a request over HTTP, from when a client (an edge) is told of it until it is released."""

    delivery: Delivery
    position: int
    client: int


class Container:
    """A container from its request until its process is gone."""

    __slots__ = (
        "_serial_deliveries",
        "crash_expected",
        "deliveries",
        "drain_until",
        "exclusive",
        "executing",
        "holds",
        "id",
        "idle_since",
        "is_serial",
        "leases",
        "own_slots",
        "place",
        "pool",
        "ready_at",
        "reason",
        "reclaiming",
        "requested_at",
        "resist_until",
        "served",
        "shown_as",
        "slots_used",
        "spec",
        "stalled",
        "startup_failure",
        "state",
        "takes_calls",
        "vacant_leases",
        "version",
        "work_due",
    )

    def __init__(self, container_id: str, pool: Pool, place: Place, requested_at: float) -> None:
        self.id = container_id
        self.pool = pool
        self.spec = pool.spec  #: what it runs, whatever its pool has become since
        self.is_serial = pool.spec.is_serial
        self.version = pool.version
        self.place = place
        self.state = ContainerState.REQUESTED
        self.shown_as = SHOWN_AS[self.state]  #: its state under the name that people see
        self.requested_at = requested_at
        self.reason = pool.scaling.plan.reason  #: why it was wanted
        self.ready_at: float | None = None
        self.idle_since = 0.0
        self.deliveries: dict[int, Delivery] = {}
        self.takes_calls = False  #: it listens for direct calls
        self.leases: dict[str, CallLease] = {}  #: that clients hold on its slots
        self.vacant_leases = 0  #: of these, the ones without an announced call: each may run one that is not
        self.holds = 0  #: inputs that it has and has not answered
        self.executing = 0  #: of these, the ones that are still wanted
        #: Slots that execute or are about to: a serial queue uses one, a batch, a call lease, parallel inputs one each.
        self.slots_used = 0
        self._serial_deliveries = 0
        self.served = 0  #: inputs that it was given in its life
        self.exclusive = False  #: holds an input that must be alone
        self.own_slots: int | None = None  #: slots that its own code wants used, whatever the spec aims at
        self.reclaiming = False  #: a Reclaim is on its way
        self.stalled = False  #: was overdue, and has finished nothing since: it gets one input, and no work ahead
        self.work_due = inf  #: when what it holds should be done by the estimate
        self.resist_until = inf  #: when a cancelled input that still runs costs the container its life
        self.drain_until = inf  #: when a container that was told to leave is killed
        self.crash_expected = ""  #: why the engine ended it, so that no input and no code is blamed
        self.startup_failure: tuple[str, bytes] | None = None

    # ------------------------------------------------------------ its lifecycle

    def _become(self, state: ContainerState) -> None:
        self.state = step(self.state, state)
        self.shown_as = SHOWN_AS.get(state, self.shown_as)
        self.pool.fleet.note_load(self)

    def begin_start(self) -> None:
        """Note that the backend has made its process."""
        if self.state is ContainerState.REQUESTED:
            self._become(ContainerState.STARTING)

    def check_in(self, now: float, *, takes_calls: bool = False) -> bool:
        """Note that it is ready for inputs; False if that comes too late, or twice."""
        self.begin_start()
        if self.state is not ContainerState.STARTING:
            return False
        self._become(_READY)
        self.takes_calls = takes_calls
        self.ready_at = self.idle_since = now
        return True

    def fail_start(self, text: str, payload: bytes = b"") -> None:
        """Keep why it cannot become ready, in words and as a pickled exception."""
        self.startup_failure = (text, payload)

    def leave(self) -> None:
        """Take no more inputs, without being told to leave yet: it is, when it holds none."""
        if self.state is _READY:
            self._become(ContainerState.LEAVING)

    def drain(self, until: float) -> None:
        """Note that it is told to finish what it has and to leave until a time."""
        self.crash_expected = "the container was told to leave"
        self.drain_until = until
        self._become(_DRAINING)

    def extend_drain(self, until: float) -> None:
        """Give a container that was told to leave more time."""
        self.drain_until = until

    def interrupt(self, reason: str, until: float) -> None:
        """Note that it is told to stop what it runs and to leave until a time."""
        self.crash_expected = reason
        self.drain_until = min(self.drain_until, until)
        if self.state is not _INTERRUPTED:
            self._become(_INTERRUPTED)

    def kill(self, excuse: str) -> None:
        """Note that it is being killed; the excuse says why nothing in it is to blame, "" if it is its own fault."""
        self._become(ContainerState.ABANDONED if self.is_starting else ContainerState.KILLED)
        self.crash_expected = excuse or self.crash_expected

    def end(self) -> None:
        """Note that its process is gone, or could not be made."""
        if self.crash_expected:
            self._become(ContainerState.STOPPED)
        else:
            self._become(ContainerState.FAILED if self.is_starting else ContainerState.LOST)

    @property
    def is_starting(self) -> bool:
        """True until it has been ready, also while its start is being given up."""
        return self.ready_at is None

    @property
    def takes_inputs(self) -> bool:
        """True if it may be given inputs at all."""
        return self.state is _READY and not self.exclusive

    @property
    def is_leaving(self) -> bool:
        """True if it takes no more inputs, now or later. An abandoned start counts as a start until it is retired."""
        if self.state is ContainerState.ABANDONED:
            return self.id not in self.pool.fleet.starting
        return self.state not in _BEFORE_LEAVING

    @property
    def is_finishing(self) -> bool:
        """True if it takes no more inputs, and finishes those that it has by itself."""
        return self.state in _FINISHING

    @property
    def is_cut_short(self) -> bool:
        """True if what it runs will have to be run again elsewhere."""
        return self.state in _CUT_SHORT

    @property
    def is_killed(self) -> bool:
        """True while it is being killed."""
        return self.state in _KILLED

    @property
    def was_told_to_leave(self) -> bool:
        """True from when it was told to leave, until it is gone."""
        return self.drain_until < inf

    # ------------------------------------------------------------ the inputs that it holds

    def give(self, delivery: Delivery, *, exclusive: bool) -> None:
        """Hold the inputs of a delivery."""
        mode, count = delivery.mode, len(delivery.open)
        self.deliveries[delivery.id] = delivery
        self.served += count
        self.holds += count
        self.executing += count
        self.exclusive = exclusive
        if mode is _SERIAL:
            self.slots_used += not self._serial_deliveries
            self._serial_deliveries += 1
        elif mode is not _DIRECT:
            self.slots_used += 1 if mode is _BATCH else count
        self.pool.fleet.note_load(self)

    def give_direct(self, delivery: Delivery, lease: CallLease) -> None:
        """Hold a direct call that was announced, in the slot of its lease."""
        delivery.lease = lease
        if not lease.deliveries and lease.id in self.leases:
            self._count_vacant(-1)
        lease.deliveries[delivery.id] = delivery
        self.give(delivery, exclusive=False)

    def count_answered(self, delivery: Delivery, count: int, revoked: int) -> None:
        """Count inputs of a delivery that it has no more, some of them revoked. `close` follows, and has it found."""
        self.holds -= count
        self.executing -= count - revoked
        if delivery.mode is _PARALLEL or delivery.mode is _LEASE:
            self.slots_used -= count

    def count_revoked(self, count: int) -> None:
        """Count inputs that it has and that are not wanted any more."""
        self.executing -= count
        self.pool.fleet.note_load(self)

    def expect_done(self, by: float) -> None:
        """Note when what it holds should be done by the estimate."""
        self.work_due = by

    def note_progress(self, delivery: Delivery, now: float) -> None:
        """Note that it has answered inputs of a serial queue, and begins with the next about now."""
        delivery.begin(now)
        self.stalled = self.stalled and self.reclaiming  # a mere answer to that is no progress

    def stall(self) -> None:
        """Note that it is overdue: it gets no work ahead until it reports something."""
        self.stalled = True
        self.pool.fleet.note_load(self)

    def count_served(self, inputs: int) -> None:
        """Count direct calls that it has run, and of which nothing was known before."""
        self.served += inputs

    def begin_reclaim(self) -> None:
        """Note that it is asked to return what it has not started."""
        self.reclaiming = True
        self.work_due = inf
        self.pool.fleet.note_load(self)

    def end_reclaim(self) -> None:
        """Note that it has returned what it had not started."""
        self.reclaiming = False
        self.pool.fleet.note_load(self)

    def close(self, delivery: Delivery, now: float) -> bool:
        """Take in that positions of a delivery were closed, and forget it after the last; True if it holds nothing now.

        A delivery that is not known has been forgotten before: then nothing has changed.
        """
        has_ended = not delivery.open and delivery.id in self.deliveries
        if has_ended:
            self._forget(delivery, now)
        self.pool.fleet.note_load(self)
        return has_ended and not self.deliveries

    def _forget(self, delivery: Delivery, now: float) -> None:
        was_head = self.is_serial and next(iter(self.deliveries)) == delivery.id
        del self.deliveries[delivery.id]
        for part in delivery.parts:
            part.call.release(delivery)
        if delivery.mode is _BATCH:
            self.slots_used -= 1
        elif delivery.mode is _SERIAL:
            self._serial_deliveries -= 1
            self.slots_used -= not self._serial_deliveries
        elif delivery.lease is not None:
            self._leave_lease(delivery, delivery.lease, now)
        if not self.deliveries:
            if not self.leases:
                self.idle_since = now
            self.exclusive = self.reclaiming = self.stalled = False
            self.resist_until = self.work_due = inf
        elif was_head:
            following = next(iter(self.deliveries.values()))
            if following.mode is _SERIAL:
                following.begin(now)

    # ------------------------------------------------------------ call leases on its slots

    def lease(self, lease: CallLease) -> None:
        """Give a slot away, to the calls that a client sends."""
        self.leases[lease.id] = lease
        self.slots_used += 1
        self._count_vacant(1)
        self.pool.leases.add(lease)
        self.pool.fleet.note_load(self)

    def close_lease(self, lease: CallLease, now: float) -> None:
        """Note that it begins no more calls of a lease; the slot is free when it has none that was announced."""
        lease.close()
        if not lease.deliveries:
            self._end_lease(lease)
            if not self.is_held:
                self.idle_since = now
        self.pool.fleet.note_load(self)

    def _leave_lease(self, delivery: Delivery, lease: CallLease, now: float) -> None:
        del lease.deliveries[delivery.id]
        lease.use(now)
        if lease.deliveries or lease.id not in self.leases:
            return
        self._count_vacant(1)
        if not lease.may_begin_calls:
            self._end_lease(lease)

    def _end_lease(self, lease: CallLease) -> None:
        del self.leases[lease.id]
        self.slots_used -= 1
        if not lease.deliveries:
            self._count_vacant(-1)
        lease.end()

    def _count_vacant(self, change: int) -> None:
        self.vacant_leases += change
        self.pool.leases.add_vacant(change)

    def drop_leases(self) -> None:
        """End all its leases: its process is gone."""
        for lease in list(self.leases.values()):
            self._end_lease(lease)

    # ------------------------------------------------------------ what becomes of these

    def drop_deliveries(self) -> None:
        """Forget all deliveries: the process that had them is gone."""
        for delivery in self.deliveries.values():
            for part in delivery.parts:
                part.call.release(delivery)
        self.deliveries.clear()
        self.drop_leases()
        self.holds = self.executing = self.slots_used = self._serial_deliveries = 0
        self.pool.fleet.note_load(self)

    def must_yield(self, by: float) -> None:
        """Note by when the inputs that were revoked must have stopped, or the container is evicted."""
        self.resist_until = min(self.resist_until, by)

    def need_not_yield(self) -> None:
        """Note that nothing is waited for that was revoked."""
        self.resist_until = inf

    def resize(self, slots: int) -> None:
        """Use so many slots from now on, because its own code says so."""
        self.own_slots = slots
        self.pool.fleet.note_load(self)

    def is_async(self, method: str) -> bool:
        """Tell whether inputs of a method, or of the function for "", run on its event loop."""
        if self.spec.cls is None:
            return self.spec.is_async
        return any(each.is_async for each in self.spec.cls.methods if each.name == method)

    @property
    def is_held(self) -> bool:
        """True while it has inputs, or a client may send it some."""
        return bool(self.deliveries or self.leases)

    @property
    def running(self) -> int:
        """Inputs that it executes, as far as is known: a lease without an announced call counts as one."""
        return self.executing + self.vacant_leases

    @property
    def load(self) -> int | None:
        """What it carries, for comparison with the others of its pool: inputs in a queue, or slots in use.

        None if it is not to be given more: it is full, takes none, or is asked to return what it has. One with slots of
        its own counts as having room under any limit until those are full.
        """
        if self.state is not _READY or self.exclusive:
            return None
        if self.is_serial:
            return None if self.reclaiming or self.stalled or self.leases else self.holds
        used, own, concurrency = self.slots_used, self.own_slots, self.spec.concurrency
        if used >= (own or concurrency.max_inputs):
            return None
        return used if own is None else min(used, concurrency.target_inputs - 1)

    @property
    def is_leased(self) -> bool:
        """True while a request over HTTP is on its way to it, or in it."""
        return any(delivery.mode is _LEASE for delivery in self.deliveries.values())
