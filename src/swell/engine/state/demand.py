"""What fits on no node: of each pool, how many containers more it should have, and what each would take.

This module must not know who gives nodes, or why a pool wants containers.
"""

from __future__ import annotations

from swell.model import Lack, Resources

__all__ = ["Demand"]

KINDS_MAX = 32  #: different resources that are told; of more, those that most containers want


class Demand:
    """The lacks of all pools, and their sums."""

    __slots__ = ("_of_pool", "_sums", "has_changed")

    def __init__(self) -> None:
        self._of_pool: dict[str, Lack] = {}
        self._sums: dict[Resources, int] = {}
        self.has_changed = False  #: since it was told

    def note(self, pool_id: str, resources: Resources, count: int) -> None:
        """Note what a pool lacks, in place of what it lacked before."""
        former = self._of_pool.get(pool_id)
        if former is not None and former.count == count and former.resources == resources:
            return
        self.forget(pool_id)
        self._of_pool[pool_id] = Lack(resources, count)
        self._sums[resources] = self._sums.get(resources, 0) + count
        self.has_changed = True

    def cap(self, pool_id: str, count: int) -> None:
        """Note that a pool lacks no more than this: it waits for something else for the moment.

        What was asked for meanwhile is not given up for that.
        """
        former = self._of_pool.get(pool_id)
        if former is not None and former.count > count:
            self.note(pool_id, former.resources, count)

    def forget(self, pool_id: str) -> None:
        """Note that a pool lacks nothing."""
        former = self._of_pool.pop(pool_id, None)
        if former is None:
            return
        self._sums[former.resources] -= former.count
        if not self._sums[former.resources]:
            del self._sums[former.resources]
        self.has_changed = True

    def tell(self) -> tuple[Lack, ...]:
        """Return what is lacking, which is told with this."""
        self.has_changed = False
        most = sorted(self._sums.items(), key=lambda each: each[1], reverse=True)[:KINDS_MAX]
        return tuple(Lack(resources, count) for resources, count in most)

    def of_pools(self) -> dict[str, Lack]:
        """Return what each pool lacks, for checks."""
        return dict(self._of_pool)

    def sums(self) -> dict[Resources, int]:
        """Return the sums, for checks."""
        return dict(self._sums)
