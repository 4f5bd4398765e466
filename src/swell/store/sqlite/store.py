"""SqliteStore: the methods of the port, as jobs for the writer.

This module must not know SQL, or what records mean.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from swell.model import Deployment
from swell.ports import Failed, StoreBroken
from swell.records import (
    AppRecord,
    ContainerRecord,
    LoadedCall,
    LoadedSpans,
    Record,
    Restored,
    StoredCall,
    StoredOutput,
    Trace,
    Window,
)
from swell.store.sqlite import apps, calls
from swell.store.sqlite.database import Database, Synchronous
from swell.store.sqlite.expiry import Expiry
from swell.store.sqlite.job import Job
from swell.store.sqlite.writer import Soon, Writer

__all__ = ["SqliteStore"]

T = TypeVar("T")


class SqliteStore:
    """Implements `swell.ports.Store` in one SQLite file, which no other process can use meanwhile.

    `restore` opens it; earlier records wait for that.

    Args:
        path: the file. It is created, readable by its owner only, if it does not exist.
        soon: schedules a function on the event loop, in order, from any thread: an event loop's
            `call_soon_threadsafe`.
        soon_here: schedules a function on the event loop, from its own thread: an event loop's `call_soon`. Small
            commits may then be made on the event loop, while they are quick; None: it never waits for the disk.
        on_broken: called on the event loop, once, when nothing more can be written. Requests without an answer by then
            never get one.
        synchronous: "full": an answered commit survives a power cut; "normal": it survives the end of any process, but
            a power cut may lose the last moments.
    """

    def __init__(
        self,
        path: str,
        *,
        soon: Soon,
        on_broken: Callable[[StoreBroken], None],
        soon_here: Soon | None = None,
        synchronous: Synchronous = "full",
    ) -> None:
        self._writer = Writer(
            partial(Database, path, synchronous), soon, on_broken, soon_here, is_synced=synchronous == "full"
        )
        self._records: list[Record] = []  # taken since the last job

    def restore(self) -> Restored:
        """Open the file, unless it is open, and return the recorded state.

        Raises:
            StoreBroken: the file cannot be opened or read.
        """
        self._writer.start()
        future: Future[Restored] = Future()
        self._writer.post(Job(self._take_records(), _nobody, _restored, future))
        return future.result()

    def append(self, record: Record) -> None:
        """Take a record."""
        self._records.append(record)

    def commit(self, then: Callable[[], None], *, alone: bool = False) -> None:
        """Call `then` once all records so far are durable."""
        self._writer.post(Job(self._take_records(), then, alone=alone))

    # ------------------------------------------------------------ calls

    def read_call(
        self, call_id: str, then: Callable[[StoredCall | None], None], *, failed: Failed | None = None
    ) -> None:
        """Read the record of a call."""
        self._read(then, failed, lambda database: calls.read_call(database, call_id))

    def read_outputs(
        self,
        call_id: str,
        first: int,
        last: int,
        then: Callable[[list[StoredOutput]], None],
        *,
        failed: Failed | None = None,
    ) -> None:
        """Read results."""
        self._read(then, failed, lambda database: calls.read_outputs(database, call_id, first, last))

    def read_trace(
        self, call_id: str, index: int, then: Callable[[Trace | None], None], *, failed: Failed | None = None
    ) -> None:
        """Read the trace of an input."""
        self._read(then, failed, lambda database: calls.read_trace(database, call_id, index))

    def load_call(
        self,
        call_id: str,
        window: Window,
        then: Callable[[LoadedCall | StoredCall | None], None],
        *,
        failed: Failed | None = None,
    ) -> None:
        """Read a call, to resume it."""
        self._read(then, failed, lambda database: calls.load_call(database, call_id, window))

    def load_calls(
        self,
        function_id: str,
        after: int,
        calls_max: int,
        window: Window,
        then: Callable[[list[LoadedCall]], None],
    ) -> None:
        """Read unfinished calls of a function, to resume them."""
        self._read(then, None, lambda database: calls.load_calls(database, function_id, after, calls_max, window))

    def load_spans(self, call_id: str, first: int, window: Window, then: Callable[[LoadedSpans], None]) -> None:
        """Read more spans of a call."""
        self._read(then, None, lambda database: calls.load_spans(database, call_id, first, window))

    def expire(
        self, ended_before: float, forget_before: float, containers_max: int, then: Callable[[list[str]], None]
    ) -> None:
        """Drop old results, then forget older calls, containers and apps."""
        self._writer.post(Job(self._take_records(), then, Expiry(ended_before, forget_before, containers_max).step))

    # ------------------------------------------------------------ apps

    def read_apps(self, then: Callable[[list[AppRecord]], None], *, failed: Failed | None = None) -> None:
        """Read all apps, the latest first."""
        self._read(then, failed, apps.read_apps)

    def read_deployments(
        self, app_id: str, then: Callable[[list[Deployment]], None], *, failed: Failed | None = None
    ) -> None:
        """Read the versions of an app, the latest first."""
        self._read(then, failed, lambda database: apps.read_deployments(database, app_id))

    def read_deployment(
        self, app_id: str, version: int, then: Callable[[Deployment | None], None], *, failed: Failed | None = None
    ) -> None:
        """Read one version of an app."""
        self._read(then, failed, lambda database: apps.read_deployment(database, app_id, version))

    def read_bundle(self, digest: str, then: Callable[[bytes | None], None], *, failed: Failed | None = None) -> None:
        """Read source files."""
        self._read(then, failed, lambda database: apps.read_bundle(database, digest))

    def read_containers(
        self, app_id: str, latest: int, then: Callable[[list[ContainerRecord]], None], *, failed: Failed | None = None
    ) -> None:
        """Read stopped containers, the latest first."""
        self._read(then, failed, lambda database: apps.read_containers(database, app_id, latest))

    def read_container(
        self, container_id: str, then: Callable[[ContainerRecord | None], None], *, failed: Failed | None = None
    ) -> None:
        """Read one stopped container."""
        self._read(then, failed, lambda database: apps.read_container(database, container_id))

    def close(self) -> None:
        """Write all records and release the file. Safe to call twice."""
        self._writer.post(Job(self._take_records(), _nobody))
        self._writer.close()

    # ------------------------------------------------------------

    def _take_records(self) -> list[Record]:
        records, self._records = self._records, []
        return records

    def _read(self, then: Callable[[T], None], failed: Failed | None, read: Callable[[Database], T]) -> None:
        self._writer.post(Job(self._take_records(), then, read, failed=failed))


def _restored(database: Database) -> Restored:
    return Restored(
        tuple(apps.read_live_apps(database)),
        tuple(apps.read_needed_deployments(database)),
        tuple(apps.read_functions(database)),
        calls.read_waiting(database),
        calls.read_last_sequence(database),
    )


def _nobody() -> None:
    """Do nothing: nobody waits for this job."""
