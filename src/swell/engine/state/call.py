"""One invocation by a client and the bookkeeping of its inputs. This module must not know scheduling."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from swell.engine.state.counts import CallCounts
from swell.engine.state.history import CallHistory
from swell.engine.state.stream import Stream
from swell.model import CallKind, DeliveryMode
from swell.records import AttemptRecord, StoredCall

if TYPE_CHECKING:
    from swell.engine.state.container import Delivery
    from swell.engine.state.pool import Pool

__all__ = ["Call", "Watcher"]

_DIRECT = DeliveryMode.DIRECT


class Watcher:
    """A client that wants the outputs of inputs first..last-1 as they come."""

    __slots__ = ("client", "first", "last", "request")

    def __init__(self, client: int, request: int, first: int, last: int) -> None:
        self.client = client
        self.request = request
        self.first = first
        self.last = last


class Call(CallCounts):
    """A call that is not finished. Its state is derived from its four counts of inputs.

    An input's own failures are kept only for the few that have any.

    It has no lifecycle of its own. `sealed` (no more inputs come) and `cancelled` (those that come are not taken, those
    that fail are not retried) are facts about its inputs; a cancelled call is sealed.

    A spawned call is written down as it goes, and the tail of a long one is in the store alone: `stored` of the pending
    inputs are, and those from index `tail` on that are pending are among them.
    """

    __slots__ = (
        "_watchers",
        "cancelled",
        "client",
        "crashes",
        "deliveries",
        "failures",
        "held_until",
        "history",
        "id",
        "is_announced",
        "kind",
        "loading",
        "method",
        "pool",
        "sealed",
        "sequence",
        "stored",
        "streams",
        "tail",
        "trace",
        "wants_lease",
    )

    def __init__(
        self, call_id: str, kind: CallKind, pool: Pool, method: str, client: int, *, parent: str, opened_at: float
    ) -> None:
        super().__init__(pool.counts, is_async=kind.is_async)
        self.id = call_id
        self.kind = kind
        self.pool = pool
        self.method = method
        self.client = client
        self.sealed = False
        self.cancelled = False
        self.is_announced = False  #: it went straight to a container first
        self.wants_lease = False  #: its client would like a call lease when it has ended
        self.deliveries: dict[int, Delivery] = {}  #: those that have inputs of it, by their number; the latest last
        self.failures: dict[int, int] = {}  #: index -> failed attempts, for the retry policy
        self.crashes: dict[int, int] = {}  #: index -> containers lost while it ran
        self.streams: dict[int, Stream] = {}  #: index -> what a generator has yielded
        self._watchers: dict[int, dict[int, Watcher]] = {}  # by client and request
        self.trace: dict[str, str] = {}  #: the trace context of its caller; lost when it is read back from the store
        self.history = CallHistory(
            call_id,
            kind,
            pool_id=pool.id,
            app_name=pool.app.name,
            function_name=pool.spec.name,
            parent=parent,
            opened_at=opened_at,
        )
        self.sequence = 0  #: of a spawned call: its place among them
        self.stored = 0  #: inputs that wait and are not in memory
        self.tail = 0  #: no input from this index on is in memory
        self.held_until: list[tuple[int, float]] = []  #: when some of them may run again: (index, time), the first last
        self.loading = False  #: some of those have been asked for

    def end(self, indexes: range | list[int] | tuple[int, ...]) -> None:
        """Count inputs to which nothing more can happen, and forget their failures and what they have yielded."""
        self.add_done(len(indexes))
        if self.failures or self.crashes or self.streams:
            for index in indexes:
                self.failures.pop(index, None)
                self.crashes.pop(index, None)
                self.streams.pop(index, None)

    # ------------------------------------------------------------ where its inputs are

    def deliver(self, delivery: Delivery) -> None:
        """Note that inputs of it are in a delivery."""
        self.deliveries[delivery.id] = delivery

    def release(self, delivery: Delivery) -> None:
        """Note that a delivery is over."""
        self.deliveries.pop(delivery.id, None)

    @property
    def direct(self) -> Delivery | None:
        """The delivery of its one input, if its client has sent that to the container itself and it is there."""
        delivery = next(iter(self.deliveries.values()), None)
        return delivery if delivery is not None and delivery.mode is _DIRECT else None

    # ------------------------------------------------------------ what its client wants

    def claim(self, client: int) -> None:
        """Send its results to a client, from now on."""
        self.client = client

    def announce(self) -> None:
        """Note that it went straight to a container first, and was announced."""
        self.is_announced = True

    def want_lease(self) -> None:
        """Offer its client a call lease when it has ended."""
        self.wants_lease = True

    def seal(self) -> None:
        """Take no more inputs."""
        self.sealed = True

    def cancel(self) -> None:
        """Take no more inputs and retry none."""
        self.cancelled = self.sealed = True

    def trace_from(self, trace: dict[str, str]) -> None:
        """Keep the trace context of its caller, for the containers that run its inputs."""
        self.trace = trace

    def number(self, sequence: int) -> None:
        """Give a spawned call its place among all spawned calls."""
        self.sequence = sequence

    def watch(self, watcher: Watcher) -> None:
        """Send its outputs to one more client."""
        self._watchers.setdefault(watcher.client, {})[watcher.request] = watcher

    def unwatch(self, client: int, request: int | None = None) -> None:
        """Send its outputs no more to a client; with a request, no more because of that one."""
        of_client = self._watchers.get(client, {})
        if request is not None:
            of_client.pop(request, None)
        if request is None or not of_client:
            self._watchers.pop(client, None)

    @property
    def watchers(self) -> list[Watcher]:
        """Who wants its outputs, and why."""
        return [watcher for of_client in self._watchers.values() for watcher in of_client.values()]

    @property
    def watching(self) -> Iterable[int]:
        """The clients that want its outputs."""
        return self._watchers.keys()

    # ------------------------------------------------------------ attempts

    def count_failure(self, index: int) -> int:
        """Count a failed attempt of an input; return how many there are."""
        failures = self.failures[index] = self.failures.get(index, 0) + 1
        return failures

    def forget_failures(self, index: int) -> None:
        """Forget the failed attempts of an input that is not retried any more."""
        del self.failures[index]

    def count_crash(self, index: int) -> int:
        """Count a container that was lost while it ran an input; return how many there are."""
        crashes = self.crashes[index] = self.crashes.get(index, 0) + 1
        return crashes

    def stream_of(self, index: int) -> Stream:
        """Return the values that a generator has yielded, none at first."""
        stream = self.streams.get(index)
        if stream is None:
            stream = self.streams[index] = Stream()
        return stream

    # ------------------------------------------------------------ the part that is in the store alone

    def restore(self, stored: StoredCall, attempts: Iterable[AttemptRecord]) -> None:
        """Take over what the store knows of a call of which no input is in memory yet; attempts come in order.

        Its pool has counted these inputs already. Nobody adds to the call: the client that did is gone with a former
        server, and what was accepted is all there will be.
        """
        self.sequence, self.sealed = stored.sequence, True
        self.restore_counts(stored.accepted, stored.done)
        self.stored = self.pending
        for attempt in attempts:
            if attempt.failures:
                self.failures[attempt.index] = attempt.failures
            if attempt.crashes:
                self.crashes[attempt.index] = attempt.crashes
            self.held_until.append((attempt.index, attempt.not_before))
        self.held_until.reverse()

    def leave_in_store(self, count: int) -> None:
        """Note that some pending inputs are in the store alone."""
        self.stored += count

    def note_tail(self, index: int) -> None:
        """Note that no input from an index on is in memory."""
        self.tail = index

    def begin_read(self) -> None:
        """Note that the store was asked for more of its inputs."""
        self.loading = True

    def end_read(self) -> None:
        """Note that the store has answered, or that the answer comes too late."""
        self.loading = False

    def take_from_store(self, count: int, *, upto: int) -> None:
        """Note that pending inputs below an index are in memory now; `count` of them were not before."""
        self.stored -= count
        self.tail = upto

    def end_stored(self) -> int:
        """Count all inputs that are in the store alone as ended; return the first that may be among them."""
        first, count = self.tail, self.stored
        self.stored, self.tail = 0, self.accepted
        self.add_pending(-count)
        self.add_done(count)
        for index, _ in self.held_until:
            self.failures.pop(index, None)
            self.crashes.pop(index, None)
        self.held_until.clear()
        return first

    def next_held_until(self, first: int, last: int) -> int | None:
        """Return the lowest index within first..last-1 of an input with a time before which it may not run again.

        Those below have been asked about before; what is left of them has ended.
        """
        while self.held_until:
            index, _ = self.held_until[-1]
            if index >= first:
                return index if index < last else None
            self.held_until.pop()
        return None

    def pop_held_until(self) -> float:
        """Return when the input that `next_held_until` has told of may run again, and forget that time."""
        _, until = self.held_until.pop()
        return until

    @property
    def in_memory(self) -> int:
        """How many of the inputs that wait are in memory."""
        return self.pending - self.stored

    @property
    def finished(self) -> bool:
        """True when nothing more can happen to it."""
        return self.sealed and self.done == self.accepted
