"""The writer thread, which owns the database: it takes jobs in order, commits in groups, and answers.

This module must not know what records mean or how they are read; it decides only when to commit and when to do
maintenance.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from enum import Enum
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final

import apsw
from msgspec import MsgspecError

from swell.ports import Failed, ReadFailed, StoreBroken
from swell.records import Record
from swell.store.sqlite.batch_writer import BatchWriter
from swell.store.sqlite.database import Database

__all__ = ["UNFINISHED", "Job", "Unfinished", "Writer"]

Soon = Callable[[Callable[[], None]], object]

#: Bounds of one transaction: a longer group is committed and answered in parts.
GROUP_BYTES_MAX: Final = 32 << 20
GROUP_JOBS_MAX: Final = 10_000
#: A log of so many pages of 4 KiB is checkpointed at once, a shorter one when the writer was idle for IDLE_S.
LOG_PAGES_MAX: Final = 4_096
IDLE_S: Final = 0.5
#: Unused pages that the file keeps for later writes (32 MiB); and how many of the others are returned at a time.
FREE_PAGES_MAX: Final = 8_192
SHRINK_PAGES: Final = 1_024


class Unfinished(Enum):
    """What a job returns to run again after the jobs behind it."""

    UNFINISHED = "unfinished"


UNFINISHED: Final = Unfinished.UNFINISHED


class Job:
    """Write records, read something if asked, and answer when all is durable."""

    __slots__ = ("answer", "failed", "future", "read", "records")

    def __init__(
        self,
        records: list[Record],
        answer: Callable[..., None],
        read: Callable[[Database], Any] | None = None,
        future: Future[Any] | None = None,
        failed: Failed | None = None,
    ) -> None:
        self.records = records
        self.answer = answer  #: called on the event loop with what was read; without an argument if there is no `read`
        self.read = read
        self.failed = failed  #: called in place of `answer` when `read` raises; None: such an error breaks the store
        self.future = future  #: gets what was read, in place of `answer`, where a thread waits for it


class Writer:
    """Runs jobs in a thread of its own.

    Args:
        open_database: called in the thread, where the database will be used.
        soon: schedules a function on the event loop, from any thread.
        on_broken: called on the event loop, once, when nothing more can be written.
    """

    def __init__(
        self, open_database: Callable[[], Database], soon: Soon, on_broken: Callable[[StoreBroken], None]
    ) -> None:
        self._open_database = open_database
        self._soon = soon
        self._on_broken = on_broken
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()  # None: no more jobs follow
        self._broken: StoreBroken | None = None
        self._thread: threading.Thread | None = None
        self._needs_maintenance = False

    # ------------------------------------------------------------ any thread

    def start(self) -> None:
        """Start the thread, unless it was started."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._main, name="swell-store", daemon=True)
            self._thread.start()

    def post(self, job: Job) -> None:
        """Add a job behind all others."""
        self._jobs.put(job)

    def close(self) -> None:
        """Finish the jobs, and end the thread. Safe to call twice."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()

    # ------------------------------------------------------------ the thread

    def _main(self) -> None:
        group: list[Job | None] = []
        try:
            database = self._open_database()
        except StoreBroken as broken:
            self._broken = broken
        else:
            self._broken = self._serve(database, group)
            database.close(as_is=self._broken is not None)
            if self._broken is not None and not any(job is not None and job.future for job in group):
                self._call_soon(partial(self._on_broken, self._broken))
        if self._broken is not None:
            self._refuse(group, self._broken)

    def _serve(self, database: Database, group: list[Job | None]) -> StoreBroken | None:
        """Run jobs until the last; return the error that broke the store: then `group` holds the unanswered jobs."""
        batch_writer = BatchWriter(database)
        try:
            while self._run_group(self._wait(database), batch_writer, database, group):
                if database.log_pages >= LOG_PAGES_MAX:
                    database.checkpoint()
            return None
        except apsw.Error as error:
            return database.explain(error)
        except MsgspecError as error:
            return StoreBroken(f"{database.path} is damaged: a row in it cannot be read ({error}). Restore a copy")
        except Exception as error:
            broken = StoreBroken(f"{database.path}: a defect in the store ({error!r}). What was committed is safe")
            broken.__cause__ = error
            return broken

    def _wait(self, database: Database) -> Job | None:
        """Return the next job; do maintenance until it comes."""
        while self._needs_maintenance:
            try:
                return self._jobs.get(timeout=IDLE_S)
            except Empty:
                self._needs_maintenance = self._maintain(database)
        return self._jobs.get()

    def _maintain(self, database: Database) -> bool:
        """Do one maintenance step; False if none is left."""
        if database.free_pages > FREE_PAGES_MAX:
            database.shrink(SHRINK_PAGES)
            return True
        if database.log_pages:
            database.checkpoint()
        return False

    def _run_group(
        self, job: Job | None, batch_writer: BatchWriter, database: Database, group: list[Job | None]
    ) -> bool:
        """Run a job and the jobs behind it in one transaction. False after the last job."""
        answers: deque[Callable[[], None]] = deque()
        results: list[tuple[Future[Any], Any]] = []
        left = min(self._jobs.qsize(), GROUP_JOBS_MAX)
        group.append(job)
        while job is not None:
            for record in job.records:
                batch_writer.take(record)
            if job.read is None:
                answers.append(job.answer)
            else:
                batch_writer.write()
                found = _found(job, job.read, database)
                if isinstance(found, ReadFailed):
                    answers.append(partial(job.failed or _nobody, found))
                elif found is UNFINISHED:
                    self._jobs.put(Job([], job.answer, job.read))
                elif job.future is not None:
                    results.append((job.future, found))
                else:
                    answers.append(partial(job.answer, found))
            if not left or batch_writer.size_bytes > GROUP_BYTES_MAX:
                break
            job, left = self._jobs.get(), left - 1
            group.append(job)
        self._needs_maintenance = True
        batch_writer.commit()
        group.clear()
        for future, found in results:
            future.set_result(found)
        if answers:
            self._call_soon(partial(_call_all, answers))
        return job is not None

    def _refuse(self, group: list[Job | None], broken: StoreBroken) -> None:
        """Drop jobs until the last; raise the error in threads that wait."""
        jobs = deque(group)
        while (job := jobs.popleft() if jobs else self._jobs.get()) is not None:
            if job.future is not None:
                job.future.set_exception(broken)

    def _call_soon(self, action: Callable[[], None]) -> None:
        # A closed event loop has nobody left to answer.
        with contextlib.suppress(RuntimeError):
            self._soon(action)


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


def _call_all(answers: deque[Callable[[], None]]) -> None:
    """Call all answers in order, also after one that raises."""
    try:
        while answers:
            answers.popleft()()
    finally:
        if answers:
            _call_all(answers)
