"""A job of the store, and a group of them: what is written and read in one transaction, and then answered.

This module must not know in which thread it runs, or when a group is complete.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from enum import Enum
from functools import partial
from typing import Any, Final

import apsw
from msgspec import MsgspecError

from swell.ports import Failed, ReadFailed
from swell.records import Record
from swell.store.sqlite.batch_writer import BatchWriter
from swell.store.sqlite.database import Database

__all__ = ["UNFINISHED", "Group", "Job", "Unfinished", "call_all"]


class Unfinished(Enum):
    """What a job returns to run again after the jobs behind it."""

    UNFINISHED = "unfinished"


UNFINISHED: Final = Unfinished.UNFINISHED


class Job:
    """Write records, read something if asked, and answer when all is durable."""

    __slots__ = ("alone", "answer", "failed", "frame", "future", "read", "records")

    def __init__(
        self,
        records: list[Record],
        answer: Callable[..., None],
        read: Callable[[Database], Any] | None = None,
        future: Future[Any] | None = None,
        failed: Failed | None = None,
        *,
        alone: bool = False,
        frame: int = 0,
    ) -> None:
        self.records = records
        self.answer = answer  #: called on the event loop with what was read; without an argument if there is no `read`
        self.read = read
        self.failed = failed  #: called in place of `answer` when `read` raises; None: such an error breaks the store
        self.alone = alone  #: as in `Store.commit`
        self.frame = frame  #: the last of the journal that holds these records, which are durable; 0: it holds none
        self.future = future  #: gets what was read, in place of `answer`, where a thread waits for it


class Group:
    """The jobs of one transaction."""

    def __init__(self, database: Database, batch_writer: BatchWriter) -> None:
        self.database = database
        self._batch_writer = batch_writer
        self.answers: deque[Callable[[], None]] = deque()  #: to be called on the event loop after `commit`
        self._results: list[tuple[Future[Any], Any]] = []
        self.frame = 0  #: the last of the journal of which there are records here

    def run(self, job: Job) -> Job | None:
        """Write and read what a job asks for; return what is left of it, to run behind other jobs."""
        for record in job.records:
            self._batch_writer.take(record)
        self.frame = max(self.frame, job.frame)
        if job.read is None:
            self.answers.append(job.answer)
            return None
        self._batch_writer.write()
        found = _found(job, job.read, self.database)
        if found is UNFINISHED:
            return Job([], job.answer, job.read)
        if isinstance(found, ReadFailed):
            self.answers.append(partial(job.failed or _nobody, found))
        elif job.future is not None:
            self._results.append((job.future, found))
        else:
            self.answers.append(partial(job.answer, found))
        return None

    @property
    def size_bytes(self) -> int:
        """Of the payloads written so far."""
        return self._batch_writer.size_bytes

    def commit(self) -> None:
        """Make all durable; then threads that wait have what they asked for."""
        self._batch_writer.commit(self.frame)
        for future, found in self._results:
            future.set_result(found)


def call_all(answers: deque[Callable[[], None]]) -> None:
    """Call all answers in order, also after one that raises."""
    try:
        while answers:
            answers.popleft()()
    finally:
        if answers:
            call_all(answers)


def _found(job: Job, read: Callable[[Database], Any], database: Database) -> Any:
    """Return what a job reads, or ReadFailed if the error concerns this job alone."""
    was_writing = database.is_writing
    try:
        return read(database)
    except Exception as error:
        if job.failed is None or database.is_writing != was_writing:  # the error rolled back earlier writes
            raise
        if isinstance(error, apsw.Error):
            return ReadFailed(str(database.explain(error)))
        if isinstance(error, MsgspecError):
            return ReadFailed(f"a row of {database.path} is damaged: {error}")
        failed = ReadFailed(f"a defect in the store ({error!r})")
        failed.__cause__ = error
        return failed


def _nobody(_failed: ReadFailed) -> None:
    """Do nothing: nobody asked."""
