"""Answers what people ask: what there is, how it is doing, what was written. Reads, and changes nothing.

What needs the engine to look something up, as a story or a call does, goes to the engine as other messages do. This
module must not know how anything is decided.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import aclosing
from functools import cache, partial
from importlib.metadata import version
from typing import cast, get_args

from swell.engine.engine import Engine
from swell.engine.state.app import App
from swell.engine.views import routes
from swell.engine.views.snapshot import gone_row, stopped_row
from swell.errors import InternalError, InvalidError, NotFoundError, ServiceError, to_wire
from swell.model import Deployment
from swell.ports import ReadFailed, Store
from swell.records import AppRecord, ContainerRecord
from swell.server.background_tasks import BackgroundTasks
from swell.server.connection import Connection
from swell.server.container_logs import ContainerLogs, LogChunk, LogFilter, LogFollower
from swell.server.containers import Containers
from swell.server.defects import Defects
from swell.server.paths import ServerPaths
from swell.wire.messages import Done, Failed, Message
from swell.wire.queries import (
    AppDescription,
    AppList,
    ContainerDescription,
    ContainerList,
    DescribeApp,
    DescribeContainer,
    GetStatus,
    ListApps,
    ListContainers,
    ListVersions,
    LogEntry,
    ReadLogs,
    Status,
    VersionList,
    VersionRow,
)
from swell.wire.stats import Observation, Observe

__all__ = ["Queries"]

_Question = GetStatus | Observe | ListApps | DescribeApp | ListVersions | ListContainers | DescribeContainer | ReadLogs
_QUESTIONS = frozenset(get_args(_Question))

UNREAD_MAX = 16 << 20  #: bytes that may wait for somebody who follows a log and does not read
TOO_SLOW = f"the log is written faster than it is read: {UNREAD_MAX >> 20} MiB wait to be read"


class Queries:
    """Answers on the connection that asked.

    Args:
        engine: what there is.
        store: what has ended.
        containers: processes.
        logbook: what was written.
        places: of this server.
        defects: answers those who meet one.
        now: the time.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        containers: Containers,
        container_logs: ContainerLogs,
        paths: ServerPaths,
        defects: Defects,
        now: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._snapshot = engine.snapshot
        self._store = store
        self._containers = containers
        self._container_logs = container_logs
        self._paths = paths
        self._defects = defects
        self._now = now
        self._started_at = now()
        self._tasks = BackgroundTasks()

    def answer(self, to: Connection, message: Message) -> bool:
        """Answer a message; False if it is none for here. A defect is the answer to that one question."""
        if type(message) not in _QUESTIONS:
            return False
        question = cast("_Question", message)
        self._defects.answering(to, question.request, self._answer)(to, question)
        return True

    def _answer(self, to: Connection, message: _Question) -> None:
        match message:
            case GetStatus():
                to.send(self._status(message.request))
            case Observe():
                to.send(self._observation(message))
            case ListApps():
                self._read_apps(to, message.request, lambda stopped: to.send(self._apps(message.request, stopped)))
            case DescribeApp():
                self._describe_app(to, message)
            case ListVersions():
                self._with_id(to, message.request, message.app, lambda app_id: self._versions(to, message, app_id))
            case ListContainers():
                self._list_containers(to, message)
            case DescribeContainer():
                self._describe_container(to, message)
            case ReadLogs():
                self._read_logs(to, message)

    def _read_apps(self, to: Connection, request: int, then: Callable[[list[AppRecord]], None]) -> None:
        self._store.read_apps(self._defects.answering(to, request, then), failed=partial(_unread, to, request))

    def leave(self, connection: Connection) -> None:
        """Forget a reader that is gone."""
        self._container_logs.leave(connection.number)

    # ------------------------------------------------------------ the server

    def _status(self, request: int) -> Status:
        pending, running, done = self._snapshot.inputs()
        paths, edge = self._paths, self._engine.state.edge
        return Status(
            request,
            os.getpid(),
            _version(),
            self._started_at,
            "" if paths.data_dir is None else str(paths.data_dir),
            paths.address,
            len(self._snapshot.apps()),
            len(self._snapshot.containers()),
            pending,
            running,
            done,
            edge.url,
            edge.admin_url,
            edge.trouble,
            str(paths.admin_token_path) if edge.admin_url else "",
        )

    def _observation(self, message: Observe) -> Observation:
        stats = self._engine.stats
        return Observation(
            message.request,
            self._now(),
            os.getpid(),
            _version(),
            self._started_at,
            self._paths.address,
            stats.nodes(),
            self._snapshot.apps(),
            stats.functions(message.since),
            self._snapshot.containers(),
            stats.calls(),
            stats.retired(),
        )

    # ------------------------------------------------------------ apps

    def _apps(self, request: int, recorded: list[AppRecord]) -> AppList:
        live = self._snapshot.apps()
        known = {row.app_id for row in live}
        gone = [stopped_row(record) for record in recorded if record.stopped_at and record.app_id not in known]
        return AppList(request, [*live, *gone])

    def _describe_app(self, to: Connection, message: DescribeApp) -> None:
        app = self._snapshot.app(message.app)
        if app is not None:
            row, functions = self._snapshot.app_row(app), self._snapshot.functions(app)
            live = _version_row(app.deployment, app.deployment.version) if app.deployment.functions else None
            urls = routes.urls(self._engine.state, app)
            to.send(AppDescription(message.request, row, functions, app.tags, live, urls))
            return

        def answer(recorded: list[AppRecord]) -> None:
            record = _named(recorded, message.app)
            if record is None:
                _no_such_app(to, message.request, message.app)
            else:
                to.send(AppDescription(message.request, stopped_row(record), [], record.tags))

        self._read_apps(to, message.request, answer)

    def _with_id(self, to: Connection, request: int, name: str, then: Callable[[str], None]) -> None:
        """Call `then` with the id of an app that runs, or ran, under a name or id."""
        app = self._snapshot.app(name)
        if app is not None:
            then(app.id)
            return

        def found(recorded: list[AppRecord]) -> None:
            record = _named(recorded, name)
            if record is None:
                _no_such_app(to, request, name)
            else:
                then(record.app_id)

        self._read_apps(to, request, found)

    def _versions(self, to: Connection, message: ListVersions, app_id: str) -> None:
        def answer(deployments: list[Deployment]) -> None:
            app: App | None = self._snapshot.app(app_id)
            live = 0 if app is None else app.deployment.version
            rows = [_version_row(each, live) for each in deployments]
            to.send(VersionList(message.request, app_id, rows))

        then = self._defects.answering(to, message.request, answer)
        self._store.read_deployments(app_id, then, failed=partial(_unread, to, message.request))

    # ------------------------------------------------------------ containers

    def _list_containers(self, to: Connection, message: ListContainers) -> None:
        def answer(app_id: str) -> None:
            live = self._snapshot.containers(app_id)
            if not message.gone:
                to.send(ContainerList(message.request, live))
                return

            def with_gone(records: list[ContainerRecord]) -> None:
                rows = [gone_row(record, self._snapshot.app_name(record.app_id)) for record in records]
                to.send(ContainerList(message.request, [*live, *rows]))

            then = self._defects.answering(to, message.request, with_gone)
            self._store.read_containers(app_id, message.gone, then, failed=partial(_unread, to, message.request))

        if message.app:
            self._with_id(to, message.request, message.app, answer)
        else:
            answer("")

    def _describe_container(self, to: Connection, message: DescribeContainer) -> None:
        row, order = self._snapshot.container(message.container_id), self._containers.order_of(message.container_id)
        if row is None or order is None:
            text = f"container {message.container_id!r} does not run here"
            to.send(Failed(message.request, *to_wire(NotFoundError(text))))
            return
        to.send(
            ContainerDescription(
                message.request,
                row,
                self._containers.pid_of(message.container_id),
                order.environment,
                order.spec.variables,
                order.spec.workdir,
                list(order.gpus),
            )
        )

    # ------------------------------------------------------------ logs

    def _read_logs(self, to: Connection, message: ReadLogs) -> None:
        if message.tail is not None and message.tail < 1:
            error = InvalidError(f"tail = {message.tail} must be at least 1")
            to.send(Failed(message.request, *to_wire(error)))
        elif message.app:
            self._with_id(to, message.request, message.app, lambda app_id: self._read(to, message, app_id))
        else:
            self._find_container(to, message)

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
        self._store.read_container(message.container_id, then, failed=partial(_unread, to, message.request))

    def _read(self, to: Connection, message: ReadLogs, app_id: str) -> None:
        log_filter = LogFilter(
            app_id,
            message.container_id,
            message.function,
            message.call_id,
            message.stream,
            message.search,
            message.since,
            message.until,
            message.tail,
        )
        self._tasks.run(self._send(to, message, log_filter), partial(self._log_failed, to, message.request))

    def _log_failed(self, to: Connection, request: int, error: Exception) -> None:
        self._container_logs.leave(to.number)
        self._defects.note(error, "reading a log")
        text = f"a defect in the server ({type(error).__name__}); its log has the details"
        to.send(Failed(request, *to_wire(InternalError(text))))

    async def _send(self, to: Connection, message: ReadLogs, log_filter: LogFilter) -> None:
        """Send what was written, and then, if asked, what is written from now on, without a gap or a repetition."""

        def show(entry: LogChunk) -> None:
            to.send(*_as_message(message.request, entry))

        def end() -> None:
            to.send(Done(message.request))

        def give_up(why: str) -> None:
            self._container_logs.leave(to.number)
            to.send(Failed(message.request, *to_wire(ServiceError(why))))

        def show_fresh(entry: LogChunk) -> None:
            if to.unsent > UNREAD_MAX:
                give_up(TOO_SLOW)
            else:
                show(entry)

        fresh = _Fresh()
        if message.follow:
            self._container_logs.follow(to.number, LogFollower(log_filter, fresh.add, lambda: None))
        last: LogChunk | None = None
        try:
            async with aclosing(self._container_logs.read(log_filter)) as pieces:
                async for piece in pieces:
                    for entry in piece:
                        show(entry)
                    last = piece[-1]
                    if not await to.read():
                        return  # it is gone
        except (OSError, InvalidError) as error:
            give_up(f"the log cannot be read: {error}")
            return
        if fresh.is_too_much:
            give_up(TOO_SLOW)
            return
        for entry in fresh.after(last):
            show_fresh(entry)
            if message.follow and not self._container_logs.has_follower(to.number):
                return  # it was given up
        if not message.follow or self._is_over(log_filter):
            self._container_logs.leave(to.number)
            end()
        elif self._container_logs.has_follower(to.number):  # else it is gone
            self._container_logs.follow(to.number, LogFollower(log_filter, show_fresh, end))

    def _is_over(self, log_filter: LogFilter) -> bool:
        """Tell whether nothing can be written any more that is wanted."""
        if log_filter.container_id:
            return self._containers.has_exited(log_filter.container_id)
        return self._snapshot.app(log_filter.app_id) is None


