"""What is counted of a pool: how its inputs end, and how long things take. This module must not know clocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from swell.wire.histogram import Histogram
from swell.wire.stats import Counted

__all__ = ["Measures", "RetiredMetrics"]


class Measures:
    """All that is counted of one pool, from its beginning on."""

    __slots__ = (
        "containers_failed",
        "containers_lost",
        "direct",
        "ended",
        "fallbacks",
        "leases_granted",
        "leases_recalled",
        "lost",
        "retried",
        "run",
        "start",
        "wait",
    )

    def __init__(self) -> None:
        self.wait = Histogram()  #: of inputs, from being queued to leaving for a container
        self.run = Histogram()  #: of inputs, or of batches, in a container
        self.start = Histogram()  #: of containers, from being asked for to being ready
        self.ended: Counter[int] = Counter()  #: inputs by how they ended
        self.retried = 0  #: attempts that failed and were followed by another
        self.lost = 0  #: inputs that went round again because their container was gone
        self.containers_failed = 0
        self.containers_lost = 0
        self.leases_granted = 0
        self.leases_recalled = 0
        self.direct = 0  #: calls that went straight to a container
        self.fallbacks = 0  #: calls through the server whose clients would have liked a call lease

    def count_granted(self) -> None:
        """Count a call lease that a client gets."""
        self.leases_granted += 1

    def count_recalled(self) -> None:
        """Count a call lease that is recalled."""
        self.leases_recalled += 1

    def count_direct(self, calls: int) -> None:
        """Count calls that went straight to a container."""
        self.direct += calls

    def count_fallback(self) -> None:
        """Count a call whose client would have liked a call lease."""
        self.fallbacks += 1

    def count_ended(self, status: int, count: int) -> None:
        """Count inputs that have ended with one status."""
        self.ended[status] += count

    def count_each(self, statuses: Iterable[int]) -> None:
        """Count inputs that have ended, each with a status of its own."""
        ended = self.ended
        for status in statuses:
            ended[status] += 1

    def count_retry(self) -> None:
        """Count an attempt that failed and is followed by another."""
        self.retried += 1

    def count_lost(self, inputs: int) -> None:
        """Count inputs that are queued again because their container is gone."""
        self.lost += inputs

    def count_lost_container(self) -> None:
        """Count a container that is gone although it was not told to end."""
        self.containers_lost += 1

    def count_failed_container(self) -> None:
        """Count a container that has not become ready."""
        self.containers_failed += 1

    def add_all(self, other: Measures) -> None:
        """Count all that was counted of another pool."""
        self.wait.add_all(other.wait)
        self.run.add_all(other.run)
        self.start.add_all(other.start)
        self.ended += other.ended
        self.retried += other.retried
        self.lost += other.lost
        self.containers_failed += other.containers_failed
        self.containers_lost += other.containers_lost
        self.leases_granted += other.leases_granted
        self.leases_recalled += other.leases_recalled
        self.direct += other.direct
        self.fallbacks += other.fallbacks

    def counted(self, accepted: int) -> Counted:
        """Return what has been counted so far of a pool that has let in so many inputs."""
        return Counted(
            accepted=accepted,
            ended=dict(self.ended),
            retried=self.retried,
            lost=self.lost,
            containers_failed=self.containers_failed,
            containers_lost=self.containers_lost,
            wait=self.wait.times(),
            run=self.run.times(),
            start=self.start.times(),
            leases_granted=self.leases_granted,
            leases_recalled=self.leases_recalled,
            direct=self.direct,
            fallbacks=self.fallbacks,
        )


class RetiredMetrics(Measures):
    """What was counted of pools of one name that are gone."""

    __slots__ = ("accepted",)

    def __init__(self) -> None:
        super().__init__()
        self.accepted = 0

    def add_pool(self, measures: Measures, accepted: int) -> None:
        """Count all that was counted of one more pool, which had let in so many inputs."""
        self.accepted += accepted
        self.add_all(measures)
