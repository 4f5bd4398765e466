"""Stored results: sent to clients, dropped after their retention, and refused in time when the disk is nearly full.

This module must not know which store it has, or decide what is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from swell.config import Settings
from swell.engine import events as e
from swell.errors import OutputExpiredError, ServiceError, to_wire
from swell.items import pack
from swell.model import OutputStatus
from swell.ports import ReadFailed, Store
from swell.records import StoredCall, StoredOutput
from swell.server.blobs import Blobs
from swell.server.paths import ServerPaths
from swell.wire.blob_names import INPUT_SUFFIX, KEPT, call_of, index_of
from swell.wire.messages import Failed, Outputs

__all__ = ["Retention"]

log = logging.getLogger("swell.server")

SWEEP_EVERY_S = 600.0  #: how often expired results are looked for, at most
#: A call is remembered for so many times the retention of its results, to report that they expired.
FORGET_AFTER = 4
#: Stopped containers that are remembered: a request may stop one, and requests come at any rate.
CONTAINERS_MAX = 100_000
CHECK_DISK_EVERY_S = 5.0
MIB = 1 << 20
READ_MIN, READ_MAX = 32, 1_024  #: results read at once
READ_BYTES = 4 * MIB  #: of results read at once, but for the first READ_MIN
PART_BYTES_MAX = MIB  #: of results sent in one message, but for a single one that is larger


class Retention:
    """Sends stored results, and bounds what is stored in time and in bytes.

    Args:
        store: holds the results.
        settings: how long results are kept, and how much room must be left.
        paths: of the server; the disk of its data directory must have room.
        blobs: the files that carry large values.
        feed: hands an event to the engine.
        tell: carries out SendToClient.
        when_read: calls back when a client has read what it was sent; never, if it is gone.
    """

    def __init__(
        self,
        *,
        store: Store,
        settings: Settings,
        paths: ServerPaths,
        blobs: Blobs,
        feed: Callable[[e.Event], None],
        tell: Callable[[e.Effect], None],
        when_read: Callable[[int, Callable[[], None]], None],
    ) -> None:
        self._store = store
        self._settings = settings
        self._blob_dir = paths.blob_dir
        self._data_dir = paths.data_dir
        self._blobs = blobs
        self._feed = feed
        self._tell = tell
        self._when_read = when_read
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._trouble = ""

    def start(self, now: Callable[[], float]) -> None:
        """Hand the engine what the store holds, and begin the timers."""
        self._feed(e.StateRestored(self._store.restore()))
        self._tidy_blobs()
        self._sweep(now)
        if self._data_dir is not None:
            self._check_disk(self._data_dir)

    def stop(self) -> None:
        """Cancel the timers, and finish writing. Safe to call twice."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._store.close()

    # ------------------------------------------------------------ results

    def send(self, effect: e.SendRecorded) -> None:
        """Send a client stored results, a part at a time: neither the server nor a message must hold all of them."""
        self._when_read(effect.client, partial(self._read, effect, effect.first, 0, READ_MIN))

    def _read(self, effect: e.SendRecorded, first: int, sent: int, count: int) -> None:
        last = min(first + count, effect.last)
        then = partial(self._send, effect, last, sent)
        self._store.read_outputs(effect.call_id, first, last, then, failed=partial(self._fail, effect))

    def _fail(self, effect: e.SendRecorded, why: ReadFailed) -> None:
        self._tell(e.SendToClient(effect.client, Failed(effect.request, *to_wire(ServiceError(str(why))))))

    def _send(self, effect: e.SendRecorded, last: int, sent: int, stored: list[StoredOutput]) -> None:
        for part in _parts(stored):
            self._tell(e.SendToClient(effect.client, *_as_outputs(effect.call_id, part)))
        sent += len(stored)
        if last < effect.last:
            # So many as fill a few messages, judged by the size of those just read.
            size = sum(len(output.payload) for output in stored) // max(1, len(stored))
            count = max(READ_MIN, min(READ_MAX, READ_BYTES // max(1, size)))
            self._when_read(effect.client, partial(self._read, effect, last, sent, count))
        elif effect.must_have is not None and sent < effect.last - effect.first:
            text = f"results of call {effect.call_id} are no longer kept (result_retention_s)"
            self._tell(e.SendToClient(effect.client, Failed(effect.must_have, OutputExpiredError.code, text)))
        elif effect.then is not None:
            self._tell(e.SendToClient(effect.client, effect.then))

    # ------------------------------------------------------------ expiry and disk space

    def _sweep(self, now: Callable[[], float]) -> None:
        """Drop expired results, at intervals."""
        retention_s = self._settings.result_retention_s
        ended_before = now() - retention_s
        forget_before = now() - FORGET_AFTER * retention_s
        self._store.expire(ended_before, forget_before, CONTAINERS_MAX, self._drop_blobs)
        every_s = max(1.0, min(SWEEP_EVERY_S, retention_s / 4))
        self._later("sweep", every_s, partial(self._sweep, now))

    def _drop_blobs(self, names: Sequence[str]) -> None:
        for name in names:
            self._blobs.delete(name)

    def _tidy_blobs(self) -> None:
        """Delete what a former server was about to delete, and what its clients wrote and never sent a call for."""
        by_call: dict[str, list[os.DirEntry[str]]] = {}
        for found in os.scandir(self._blob_dir / KEPT):
            by_call.setdefault(call_of(found.name), []).append(found)
        for call_id, files in by_call.items():
            self._store.read_call(call_id, partial(self._tidy_call, files), failed=_leave_blobs)

    def _tidy_call(self, files: Sequence[os.DirEntry[str]], call: StoredCall | None) -> None:
        for found in files:
            if call is None:
                self._delete_stale(found)
            elif found.name.endswith(INPUT_SUFFIX) and (index := index_of(found.name)) is not None:
                then = partial(self._delete_if_ended, found.path)
                self._store.read_outputs(call.call_id, index, index + 1, then, failed=_leave_blobs)

    def _delete_stale(self, found: os.DirEntry[str]) -> None:
        """Delete a file, unless a client that spawned its call again has replaced it since it was found."""
        with contextlib.suppress(FileNotFoundError):
            if os.lstat(found.path).st_ino == found.inode():
                self._blobs.delete_file(Path(found.path))

    def _delete_if_ended(self, path: str, results: Sequence[StoredOutput]) -> None:
        if results:
            self._blobs.delete_file(Path(path))

    def _check_disk(self, data_dir: Path) -> None:
        """Have the engine refuse new work while the disk has no room beyond what results of accepted work need."""
        disk, reserve = os.statvfs(data_dir), self._settings.disk_reserve_bytes
        free = disk.f_bavail * disk.f_frsize
        trouble = ""
        if free < reserve:
            trouble = (
                f"only {free // MIB} MiB are free on the disk of {data_dir}, and {reserve // MIB} MiB are kept for "
                "results (disk_reserve_bytes): free some space"
            )
        if bool(trouble) != bool(self._trouble):
            log.warning("%s", trouble or f"there is room again on the disk of {data_dir}")
            self._feed(e.StoreTroubled(trouble))
        self._trouble = trouble
        self._later("disk", CHECK_DISK_EVERY_S, partial(self._check_disk, data_dir))

    def _later(self, name: str, delay_s: float, action: Callable[[], None]) -> None:
        self._timers[name] = asyncio.get_running_loop().call_later(delay_s, action)


def _leave_blobs(why: ReadFailed) -> None:
    log.warning("the files of a call are left as they are, since what it was cannot be read: %s", why)


def _parts(stored: Sequence[StoredOutput]) -> Iterator[Sequence[StoredOutput]]:
    """Yield results in parts, each small enough for a message."""
    start = size = 0
    for i, output in enumerate(stored):
        size += len(output.payload)
        if size > PART_BYTES_MAX and i > start:
            yield stored[start:i]
            start, size = i, len(output.payload)
    if start < len(stored):
        yield stored[start:]


def _as_outputs(call_id: str, stored: Sequence[StoredOutput]) -> tuple[Outputs, bytes]:
    items = pack(
        [output.payload for output in stored],
        blobs=[i for i, output in enumerate(stored) if output.has_blob],
        failures=[(i, int(o.status)) for i, o in enumerate(stored) if o.status is not OutputStatus.SUCCESS],
    )
    return Outputs.of(call_id, [(output.index, 1) for output in stored], items), items.payload
