"""Call leases: slots that clients hold to send calls straight to a container, and what is remembered of ended ones.

A lease changes by the verbs of its lifecycle alone (`recall`, `close`, `end`). Its slot is counted by its container,
from `Container.lease` until it is closed and no announced call is left in it. This module must not know why a lease is
granted or recalled.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from swell.model import MemoryExcess
from swell.states import LeaseState, step

if TYPE_CHECKING:
    from swell.engine.state.container import Container, Delivery
    from swell.wire.messages import Outputs

__all__ = ["NOBODY", "CallLease", "CallLeases", "LeaseEnd", "PoolLeases"]

NOBODY: Final = -1  #: the client of a call that only its container has announced so far
ENDS_MAX = 256  #: leases of lost containers that are remembered
UNCLAIMED_MAX = 256  #: results that are kept for clients that have not announced their call yet


class CallLease:
    """One slot of a container, held by a client for its calls."""

    __slots__ = ("client", "container", "deliveries", "granted_at", "id", "recalled_at", "state", "used_at")

    def __init__(self, lease_id: str, container: Container, client: int, now: float) -> None:
        self.id = lease_id
        self.container = container
        self.client = client
        self.granted_at = now
        self.used_at = now  #: when a call was last known to have ended on it
        self.recalled_at: float | None = None
        self.state = LeaseState.OPEN
        self.deliveries: dict[int, Delivery] = {}  #: of the calls on it that were announced

    def use(self, now: float) -> None:
        """Note that calls have ended on it."""
        self.used_at = now

    def recall(self, now: float) -> None:
        """Note that its container is told to begin no more calls of it."""
        self.state = step(self.state, LeaseState.RECALLED)
        self.recalled_at = now
        self.container.pool.leases.note_recalled(self)

    def close(self) -> None:
        """Note that its container will begin no more calls of it."""
        self.state = step(self.state, LeaseState.CLOSED)
        self.container.pool.leases.note_closed(self)

    def end(self) -> None:
        """Note that its slot is free, or gone."""
        self.state = step(self.state, LeaseState.ENDED)
        self.container.pool.leases.note_ended(self)

    @property
    def announced(self) -> dict[str, Delivery]:
        """Its announced calls by their ids; those that have ended and still run are among them."""
        return {delivery.parts[0].call.id: delivery for delivery in self.deliveries.values()}

    @property
    def is_open(self) -> bool:
        """True until it is recalled or closed."""
        return self.state is LeaseState.OPEN

    @property
    def may_begin_calls(self) -> bool:
        """True until its container has said that it will begin no more."""
        return self.state is LeaseState.OPEN or self.state is LeaseState.RECALLED


class PoolLeases:
    """The call leases on the containers of one pool, by state."""

    __slots__ = ("open", "over", "recalled", "vacant", "wanted")

    def __init__(self) -> None:
        self.wanted: dict[int, None] = {}  #: clients that have just had an answer, and would like a lease
        self.open: OrderedDict[str, CallLease] = OrderedDict()  #: the first granted first
        self.recalled: dict[str, CallLease] = {}  #: of which the containers have not answered
        self.over: list[CallLease] = []  #: whose slots are free, and that are to be forgotten before the event is over
        self.vacant = 0  #: leases without an announced call: each counts as one running input

    def want(self, client: int) -> None:
        """Note that a client would like a lease."""
        self.wanted[client] = None

    def take_wanted(self) -> list[int]:
        """Return the clients that would like a lease, in the order of their answers, and forget that they do."""
        wanted = list(self.wanted)
        self.wanted.clear()
        return wanted

    def add_vacant(self, change: int) -> None:
        """Count leases that have no announced call from now on, or with a negative change have one, or are over."""
        self.vacant += change

    def add(self, lease: CallLease) -> None:
        """Take in a lease that was granted."""
        self.open[lease.id] = lease

    def note_recalled(self, lease: CallLease) -> None:
        """Note that a lease was recalled."""
        del self.open[lease.id]
        self.recalled[lease.id] = lease

    def note_closed(self, lease: CallLease) -> None:
        """Note that no more calls begin on a lease."""
        self.open.pop(lease.id, None)
        self.recalled.pop(lease.id, None)

    def note_ended(self, lease: CallLease) -> None:
        """Note that the slot of a lease is free."""
        self.note_closed(lease)
        self.over.append(lease)

    def take_over(self) -> list[CallLease]:
        """Return the leases that are over, to be forgotten."""
        over, self.over = self.over, []
        return over

    @property
    def may_begin_calls(self) -> bool:
        """True while calls may begin on any of them."""
        return bool(self.open or self.recalled)

    @property
    def wants_look(self) -> bool:
        """True if there may be something to grant, to recall or to forget."""
        return bool(self.open or self.wanted or self.over)


class LeaseEnd(NamedTuple):
    """How a lease ended whose container is gone: a call may have been on it that nobody has announced yet."""

    lease: CallLease
    reason: str
    excess: MemoryExcess | None
    was_alone: bool  #: there was no other input, and no other lease, in the container


class CallLeases:
    """All call leases, by id and by client; how those of lost containers ended; and results that nobody has claimed."""

    __slots__ = ("_minted", "by_client", "by_id", "ends", "unclaimed")

    def __init__(self) -> None:
        self.by_id: dict[str, CallLease] = {}
        self.by_client: dict[int, dict[str, CallLease]] = {}
        self.ends: OrderedDict[str, LeaseEnd] = OrderedDict()
        self.unclaimed: OrderedDict[str, tuple[Outputs, bytes | memoryview]] = OrderedDict()
        self._minted = 0

    def next_number(self) -> int:
        """Return the number of a new lease."""
        self._minted += 1
        return self._minted

    def add(self, lease: CallLease) -> None:
        """Take in a lease that is granted."""
        self.by_id[lease.id] = lease
        self.by_client.setdefault(lease.client, {})[lease.id] = lease

    def remove(self, lease: CallLease) -> None:
        """Forget a lease that is over."""
        del self.by_id[lease.id]
        mine = self.by_client[lease.client]
        del mine[lease.id]
        if not mine:
            del self.by_client[lease.client]

    def of(self, client: int) -> list[CallLease]:
        """Return the leases of a client."""
        return list(self.by_client.get(client, {}).values())

    # ------------------------------------------------------------ what comes late

    def remember_end(self, lease_id: str, end: LeaseEnd) -> None:
        """Remember how a lease ended whose container is gone, for a while."""
        self.ends[lease_id] = end
        if len(self.ends) > ENDS_MAX:
            self.ends.popitem(last=False)

    def keep_unclaimed(self, message: Outputs, payload: bytes | memoryview) -> None:
        """Keep the result of a call until its client asks for it, for a while."""
        self.unclaimed[message.call_id] = message, payload
        if len(self.unclaimed) > UNCLAIMED_MAX:
            self.unclaimed.popitem(last=False)

    def take_unclaimed(self, call_id: str) -> tuple[Outputs, bytes | memoryview] | None:
        """Return the result of a call that was kept for its client, and keep it no more."""
        return self.unclaimed.pop(call_id, None)
