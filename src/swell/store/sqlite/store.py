"""SqliteStore: the methods of the port, as jobs for the thread that writes.

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
from swell.store.sqlite.writer import Job, Writer

__all__ = ["SqliteStore"]

T = TypeVar("T")


class SqliteStore:
    """Implements `swell.ports.Store` in one SQLite file, which no other process can use meanwhile.

    `restore` opens it: what is recorded before waits for that.

    Args:
        path: of the file. It is made, for its owner only, if there is none.
        soon: has a function called on the event loop, in order; may be called from any thread: an event loop's
            `call_soon_threadsafe`.
        on_broken: called on the event loop, once, if nothing more can be written. Nothing that was not answered by then
            ever is.
        synchronous: "full": what is answered survives a power cut; "normal": it survives the end of any process, but a
            power cut may take the last moments with it.
    """

    def __init__(
        self,
        path: str,
        *,
        soon: Callable[[Callable[[], None]], object],
        on_broken: Callable[[StoreBroken], None],
        synchronous: Synchronous = "full",
    ) -> None:
        self._writer = Writer(partial(Database, path, synchronous), soon, on_broken)
        self._records: list[Record] = []  # taken since the last job

    def restore(self) -> Restored:
        """Open the file, unless it is open, and return what there is.

        Raises:
            StoreBroken: it cannot be opened or read.
        """
        self._writer.start()
        future: Future[Restored] = Future()
        self._writer.post(Job(self._take(), _nobody, _restored, future))
        return future.result()

    def append(self, record: Record) -> None:
        """Take a record."""
        self._records.append(record)

    def commit(self, then: Callable[[], None]) -> None:
        """Call `then` once everything recorded so far is durable."""
        self._writer.post(Job(self._take(), then))

    # ------------------------------------------------------------ calls

    def read_call(
        self, call_id: str, then: Callable[[StoredCall | None], None], *, failed: Failed | None = None
    ) -> None:
        """Read what is kept of a call."""
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
        """Read a call, to go on with it."""
        self._read(then, failed, lambda database: calls.load_call(database, call_id, window))

    def load_calls(
        self,
        function_id: str,
        after: int,
        calls_max: int,
        window: Window,
        then: Callable[[list[LoadedCall]], None],
    ) -> None:
        """Read calls of a function, to go on with them."""
        self._read(then, None, lambda database: calls.load_calls(database, function_id, after, calls_max, window))

    def load_spans(self, call_id: str, first: int, window: Window, then: Callable[[LoadedSpans], None]) -> None:
        """Read more spans of a call."""
        self._read(then, None, lambda database: calls.load_spans(database, call_id, first, window))

    def expire(
        self, ended_before: float, forget_before: float, containers_max: int, then: Callable[[list[str]], None]
    ) -> None:
        """Drop old results, and all memory of what is older still."""
        self._writer.post(Job(self._take(), then, Expiry(ended_before, forget_before, containers_max).step))

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
        """Read containers that are no more, the latest first."""
        self._read(then, failed, lambda database: apps.read_containers(database, app_id, latest))

    def read_container(
        self, container_id: str, then: Callable[[ContainerRecord | None], None], *, failed: Failed | None = None
    ) -> None:
        """Read one container that is no more."""
        self._read(then, failed, lambda database: apps.read_container(database, container_id))

    def close(self) -> None:
        """Write what was recorded and release the file. Safe to call twice."""
        self._writer.post(Job(self._take(), _nobody))
        self._writer.close()

    # ------------------------------------------------------------

    def _take(self) -> list[Record]:
        records, self._records = self._records, []
        return records

    def _read(self, then: Callable[[T], None], failed: Failed | None, read: Callable[[Database], T]) -> None:
        self._writer.post(Job(self._take(), then, read, failed=failed))


def _restored(database: Database) -> Restored:
    return Restored(
        tuple(apps.read_live_apps(database)),
        tuple(apps.read_needed_deployments(database)),
        tuple(apps.read_functions(database)),
        calls.read_waiting(database),
        calls.read_last_sequence(database),
    )


def _nobody() -> None:
    """Nobody waits for this."""
