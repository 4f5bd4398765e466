"""The writer owns the database: it runs jobs in order, commits in groups, and answers.

Jobs run in a thread of its own. Light ones are made durable by the event loop, in the journal, while the disk is quick
(see `InlineRule`): they are answered at once, and their records kept. These go to the thread together: before any other
job, when a segment of the journal is full, or when the thread has had nothing to do for a while.

    light ─▶ journal, answer ─▶ kept ─┐
    others ───────────────────────────┴─▶ thread: transaction, answer ─▶ maintenance, if it has nothing to do

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

from swell.errors import InvalidError
from swell.ports import StoreBroken
from swell.records import Record
from swell.store.sqlite.batch_writer import BatchWriter
from swell.store.sqlite.database import Database
from swell.store.sqlite.inline import QUICK_S, WEIGHT_MAX, InlineRule, weight
from swell.store.sqlite.job import Group, Job, call_all
from swell.store.sqlite.journal import SUFFIXES, Journal, read_journal, remove_journal
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
        is_synced: what was answered survives a power cut.
    """

    def __init__(
        self,
        open_database: Callable[[], Database],
        soon: Soon,
        on_broken: Callable[[StoreBroken], None],
        soon_here: Soon | None = None,
        *,
        is_synced: bool = True,
    ) -> None:
        self._open_database = open_database
        self._soon = soon
        self._on_broken = on_broken
        self._soon_here = soon_here
        self._is_synced = is_synced
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()  # None: no more jobs follow
        self._broken: StoreBroken | None = None
        self._thread: threading.Thread | None = None
        # The event loop's:
        self._in_thread = 0  # jobs handed over that are not durable yet
        self._light: list[Job] = []  # to be made durable on the event loop, before it waits again
        self._light_weight = 0
        self._kept: list[Record] = []  # in the journal, and not handed over
        self._rule = InlineRule()
        self._stopwatch = Stopwatch(QUICK_S)
        # Made by the thread, before it answers anything; then the event loop's:
        self._journal: Journal | None = None
        # The thread's; the event loop looks whether it waits for maintenance:
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
            self._hand_over_all()
            self._hand_over(job)

    def close(self) -> None:
        """Finish the jobs, and end the thread. Safe to call twice."""
        if self._thread is not None:
            self._hand_over_all()
            self._jobs.put(None)
            self._thread.join()
        self._stopwatch.close()
        if self._journal is not None:
            self._journal.close()

    def _may_be_light(self, job: Job) -> bool:
        """Tell whether a job can be committed here; if so, add its weight."""
        if job.read is not None or not self._rule.allows(perf_counter(), alone=job.alone):
            return False
        # None becomes durable before an earlier one. The first after maintenance runs in the thread, which from then on
        # looks after what is kept.
        if self._in_thread or not self._needs_maintenance or self._journal is None or self._broken is not None:
            return False
        sum_of_weights = self._light_weight + weight(job.records)
        if sum_of_weights > WEIGHT_MAX:
            return False
        self._light_weight = sum_of_weights
        return True

    def _hand_over(self, job: Job) -> None:
        self._in_thread += 1
        self._jobs.put(job)

    def _hand_over_all(self) -> None:
        self._hand_over_kept()
        for job in self._take_light():
            self._hand_over(job)

    def _hand_over_kept(self) -> None:
        """Have the thread write what so far is in the journal alone."""
        if self._kept and self._journal is not None:
            records, self._kept = self._kept, []
            self._jobs.put(Job(records, _nobody, frame=self._journal.last))

    def _take_light(self) -> list[Job]:
        jobs, self._light, self._light_weight = self._light, [], 0
        return jobs

    def _commit_here(self) -> None:
        """Make the light jobs durable in one write, and answer them."""
        journal, jobs = self._journal, self._take_light()
        if not jobs or journal is None:
            return  # handed over meanwhile
        records = [record for job in jobs for record in job.records]
        try:
            frame = journal.frame(records) if records else b""
            if not journal.has_room(frame):
                self._hand_over_kept()
                if not journal.turn() or not journal.has_room(frame):
                    for job in jobs:
                        self._hand_over(job)
                    return
            self._stopwatch.start()
            journal.append(frame)
        except Exception as error:
            # The thread knows how a store ends. Until then, all jobs go there.
            broken = _explain(error, journal.path) if isinstance(error, OSError) else error
            self._hand_over(Job([], _nobody, partial(_raise, broken)))
            return
        self._rule.took(self._stopwatch.took(), perf_counter(), inline=True)
        self._kept += records
        call_all(deque(job.answer for job in jobs))

    def _finished(self, jobs: int, frame: int, answers: deque[Callable[[], None]], took_s: float | None = None) -> None:
        """Note that the thread is done with jobs, and has the records of the journal up to a frame; answer them."""
        self._in_thread -= jobs
        if frame and self._journal is not None:
            self._journal.written(frame)
        if took_s is not None:
            self._rule.took(took_s, perf_counter(), inline=False)
        call_all(answers)

    def _offer_work(self) -> None:
        """The thread has had nothing to do for IDLE_S: let it write what is kept, or else do maintenance.

        It may have said so more than once before the event loop came to hear of it.
        """
        if self._kept:
            self._hand_over_kept()
        elif not (self._in_thread or self._light or (self._journal is not None and not self._journal.is_written)):
            self._hand_over(Job([], _nobody, self._maintain))

    # ------------------------------------------------------------ the thread

    def _main(self) -> None:
        group: list[Job | None] = []
        try:
            database = self._open_database()
        except StoreBroken as broken:
            self._broken = broken
        else:
            self._broken = self._serve(database, group)
            if self._broken is None:
                remove_journal(database.path)  # while the database is still locked: nobody else writes these files
            database.close(as_is=self._broken is not None)
            if self._broken is not None and not any(job is not None and job.future for job in group):
                self._call_soon(partial(self._on_broken, self._broken))
        if self._broken is not None:
            self._refuse(group, self._broken)

    def _serve(self, database: Database, group: list[Job | None]) -> StoreBroken | None:
        """Run jobs until the last; return the error that broke the store: then `group` holds the unanswered jobs."""
        try:
            batch_writer = BatchWriter(database)
            self._open_journal(database, batch_writer)
            with closing(Stopwatch(QUICK_S)) as stopwatch:
                while self._run_group(self._wait(), Group(database, batch_writer), stopwatch, group):
                    pass
            return None
        except StoreBroken as broken:
            return broken
        except apsw.Error as error:
            return database.explain(error)
        except MsgspecError as error:
            return StoreBroken(f"{database.path} is damaged: a row in it cannot be read ({error}). Restore a copy")
        except Exception as error:
            broken = StoreBroken(f"{database.path}: a defect in the store ({error!r}). What was committed is safe")
            broken.__cause__ = error
            return broken

    def _open_journal(self, database: Database, batch_writer: BatchWriter) -> None:
        """Take in what the journal has of a process that was killed, and let the event loop have it."""
        path, (written, identity) = database.path, database.row("journal")
        try:
            last = written
            for number, records in read_journal(path, identity, written):
                for record in records:
                    batch_writer.take(record)
                last = number
            if last > written:
                batch_writer.commit(last)
            if self._soon_here is None:
                remove_journal(path)  # nobody writes one
            else:
                self._journal = Journal(path, identity, last, is_synced=self._is_synced)
        except InvalidError as error:
            raise StoreBroken(str(error)) from error
        except (ValueError, MsgspecError) as error:
            raise StoreBroken(
                f"the journal of {path} ({', '.join(SUFFIXES)}) is damaged, and has calls that were accepted: {error}. "
                "Restore a copy of all these files; or remove those of the journal, which gives up what it has"
            ) from error
        except OSError as error:
            raise StoreBroken(f"cannot use the journal of {path} ({error.strerror}): see to the disk") from error

    def _wait(self) -> Job | None:
        """Return the next job; ask for work until it comes."""
        while self._needs_maintenance:
            try:
                return self._jobs.get(timeout=IDLE_S)
            except Empty:
                self._call_soon(self._offer_work)
        return self._jobs.get()

    def _maintain(self, database: Database) -> None:
        """Do one maintenance step; later, if records are being written in this transaction."""
        if database.is_writing:
            return
        if database.free_pages > FREE_PAGES_MAX:
            database.shrink(SHRINK_PAGES)
            return
        if database.log_pages:
            database.checkpoint()
        self._needs_maintenance = False

    def _run_group(self, job: Job | None, group: Group, stopwatch: Stopwatch, jobs: list[Job | None]) -> bool:
        """Run a job and the jobs behind it in one transaction. False after the last job."""
        database = group.database
        left, finished, group_weight = min(self._jobs.qsize(), GROUP_JOBS_MAX), 0, 0
        jobs.append(job)
        while job is not None:
            self._needs_maintenance = True
            rest = group.run(job)
            if rest is None:
                finished += not job.frame
            else:
                self._jobs.put(rest)
            group_weight += weight(job.records) if job.read is None and not job.frame else WEIGHT_MAX
            if not left or group.size_bytes > GROUP_BYTES_MAX:
                break
            job, left = self._jobs.get(), left - 1
            jobs.append(job)
        stopwatch.start()
        group.commit()
        took_s = stopwatch.took() if group_weight < WEIGHT_MAX else None
        jobs.clear()
        if group.frame and not self._is_synced:
            database.checkpoint()  # a frame may be written over only when a power cut does not take its records back
        if database.log_pages < LOG_PAGES_MAX:
            self._call_soon(partial(self._finished, finished, group.frame, group.answers, took_s))
        else:
            self._call_soon(partial(call_all, group.answers))
            database.checkpoint()
            self._call_soon(partial(self._finished, finished, group.frame, deque()))
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


def _explain(error: OSError, path: str) -> StoreBroken:
    return StoreBroken(f"cannot write {path} ({error.strerror}): see to the disk, then start the server again")


def _raise(error: Exception, _database: Database) -> None:
    raise error


def _nobody(*_found: Any) -> None:
    """Do nothing: nobody waits for this job."""
