"""One invocation by a client and the bookkeeping of its inputs. This module must not know containers or scheduling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swell.engine.state.history import CallHistory
from swell.model import CallKind

if TYPE_CHECKING:
    from swell.engine.state.pool import Pool
    from swell.engine.state.stream import Stream

__all__ = ["Call", "Watcher"]


class Watcher:
    """A client that wants the outputs of inputs first..last-1 as they come."""

    __slots__ = ("client", "first", "last", "request")

    def __init__(self, client: int, request: int, first: int, last: int) -> None:
        self.client = client
        self.request = request
        self.first = first
        self.last = last


class Call:
    """A call that is not finished. Its state is derived from four counts: accepted = pending + running + done.

    Its pool has the same counts over all its calls: they change together, and only here. An input's own failures are
    kept only for the few that have any.

    A spawned call is written down as it goes, and the tail of a long one is in the store alone: `stored` of the pending
    inputs are, and those from index `tail` on that are pending are among them.
    """

    __slots__ = (
        "accepted",
        "cancelled",
        "client",
        "crashes",
        "done",
        "failures",
        "held_until",
        "history",
        "id",
        "kind",
        "loading",
        "method",
        "pending",
        "pool",
        "running",
        "sealed",
        "sequence",
        "stored",
        "streams",
        "tail",
        "trace",
        "watchers",
    )

    def __init__(
        self, call_id: str, kind: CallKind, pool: Pool, method: str, client: int, *, parent: str, opened_at: float
    ) -> None:
        self.id = call_id
        self.kind = kind
        self.pool = pool
        self.method = method
        self.client = client
        self.accepted = 0
        self.pending = 0
        self.running = 0
        self.done = 0
        self.sealed = False
        self.cancelled = False
        self.failures: dict[int, int] = {}  #: index -> failed attempts, for the retry policy
        self.crashes: dict[int, int] = {}  #: index -> containers lost while it ran
        self.streams: dict[int, Stream] = {}  #: index -> what a generator has yielded
        self.watchers: list[Watcher] = []
        self.trace: dict[str, str] = {}  #: the trace context of its caller; lost when it is read back from the store
        self.history = CallHistory(call_id, pool.id, pool.label, kind, parent=parent, opened_at=opened_at)
        self.sequence = 0  #: of a spawned call: its place among them
        self.stored = 0  #: inputs that wait and are not in memory
        self.tail = 0  #: no input from this index on is in memory
        self.held_until: dict[int, float] = {}  #: when some of them may run again
        self.loading = False  #: some of those have been asked for

    def add_accepted(self, count: int) -> None:
        """Count inputs that were let in."""
        self.accepted += count
        self.pool.accepted += count

    def add_pending(self, change: int) -> None:
        """Count inputs that wait from now on or, with a negative `change`, wait no longer."""
        self.pending += change
        self.pool.pending[self.kind.is_async] += change

    def add_running(self, change: int) -> None:
        """Count inputs that containers hold from now on or, with a negative `change`, hold no longer."""
        self.running += change
        self.pool.running[self.kind.is_async] += change

    def add_done(self, count: int) -> None:
        """Count inputs to which nothing more can happen."""
        self.done += count
        self.pool.done += count

    @property
    def in_memory(self) -> int:
        """How many of the inputs that wait are in memory."""
        return self.pending - self.stored

    @property
    def finished(self) -> bool:
        """True when nothing more can happen to it."""
        return self.sealed and self.done == self.accepted
