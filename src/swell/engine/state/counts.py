"""Inputs counted by where they are, for a call and for its pool: both change together, and only here.

This module must not know what moves an input from one count to another.
"""

from __future__ import annotations

__all__ = ["CallCounts", "PoolCounts"]


class PoolCounts:
    """The inputs of one pool over all its calls, in memory or in the store, and its calls in memory."""

    __slots__ = ("accepted", "done", "open_calls", "pending", "running")

    def __init__(self) -> None:
        self.accepted = 0
        self.pending = {True: 0, False: 0}  #: inputs that wait, by "is asynchronous"
        self.running = {True: 0, False: 0}  #: inputs in containers, likewise
        self.done = 0
        self.open_calls = 0  #: calls in memory that have not ended

    @property
    def pending_total(self) -> int:
        """Inputs that wait, in memory or in the store."""
        return self.pending[True] + self.pending[False]

    @property
    def running_total(self) -> int:
        """Inputs in containers."""
        return self.running[True] + self.running[False]

    def add_stored(self, inputs: int) -> None:
        """Count inputs that were accepted and wait in the store alone, with their whole call."""
        self.accepted += inputs
        self.pending[True] += inputs

    def count_direct(self, inputs: int) -> None:
        """Count direct calls that have ended before anybody announced them."""
        self.accepted += inputs
        self.done += inputs

    def open_call(self) -> None:
        """Count a call that is in memory."""
        self.open_calls += 1

    def close_call(self) -> None:
        """Count a call that has ended, or is left to the store."""
        self.open_calls -= 1


class CallCounts:
    """The inputs of one call: accepted = pending + running + done.

    The counts of its pool are held rather than looked up, and so is the kind of call: inputs are counted several times
    on their way.
    """

    __slots__ = ("_is_async", "_of_pool", "accepted", "done", "pending", "running")

    def __init__(self, of_pool: PoolCounts, *, is_async: bool) -> None:
        self._of_pool = of_pool
        self._is_async = is_async
        self.accepted = 0
        self.pending = 0
        self.running = 0
        self.done = 0

    def add_accepted(self, count: int) -> None:
        """Count inputs that were let in."""
        self.accepted += count
        self._of_pool.accepted += count

    def add_pending(self, change: int) -> None:
        """Count inputs that wait from now on or, with a negative `change`, wait no longer."""
        self.pending += change
        self._of_pool.pending[self._is_async] += change

    def add_running(self, change: int) -> None:
        """Count inputs that containers hold from now on or, with a negative `change`, hold no longer."""
        self.running += change
        self._of_pool.running[self._is_async] += change

    def add_done(self, count: int) -> None:
        """Count inputs that have ended."""
        self.done += count
        self._of_pool.done += count

    def restore_counts(self, accepted: int, done: int) -> None:
        """Set the counts of a call that comes back from the store. Its pool has counted it all the while."""
        self.accepted = accepted
        self.done = done
        self.pending = accepted - done
