"""Which pools are to be looked at, now or soon, and how much may be changed in one event.

    mark ──▶ dirty ──▶ looked at before the event is over
               └─ too many of them, or put off ──▶ later ──▶ looked at in a tick, which is due at once

One event may concern thousands of pools or containers: an app opens, a floor rises, a version takes over. All at once,
they would keep every other event waiting for seconds. So one event looks at few pools, and starts or ends few
containers; the rest follows in ticks, and other events come in between. This module must not know what a look does.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swell.engine.state.pool import Pool

__all__ = ["Agenda"]

LOOKS_MAX = 64  #: at pools in one event: about 2 ms
CHANGES_MAX = 128  #: starts, losses and revocations in one event: about 5 ms where there are 50,000 containers


class Agenda:
    """The pools to look at, in order, and the budget of the present event."""

    __slots__ = ("_looks_max", "changes_left", "changes_max", "dirty", "later", "looks_left", "sweeps_left")

    def __init__(self) -> None:
        self.changes_max = CHANGES_MAX
        self.dirty: OrderedDict[str, Pool] = OrderedDict()  #: to look at before the present event is over
        self.later: OrderedDict[str, Pool] = OrderedDict()  #: to look at in a tick
        self.changes_left = CHANGES_MAX  #: containers that the present event may yet start or end
        self.looks_left = LOOKS_MAX  #: at pools that are dirty, in the present event
        self.sweeps_left = 0  #: looks at pools that were put off, in the present event
        self._looks_max = LOOKS_MAX

    def bound(self, *, looks: int, changes: int) -> None:
        """Do less in one event, so that a small history meets the bounds, too."""
        self._looks_max, self.changes_max = looks, changes
        self.begin()

    def begin(self) -> None:
        """Begin an event: its budget is whole. What was put off waits for a tick."""
        self.changes_left, self.looks_left, self.sweeps_left = self.changes_max, self._looks_max, 0

    def begin_tick(self) -> None:
        """Begin a tick: it looks at pools that were put off, too."""
        self.begin()
        self.sweeps_left = self.sweep_max

    # ------------------------------------------------------------ changes

    @property
    def is_spent(self) -> bool:
        """True if the present event should start and end no more containers: put the pool off instead."""
        return self.changes_left <= 0

    def spend(self) -> None:
        """Count a container that is started or ended, also one that cannot be put off."""
        self.changes_left -= 1

    # ------------------------------------------------------------ looks

    @property
    def sweep_max(self) -> int:
        """How many pools of one kind (put off, woken by time, blocked) a tick takes, so that each kind has its turn."""
        return self._looks_max // 2 or 1

    def mark(self, pool: Pool) -> None:
        """Have a pool looked at before the present event is over."""
        self.dirty[pool.id] = pool

    def put_off(self, pool: Pool) -> None:
        """Have a pool looked at in a tick, after those that were put off before."""
        self.later[pool.id] = pool

    def forget(self, pool: Pool) -> None:
        """Look at a pool no more: it is gone."""
        self.dirty.pop(pool.id, None)
        self.later.pop(pool.id, None)

    def take(self) -> Pool | None:
        """Return the next pool to look at in the present event; None when it is to end. The rest is put off."""
        if self.dirty:
            if self.looks_left > 0:
                self.looks_left -= 1
                pool_id, pool = self.dirty.popitem(last=False)
                self.later.pop(pool_id, None)
                return pool
            for pool_id, pool in self.dirty.items():
                self.later.setdefault(pool_id, pool)
            self.dirty.clear()
        if self.sweeps_left > 0 and self.later and not self.is_spent:
            self.sweeps_left -= 1
            return self.later.popitem(last=False)[1]
        return None
