"""The writer owns the database: it runs jobs in order, commits in groups, and answers.

Jobs run in a thread of their own; or on the event loop's, if they are light and the disk is quick: see `InlineRule`.
The database belongs to one of the two at a time. It is the thread's from when the event loop hands over a job until the
thread has finished all that it has; then it is the event loop's, which alone keeps count. The thread touches it for
nothing else: if it has waited for jobs in vain for a while, it asks the event loop to be sent to do maintenance.

This module must not know what records mean or how they are read; it decides only when to commit and when to do
maintenance.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import Any, Final

import apsw
from msgspec import MsgspecError

from swell.ports import StoreBroken
from swell.store.sqlite.batch_writer import BatchWriter
from swell.store.sqlite.database import Database
from swell.store.sqlite.inline import QUICK_S, WEIGHT_MAX, InlineRule, weight
from swell.store.sqlite.job import Group, Job, call_all
from swell.store.sqlite.stopwatch import Stopwatch

__all__ = ["Soon", "Writer"]

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


class Writer:
    """Runs jobs. Its methods are called on the event loop's thread.

    Args:
        open_database: called in the writer's thread.
        soon: schedules a function on the event loop, from any thread.
        on_broken: called on the event loop, once, when nothing more can be written.
        soon_here: schedules a function on the event loop, from its own thread, behind what it is about to do anyway;
            None: all jobs run in the writer's thread.
    """

    def __init__(
        self,
        open_database: Callable[[], Database],
        soon: Soon,
        on_broken: Callable[[StoreBroken], None],
        soon_here: Soon | None = None,
    ) -> None:
        self._open_database = open_database
        self._soon = soon
        self._on_broken = on_broken
        self._soon_here = soon_here
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()  # None: no more jobs follow
        self._broken: StoreBroken | None = None
        self._thread: threading.Thread | None = None
        # The event loop's:
        self._in_thread = 0  # jobs handed over and not finished: while there are any, the database is the thread's
        self._light: list[Job] = []  # to be committed on the event loop, before it waits again
        self._light_weight = 0
        self._rule = InlineRule()
        self._stopwatch = Stopwatch(QUICK_S)
        self._was_used = False  # by the event loop, since the thread last asked
        # Of whose the database is:
        self._database: Database | None = None
        self._batch_writer: BatchWriter | None = None
        self._needs_maintenance = False

    # ------------------------------------------------------------ event loop

    def start(self) -> None:
        """Start the thread, unless it was started."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._main, name="swell-store", daemon=True)
            self._thread.start()

    def post(self, job: Job) -> None:
        """Add a job behind all others."""
        if self._soon_here is not None and self._may_be_light(job):
            if not self._light:
                self._soon_here(self._commit_here)
            self._light.append(job)
        else:
            self._hand_over_light()
            self._hand_over(job)

    def close(self) -> None:
        """Finish the jobs, and end the thread. Safe to call twice."""
        if self._thread is not None:
            self._hand_over_light()
            self._jobs.put(None)
            self._thread.join()
        self._stopwatch.close()

    def _may_be_light(self, job: Job) -> bool:
        """Tell whether a job can be committed here; if so, add its weight."""
        if job.read is not None or not self._rule.allows(perf_counter(), alone=job.alone):
            return False
        # The first commit after maintenance runs in the thread, which from then on looks after the next maintenance.
        if self._in_thread or not self._needs_maintenance:
            return False
        sum_of_weights = self._light_weight + weight(job.records)
        if sum_of_weights > WEIGHT_MAX:
            return False
        self._light_weight = sum_of_weights
        return True

    def _hand_over(self, job: Job) -> None:
        self._in_thread += 1
        self._jobs.put(job)

    def _hand_over_light(self) -> None:
        for job in self._take_light():
            self._hand_over(job)

    def _take_light(self) -> list[Job]:
        jobs, self._light, self._light_weight = self._light, [], 0
        return jobs

    def _commit_here(self) -> None:
        """Commit the light jobs in one transaction, and answer them."""
        jobs = self._take_light()
        if not jobs:
            return  # handed over meanwhile
        assert self._database is not None
        assert self._batch_writer is not None
        group = Group(self._database, self._batch_writer)
        try:
            for job in jobs:
                group.run(job)
            self._stopwatch.start()
            group.commit(in_steps=True)
        except Exception as error:
            # The thread knows how a store ends. It keeps the database from now on.
            self._hand_over(Job([], _nobody, partial(_raise, error)))
            return
        self._rule.took(self._stopwatch.took(), perf_counter(), inline=True)
        self._was_used = True
        if self._database.log_pages >= LOG_PAGES_MAX:
            self._hand_over(Job([], _nobody))  # whatever the thread runs, it looks at the log's length
        call_all(group.answers)

    def _finished(self, jobs: int, answers: deque[Callable[[], None]], took_s: float | None = None) -> None:
        """Note that the thread is done with jobs; answer them."""
        self._in_thread -= jobs
        if took_s is not None:
            self._rule.took(took_s, perf_counter(), inline=False)
        call_all(answers)

    def _offer_maintenance(self) -> None:
        """The thread has had nothing to do for IDLE_S: let it do maintenance, unless the database is in use here."""
        if not (self._in_thread or self._light or self._was_used):
            self._hand_over(Job([], _nobody, self._maintain))
        self._was_used = False

    # ------------------------------------------------------------ the thread

    def _main(self) -> None:
        group: list[Job | None] = []
        try:
            database = self._database = self._open_database()
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
        try:
            self._batch_writer = BatchWriter(database)
            with closing(Stopwatch(QUICK_S)) as stopwatch:
                while self._run_group(self._wait(), database, stopwatch, group):
                    pass
            return None
        except apsw.Error as error:
            return database.explain(error)
        except MsgspecError as error:
            return StoreBroken(f"{database.path} is damaged: a row in it cannot be read ({error}). Restore a copy")
        except Exception as error:
            broken = StoreBroken(f"{database.path}: a defect in the store ({error!r}). What was committed is safe")
            broken.__cause__ = error
            return broken

    def _wait(self) -> Job | None:
        """Return the next job; ask to do maintenance until it comes."""
        while self._needs_maintenance:
            try:
                return self._jobs.get(timeout=IDLE_S)
            except Empty:
                self._call_soon(self._offer_maintenance)
        return self._jobs.get()

    def _maintain(self, database: Database) -> None:
        """Do one maintenance step."""
        if database.free_pages > FREE_PAGES_MAX:
            database.shrink(SHRINK_PAGES)
            return
        if database.log_pages:
            database.checkpoint()
        self._needs_maintenance = False

    def _run_group(self, job: Job | None, database: Database, stopwatch: Stopwatch, jobs: list[Job | None]) -> bool:
        """Run a job and the jobs behind it in one transaction. False after the last job."""
        assert self._batch_writer is not None
        group = Group(database, self._batch_writer)
        left, finished, group_weight = min(self._jobs.qsize(), GROUP_JOBS_MAX), 0, 0
        jobs.append(job)
        while job is not None:
            self._needs_maintenance = True
            rest = group.run(job)
            if rest is None:
                finished += 1
            else:
                self._jobs.put(rest)
            group_weight += weight(job.records) if job.read is None else WEIGHT_MAX
            if not left or group.size_bytes > GROUP_BYTES_MAX:
                break
            job, left = self._jobs.get(), left - 1
            jobs.append(job)
        stopwatch.start()
        group.commit()
        took_s = stopwatch.took() if group_weight < WEIGHT_MAX else None
        jobs.clear()
        if database.log_pages < LOG_PAGES_MAX:
            self._call_soon(partial(self._finished, finished, group.answers, took_s))
        else:
            self._call_soon(partial(call_all, group.answers))
            database.checkpoint()
            self._call_soon(partial(self._finished, finished, deque()))
        return job is not None

    def _refuse(self, group: list[Job | None], broken: StoreBroken) -> None:
        """Drop jobs until the last; raise the error in threads that wait."""
        jobs = deque(group)
        while (job := jobs.popleft() if jobs else self._jobs.get()) is not None:
            if job.future is not None:
                job.future.set_exception(broken)

    def _call_soon(self, action: Callable[[], None]) -> None:
        # A closed event loop has nobody left to answer.
        with suppress(RuntimeError):
            self._soon(action)


def _raise(error: Exception, _database: Database) -> None:
    raise error


def _nobody(*_found: Any) -> None:
    """Do nothing: nobody waits for this job."""
