"""The pools whose plan waits for room or for a node's pace, and whose turn it is to be looked at again.

Room for one container comes with each exit, and time for one start with each check-in. To look at all blocked pools
then would cost each such event more, the more pools there are. So the first of the queue is asked whether it can start
something, and:

    it can, and is blocked no more ──▶ the next is asked
    it cannot                      ──▶ it goes to the back, and the next is asked: `TRIES` in all
    it cannot, after others could  ──▶ nobody is asked: what came is used up, and it stays the first

What nobody of these could use may be of use to a pool that was not asked. Such pools are *unseen*, and some of them are
looked at each time that the nodes are observed, which goes on until all were. This module must not know what a look
does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swell.engine.state.pool import Pool

__all__ = ["Blocked"]

TRIES = 2


class _Queue:
    """Blocked pools, the one whose turn it is first."""

    __slots__ = ("_asked", "_has_fed", "_tries", "pools", "unseen")

    def __init__(self) -> None:
        self.pools: OrderedDict[str, Pool] = OrderedDict()
        self.unseen = 0  #: at most so many, from the front, were not looked at since room came last
        self._asked = ""  # who is to be looked at, and to answer
        self._tries = 0
        self._has_fed = False  # somebody could use what has come

    def ask(self) -> list[Pool]:
        """Return who is to be looked at, since room has come."""
        self._tries, self._has_fed = TRIES, False
        return self._ask_first()

    def _ask_first(self) -> list[Pool]:
        if not self.pools:
            return []
        self._asked = next(iter(self.pools))
        self.unseen = max(0, self.unseen - 1)
        return [self.pools[self._asked]]

    def served(self, pool: Pool) -> list[Pool]:
        """Remove a pool, which is not blocked any more; return who is to be looked at next, if it was asked."""
        self.pools.pop(pool.id, None)
        self.unseen = min(self.unseen, len(self.pools))
        if pool.id != self._asked:
            return []
        self._asked, self._has_fed = "", True
        return self._ask_first()

    def refused(self, pool: Pool, *, has_grown: bool) -> list[Pool]:
        """Note that a pool is still blocked; return who is to be looked at next, if it was asked."""
        if pool.id != self._asked:
            return []
        self._asked = ""
        if self._has_fed and not has_grown:
            self.unseen += 1
            return []
        self.pools.move_to_end(pool.id)
        self._tries -= 1
        return self._ask_first() if self._tries > 0 else []

    def take(self, most: int) -> list[Pool]:
        """Return the first pools, which go to the back."""
        taken: list[Pool] = []
        for _ in range(min(most, len(self.pools))):
            pool_id = next(iter(self.pools))
            self.pools.move_to_end(pool_id)
            taken.append(self.pools[pool_id])
        self.unseen = max(0, self.unseen - len(taken))
        return taken


class Blocked:
    """Blocked pools in two queues: those without any container (*starved*) come before the others."""

    __slots__ = ("_others", "_starved", "paced")

    def __init__(self) -> None:
        self._starved = _Queue()
        self._others = _Queue()
        self.paced: dict[str, Pool] = {}  #: those that can start nothing until the nodes are observed

    def __contains__(self, pool_id: str) -> bool:
        return pool_id in self._starved.pools or pool_id in self._others.pools

    def __iter__(self) -> Iterator[Pool]:
        yield from self._starved.pools.values()
        yield from self._others.pools.values()

    @property
    def has_starved(self) -> bool:
        """True if a pool is blocked that has no container."""
        return bool(self._starved.pools)

    @property
    def starved(self) -> Iterator[Pool]:
        """The pools that have no container."""
        return iter(self._starved.pools.values())

    @property
    def wants_look(self) -> bool:
        """True while a pool can start something only, or perhaps, when the nodes are observed."""
        return bool(self.paced or self._starved.unseen or self._others.unseen)

    # ------------------------------------------------------------ who is blocked; each returns who is looked at next

    def add(self, pool: Pool, *, is_paced: bool, has_grown: bool) -> list[Pool]:
        """Note that a pool is blocked, perhaps after it could start something; it keeps its place if it was before."""
        if is_paced:
            self.paced[pool.id] = pool
        else:
            self.paced.pop(pool.id, None)
        mine, other = (self._others, self._starved) if pool.fleet.live else (self._starved, self._others)
        following = other.served(pool) if pool.id in other.pools else []
        mine.pools.setdefault(pool.id, pool)
        return following + mine.refused(pool, has_grown=has_grown)

    def remove(self, pool: Pool) -> list[Pool]:
        """Note that a pool is not blocked."""
        self.paced.pop(pool.id, None)
        return self._starved.served(pool) + self._others.served(pool)

    # ------------------------------------------------------------ whose turn it is

    def room_came(self) -> list[Pool]:
        """Return who is to be looked at, since there is room, or time to start; all others are unseen."""
        self.note_room()
        return self._starved.ask() + self._others.ask()

    def note_room(self) -> None:
        """Note that there is room for which no pool was looked at: all are unseen."""
        for queue in (self._starved, self._others):
            queue.unseen = len(queue.pools)

    def room_can_be_made(self) -> list[Pool]:
        """Return which pool that has no container is to be looked at, since it may make room for itself."""
        return self._starved.ask()

    def nodes_observed(self, most: int) -> list[Pool]:
        """Return up to `most` of each queue, to be looked at since the nodes were observed."""
        return self._starved.take(most) + self._others.take(most)
