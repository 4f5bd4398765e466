"""The variants of one function that only requests over HTTP have asked for, and which of them could make room.

Plain state. This module must not know how many there may be, or what becomes of one that is put away.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swell.engine.state.pool import Pool

__all__ = ["PublicVariants"]


class PublicVariants:
    """Variants by id. A change costs the same however many there are, unless an idle one comes in late."""

    __slots__ = ("idle", "pools")

    def __init__(self) -> None:
        self.pools: dict[str, Pool] = {}
        self.idle: OrderedDict[str, Pool] = OrderedDict()  #: those without containers and calls; longest idle first

    def add(self, pool: Pool) -> None:
        """Count a variant."""
        self.pools[pool.id] = pool

    def remove(self, pool: Pool) -> None:
        """Count a variant no longer."""
        self.pools.pop(pool.id, None)
        self.idle.pop(pool.id, None)

    def mark_idle(self, pool: Pool) -> None:
        """Note that a variant is idle, perhaps for longer than others: while its starts paused, it made no room."""
        latest = next(reversed(self.idle.values()), pool)
        self.idle[pool.id] = pool
        if _since(latest) > _since(pool):
            self.idle = OrderedDict(sorted(self.idle.items(), key=lambda item: _since(item[1])))

    def mark_busy(self, pool: Pool) -> None:
        """Note that a variant is not idle."""
        self.idle.pop(pool.id, None)

    @property
    def longest_idle(self) -> Pool | None:
        """The variant that has been idle for longest; None if none is."""
        return next(iter(self.idle.values()), None)


def _since(pool: Pool) -> float:
    """Return when a variant that is idle has become so."""
    assert pool.variant is not None and pool.variant.idle_at is not None, "it is an idle variant"
    return pool.variant.idle_at