class _Fresh:
    """What is written to a log while the rest of it is read."""

    def __init__(self) -> None:
        self._entries: list[LogChunk] = []
        self._size = 0

    @property
    def is_too_much(self) -> bool:
        """True if some of it was not kept."""
        return self._size > UNREAD_MAX

    def add(self, entry: LogChunk) -> None:
        """Keep an entry, if it is not too much."""
        self._size += len(entry.text)
        if not self.is_too_much:
            self._entries.append(entry)

    def after(self, last: LogChunk | None) -> list[LogChunk]:
        """Return what was not read: reading may have ended with some of what is fresh, or before it."""
        read = next((i for i in range(len(self._entries), 0, -1) if self._entries[i - 1] == last), 0)
        return self._entries[read:]


@cache
def _version() -> str:
    return version("swell")


def _version_row(deployment: Deployment, live: int) -> VersionRow:
    version = deployment.version
    return VersionRow(version, deployment.deployed_at, deployment.provenance, deployment.tag, version == live)


def _unread(to: Connection, request: int, why: ReadFailed) -> None:
    to.send(Failed(request, *to_wire(ServiceError(str(why)))))


def _named(recorded: list[AppRecord], name: str) -> AppRecord | None:
    """Return the app of a name or id, the latest of that name."""
    return next((record for record in recorded if name in (record.name, record.app_id)), None)


def _no_such_app(to: Connection, request: int, name: str) -> None:
    to.send(Failed(request, *to_wire(NotFoundError(f"No App with name {name!r}: `swell app list` shows all"))))


def _as_message(request: int, entry: LogChunk) -> tuple[LogEntry, bytes]:
    message = LogEntry(
        request,
        entry.at,
        entry.app_id,
        entry.function,
        entry.container_id,
        entry.stream,
        list(entry.call_ids),
    )
    return message, entry.text.encode()
