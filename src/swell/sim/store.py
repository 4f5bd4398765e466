"""A store that keeps only what was committed: what a crash leaves is what a real one would have on its disk.

Built on the memory store, which is held to be right by the conformance suite. This module must not know the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from swell.records import Record, Restored
from swell.sim.clock import Clock
from swell.store.memory.store import MemoryStore

__all__ = ["DurableStore"]


class DurableStore:
    """Implements `swell.ports.Store` in virtual time; `crash` forgets what is not committed.

    Everything asked of it waits in one line, and is done some time later, all at once: as a group commit, whose answers
    arrive when it is over.
    """

    def __init__(self, clock: Clock, random: Random, commit_s: float, boundary: Callable[[], None]) -> None:
        """Begin empty; `boundary` is passed before and after everything that is done."""
        self._clock = clock
        self._random = random
        self._commit_s = commit_s
        self._boundary = boundary
        self._waiting: list[Record | Callable[[], None]] = []
        self._answers: list[Callable[[], None]] = []
        self._is_writing = False
        self._life = 0
        self.committed = MemoryStore(lambda answer: self._answers.append(answer))  #: what a crash would leave

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Return a reading method: it waits for its turn, and then asks what is committed by then."""
        read: Callable[..., None] = getattr(self.committed, name)
        return lambda *asked, **how: self._line_up(lambda: read(*asked, **how))

    def restore(self) -> Restored:
        """Return what there is at the start."""
        return self.committed.restore()

    def append(self, record: Record) -> None:
        """Take a record; written with the next commit."""
        self._boundary()
        self._waiting.append(record)

    def commit(self, then: Callable[[], None], *, alone: bool = False) -> None:
        """Commit what was taken, and answer."""
        self._line_up(lambda: self._answers.append(then))

    def close(self) -> None:
        """Write what was taken."""
        self._write()

    def crash(self) -> None:
        """The process that wrote is killed: nobody hears answers any more, and what is not committed never was."""
        self._waiting, self._answers = [], []
        self._is_writing = False
        self._life += 1

    def _line_up(self, turn: Callable[[], None]) -> None:
        self._waiting.append(turn)
        if not self._is_writing:
            self._is_writing = True
            life, delay_s = self._life, self._commit_s * self._random.uniform(0.5, 2)
            self._clock.after(delay_s, lambda: self._write() if life == self._life else None)

    def now(self, method: str, *asked: Any) -> Any:
        """Return what a reading method gives of what is committed, at once."""
        before, self._answers = self._answers, []
        found: list[Any] = []
        getattr(self.committed, method)(*asked, found.append)
        for answer in self._answers:
            answer()
        self._answers = before
        return found[0]

    def _write(self) -> None:
        self._is_writing = False
        self._boundary()
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if callable(each):
                each()
            else:
                self.committed.append(each)
        self._boundary()
        answers, self._answers, life = self._answers, [], self._life
        for answer in answers:
            if life == self._life:  # one of them may bring the server down
                answer()
