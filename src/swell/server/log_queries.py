"""Sends logs to clients: what was written and then, if a client follows the log, what is written from now on.

Nothing is left out in between, and nothing is sent twice. This module must not know how logs are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from functools import partial

from swell.engine.views.snapshot import SnapshotView
from swell.errors import Error, InternalError, InvalidError, NotFoundError, ServiceError, to_wire
from swell.ports import Store
from swell.records import ContainerRecord
from swell.server.app_lookup import AppLookup, not_read
from swell.server.background_tasks import BackgroundTasks
from swell.server.connection import Connection
from swell.server.container_logs import ContainerLogs, LogChunk, LogFilter, LogFollower
from swell.server.containers import Containers
from swell.server.defects import Defects
from swell.wire.messages import Done, Failed
from swell.wire.queries import LogEntry, ReadLogs

__all__ = ["UNREAD_MAX", "LogQueries"]

UNREAD_MAX = 16 << 20  #: bytes that may wait for a client that follows a log
TOO_SLOW = f"the log is written faster than it is read: {UNREAD_MAX >> 20} MiB wait to be read"


class LogQueries:
    """Sends logs on the connection that asked.

    Args:
        snapshot: the containers that run.
        apps: finds an app by its name.
        store: has the containers that have ended.
        containers: know which of them has exited.
        logs: what containers wrote.
        defects: answers for a defect.
    """

    def __init__(
        self,
        *,
        snapshot: SnapshotView,
        apps: AppLookup,
        store: Store,
        containers: Containers,
        logs: ContainerLogs,
        defects: Defects,
    ) -> None:
        self._snapshot = snapshot
        self._apps = apps
        self._store = store
        self._containers = containers
        self._logs = logs
        self._defects = defects
        self._tasks = BackgroundTasks()

    def answer(self, to: Connection, message: ReadLogs) -> None:
        """Send the log of an app or of a container."""
        if message.tail is not None and message.tail < 1:
            error = InvalidError(f"tail = {message.tail} must be at least 1")
            to.send(Failed(message.request, *to_wire(error)))
        elif message.app:
            self._apps.find_id(to, message.request, message.app, lambda app_id: self._read(to, message, app_id))
        else:
            self._find_container(to, message)

    def leave(self, connection: Connection) -> None:
        """Forget a client that is gone."""
        self._logs.leave(connection.number)

    def _find_container(self, to: Connection, message: ReadLogs) -> None:
        row = self._snapshot.container(message.container_id)
        if row is not None:
            self._read(to, message, row.app_id)
            return

        def found(record: ContainerRecord | None) -> None:
            if record is None:
                text = f"no container {message.container_id!r} is known here"
                to.send(Failed(message.request, *to_wire(NotFoundError(text))))
            else:
                self._read(to, message, record.app_id)

        then = self._defects.answering(to, message.request, found)
        self._store.read_container(message.container_id, then, failed=partial(not_read, to, message.request))

    def _read(self, to: Connection, message: ReadLogs, app_id: str) -> None:
        log_filter = LogFilter(
            app_id=app_id,
            container_id=message.container_id,
            function=message.function,
            call_id=message.call_id,
            stream=message.stream,
            search=message.search,
            since=message.since,
            until=message.until,
            tail=message.tail,
        )
        reader = _Reader(to, message.request, self._logs, log_filter)
        work = reader.send(follow=message.follow, is_over=lambda: self._is_over(log_filter))
        self._tasks.run(work, partial(self._failed, reader))

    def _is_over(self, log_filter: LogFilter) -> bool:
        """Tell whether no container can write anything more that matches."""
        if log_filter.container_id:
            return self._containers.has_exited(log_filter.container_id)
        return self._snapshot.app(log_filter.app_id) is None

    def _failed(self, reader: _Reader, error: Exception) -> None:
        self._defects.note(error, "reading a log")
        text = f"a defect in the server ({type(error).__name__}); its log has the details"
        reader.fail(InternalError(text))


class _Reader:
    """One client that reads a log."""

    def __init__(self, to: Connection, request: int, logs: ContainerLogs, log_filter: LogFilter) -> None:
        self._to = to
        self._request = request
        self._logs = logs
        self._filter = log_filter

    async def send(self, *, follow: bool, is_over: Callable[[], bool]) -> None:
        """Send what was written and, if the client follows the log, what is written from now on.

        Args:
            follow: whether it follows.
            is_over: tells whether nothing more can be written.
        """
        number, fresh = self._to.number, _Fresh()
        if follow:
            self._logs.follow(number, LogFollower(self._filter, fresh.add, lambda: None))
        last: LogChunk | None = None
        try:
            async with aclosing(self._logs.read(self._filter)) as pieces:
                async for piece in pieces:
                    for chunk in piece:
                        self._show(chunk)
                    last = piece[-1]
                    if not await self._to.read():
                        return  # the client is gone
        except (OSError, InvalidError) as error:
            self.fail(ServiceError(f"the log cannot be read: {error}"))
            return
        if fresh.is_too_much:
            self.fail(ServiceError(TOO_SLOW))
            return
        for chunk in fresh.after(last):
            self._show_fresh(chunk)
            if not self._logs.has_follower(number):
                return  # it does not read
        if not follow or is_over():
            self._logs.leave(number)
            self._end()
        elif self._logs.has_follower(number):  # else the client is gone
            self._logs.follow(number, LogFollower(self._filter, self._show_fresh, self._end))

    def fail(self, error: Error) -> None:
        """End with an error."""
        self._logs.leave(self._to.number)
        self._to.send(Failed(self._request, *to_wire(error)))

    def _show(self, chunk: LogChunk) -> None:
        message = LogEntry(
            request=self._request,
            at=chunk.at,
            app_id=chunk.app_id,
            function_name=chunk.function,
            container_id=chunk.container_id,
            stream=chunk.stream,
            call_ids=list(chunk.call_ids),
        )
        self._to.send(message, chunk.text.encode())

    def _show_fresh(self, chunk: LogChunk) -> None:
        if self._to.unsent > UNREAD_MAX:
            self.fail(ServiceError(TOO_SLOW))
        else:
            self._show(chunk)

    def _end(self) -> None:
        self._to.send(Done(self._request))


class _Fresh:
    """What is written to a log while the rest of it is read."""

    def __init__(self) -> None:
        self._chunks: list[LogChunk] = []
        self._size = 0

    @property
    def is_too_much(self) -> bool:
        """True if some of it was not kept."""
        return self._size > UNREAD_MAX

    def add(self, chunk: LogChunk) -> None:
        """Keep a chunk, if it is not too much."""
        self._size += len(chunk.text)
        if not self.is_too_much:
            self._chunks.append(chunk)

    def after(self, last: LogChunk | None) -> list[LogChunk]:
        """Return what was not read: reading may have ended with some of what is fresh, or before it."""
        read = next((i for i in range(len(self._chunks), 0, -1) if self._chunks[i - 1] == last), 0)
        return self._chunks[read:]
