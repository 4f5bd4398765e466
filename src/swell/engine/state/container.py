"""One container as the engine sees it, and the inputs it holds. This module must not know how inputs get there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from swell.engine.state.span import Part, Segment
from swell.states import ContainerState, step

if TYPE_CHECKING:
    from swell.engine.state.call import Call
    from swell.engine.state.pool import Pool
    from swell.policy.placement import Place

__all__ = ["LEASE", "Container", "Delivery", "Lease"]

#: Mode of a delivery whose inputs are requests over HTTP: the container is told nothing, the edge brings them.
LEASE = "lease"


class Delivery:
    """Inputs handed to a container in one message. Its id fences: an answer for a delivery that is gone is ignored.

    `open` holds the positions the container still has; those of them in `revoked` have ended already (cancelled, timed
    out): their answer frees the slot and is otherwise ignored.
    """

    __slots__ = ("at", "container", "id", "mode", "open", "parts", "revoked", "since")

    def __init__(self, delivery_id: int, container: Container, mode: str, parts: list[Part], since: float) -> None:
        self.id = delivery_id
        self.container = container
        self.mode = mode
        self.parts = parts
        self.open = set(range(sum(part.count for part in parts)))
        self.revoked: set[int] = set()
        self.at = since  #: when it was sent
        self.since = since  #: when the input it executes (serial) or all inputs (otherwise) began

    def locate(self, position: int) -> tuple[Call, Segment, int]:
        """Return the call, segment and index of the input at a position."""
        for part in self.parts:
            if position < part.count:
                return part.call, part.segment, part.first + position
            position -= part.count
        raise IndexError(position)

    def runs(self, position: int, count: int) -> Iterator[tuple[Part, int, int]]:
        """Iterate over (part, index of the first, number of inputs) of so many inputs from a position on."""
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
    """The slot that a request over HTTP has, until whoever was told of it says that it is over."""

    delivery: Delivery
    position: int
    client: int


class Container:
    """A requested, starting, live or leaving container."""

    __slots__ = (
        "crash_expected",
        "deliveries",
        "drain_until",
        "exclusive",
        "id",
        "idle_since",
        "interrupted",
        "killed",
        "leaving",
        "own_slots",
        "place",
        "pool",
        "ready_at",
        "reason",
        "reclaiming",
        "requested_at",
        "resist_until",
        "served",
        "spec",
        "stalled",
        "startup_failure",
        "state",
        "version",
        "work_due",
    )

    def __init__(self, container_id: str, pool: Pool, place: Place, requested_at: float) -> None:
        self.id = container_id
        self.pool = pool
        self.spec = pool.spec  #: what it runs, whatever its pool has become since
        self.version = pool.version
        self.place = place
        self.state = ContainerState.REQUESTED
        self.requested_at = requested_at
        self.reason = pool.plan.reason  #: why it was wanted
        self.ready_at: float | None = None
        self.idle_since = 0.0
        self.deliveries: dict[int, Delivery] = {}
        self.served = 0  #: inputs it has been given in its life
        self.exclusive = False  #: holds an input that must be alone
        self.leaving = False  #: takes no more inputs
        self.own_slots: int | None = None  #: how many slots its own code wants used, whatever the spec aims at
        self.reclaiming = False  #: a Reclaim is on its way
        self.stalled = False  #: was overdue, and has reported nothing since: it gets no work ahead
        self.work_due = float("inf")  #: when what it holds should be done by the estimate
        self.resist_until = float("inf")  #: when a cancelled input that still runs costs the container its life
        self.drain_until = float("inf")
        self.interrupted = False  #: it was ordered to stop what it runs, and leave
        self.killed = False  #: it was ordered to be killed, and is not gone yet
        self.crash_expected = ""  #: why the engine had it killed, so that nobody else is blamed
        self.startup_failure: tuple[str, bytes] | None = None

    def become(self, state: ContainerState) -> None:
        """Change state; raises IllegalStep where the table does not allow it."""
        self.state = step(self.state, state)

    def is_async(self, method: str) -> bool:
        """Tell whether inputs of a method, or of the function for "", run on its event loop."""
        if self.spec.cls is None:
            return self.spec.is_async
        return any(each.is_async for each in self.spec.cls.methods if each.name == method)

    @property
    def holds(self) -> int:
        """Inputs it has and has not answered."""
        return sum(len(delivery.open) for delivery in self.deliveries.values())

    @property
    def executing(self) -> int:
        """Inputs it has that are still wanted."""
        return sum(len(delivery.open) - len(delivery.revoked) for delivery in self.deliveries.values())

    @property
    def slots_used(self) -> int:
        """Slots that execute or are about to: a serial queue uses one, a batch one, parallel inputs one each."""
        used = 0
        serial = False
        for delivery in self.deliveries.values():
            if delivery.mode in ("parallel", LEASE):
                used += len(delivery.open)
            elif delivery.mode == "batch":
                used += 1
            else:
                serial = True
        return used + serial

    @property
    def is_leased(self) -> bool:
        """True while a request over HTTP is on its way to it, or in it."""
        return any(delivery.mode == LEASE for delivery in self.deliveries.values())

    @property
    def is_cut_short(self) -> bool:
        """True if what it runs will have to be run again elsewhere."""
        return self.killed or self.interrupted

    @property
    def takes_inputs(self) -> bool:
        """True if it may be given inputs at all."""
        return self.state is ContainerState.READY and not self.leaving and not self.exclusive
