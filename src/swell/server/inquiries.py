"""Answers what people ask: what there is, how it is doing, what was written. Reads, and changes nothing.

What needs the engine to look something up, as a story or a call does, goes to the engine as other messages do. This
module must not know how anything is decided.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import cache
from importlib.metadata import version

from swell.engine.app import App
from swell.engine.census import gone_row, stopped_row
from swell.engine.engine import Engine
from swell.errors import InvalidError, NotFoundError, ServiceError, to_wire
from swell.model import Deployment
from swell.ports import Store
from swell.records import AppRecord, ContainerRecord
from swell.server.connection import Connection
from swell.server.containers import Containers
from swell.server.errands import Errands
from swell.server.logbook import Entry, Follower, Logbook, Wanted
from swell.server.places import Places
from swell.wire.inquiries import (
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
from swell.wire.messages import Done, Failed, Message
from swell.wire.observe import Observation, Observe

__all__ = ["Inquiries"]

SHOWN_AT_ONCE = 256  #: entries of the logbook that are sent before others have their turn: a millisecond or two
UNREAD_MAX = 16 << 20  #: bytes that may wait for somebody who follows a log and does not read


class Inquiries:
    """Answers on the connection that asked.

    Args:
        engine: what there is.
        store: what has ended.
        containers: processes.
        logbook: what was written.
        places: of this server.
        now: the time.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        containers: Containers,
        logbook: Logbook,
        places: Places,
        now: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._census = engine.census
        self._store = store
        self._containers = containers
        self._logbook = logbook
        self._places = places
        self._now = now
        self._started_at = now()
        self._errands = Errands()

    def answer(self, to: Connection, message: Message) -> bool:
        """Answer a message; False if it is none for here."""
        match message:
            case GetStatus():
                to.send(self._status(message.request))
            case Observe():
                to.send(self._observation(message))
            case ListApps():
                self._store.read_apps(lambda stopped: to.send(self._apps(message.request, stopped)))
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
            case _:
                return False
        return True

    def leave(self, connection: Connection) -> None:
        """Forget a reader that is gone."""
        self._logbook.leave(connection.number)

    # ------------------------------------------------------------ the server

    def _status(self, request: int) -> Status:
        pending, running, done = self._census.inputs()
        places, edge = self._places, self._engine.web.edge
        return Status(
            request,
            os.getpid(),
            _version(),
            self._started_at,
            "" if places.data_dir is None else str(places.data_dir),
            places.address,
            len(self._census.apps()),
            len(self._census.containers()),
            pending,
            running,
            done,
            edge.url,
            edge.admin_url,
            edge.trouble,
            str(places.admin_token_path) if edge.admin_url else "",
        )

    def _observation(self, message: Observe) -> Observation:
        observatory = self._engine.observatory
        return Observation(
            message.request,
            self._now(),
            os.getpid(),
            _version(),
            self._started_at,
            self._places.address,
            observatory.nodes(),
            self._census.apps(),
            observatory.functions(message.since),
            self._census.containers(),
            observatory.calls(),
            observatory.former(),
        )

    # ------------------------------------------------------------ apps

    def _apps(self, request: int, recorded: list[AppRecord]) -> AppList:
        live = self._census.apps()
        known = {row.app_id for row in live}
        gone = [stopped_row(record) for record in recorded if record.stopped_at and record.app_id not in known]
        return AppList(request, [*live, *gone])

    def _describe_app(self, to: Connection, message: DescribeApp) -> None:
        app = self._census.app(message.app)
        if app is not None:
            row, functions = self._census.app_row(app), self._census.functions(app)
            live = _version_row(app.deployment, app.deployment.version) if app.deployment.functions else None
            urls = self._engine.web.urls(app)
            to.send(AppDescription(message.request, row, functions, app.tags, live, urls))
            return

        def answer(recorded: list[AppRecord]) -> None:
            record = _named(recorded, message.app)
            if record is None:
                _no_such_app(to, message.request, message.app)
            else:
                to.send(AppDescription(message.request, stopped_row(record), [], record.tags))

        self._store.read_apps(answer)

    def _with_id(self, to: Connection, request: int, name: str, then: Callable[[str], None]) -> None:
        """Call `then` with the id of an app that runs, or ran, under a name or id."""
        app = self._census.app(name)
        if app is not None:
            then(app.id)
            return

        def found(recorded: list[AppRecord]) -> None:
            record = _named(recorded, name)
            if record is None:
                _no_such_app(to, request, name)
            else:
                then(record.app_id)

        self._store.read_apps(found)

    def _versions(self, to: Connection, message: ListVersions, app_id: str) -> None:
        def answer(deployments: list[Deployment]) -> None:
            app: App | None = self._census.app(app_id)
            live = 0 if app is None else app.deployment.version
            rows = [_version_row(each, live) for each in deployments]
            to.send(VersionList(message.request, app_id, rows))

        self._store.read_deployments(app_id, answer)

    # ------------------------------------------------------------ containers

    def _list_containers(self, to: Connection, message: ListContainers) -> None:
        def answer(app_id: str) -> None:
            live = self._census.containers(app_id)
            if not message.gone:
                to.send(ContainerList(message.request, live))
                return

            def with_gone(records: list[ContainerRecord]) -> None:
                rows = [gone_row(record, self._census.app_name(record.app_id)) for record in records]
                to.send(ContainerList(message.request, [*live, *rows]))

            self._store.read_containers(app_id, message.gone, with_gone)

        if message.app:
            self._with_id(to, message.request, message.app, answer)
        else:
            answer("")

    def _describe_container(self, to: Connection, message: DescribeContainer) -> None:
        row, order = self._census.container(message.container_id), self._containers.order_of(message.container_id)
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
        row = self._census.container(message.container_id)
        if row is not None:
            self._read(to, message, row.app_id)
            return

        def found(record: ContainerRecord | None) -> None:
            if record is None:
                text = f"no container {message.container_id!r} is known here"
                to.send(Failed(message.request, *to_wire(NotFoundError(text))))
            else:
                self._read(to, message, record.app_id)

        self._store.read_container(message.container_id, found)

    def _read(self, to: Connection, message: ReadLogs, app_id: str) -> None:
        wanted = Wanted(
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
        self._errands.run(self._send(to, message, wanted))

    async def _send(self, to: Connection, message: ReadLogs, wanted: Wanted) -> None:
        """Send what was written, and then, if asked, what is written from now on, without a gap or a repetition."""

        def show(entry: Entry) -> None:
            to.send(*_as_message(message.request, entry))

        def end() -> None:
            to.send(Done(message.request))

        def give_up(why: str) -> None:
            self._logbook.leave(to.number)
            to.send(Failed(message.request, *to_wire(ServiceError(why))))

        def show_fresh(entry: Entry) -> None:
            if to.unsent > UNREAD_MAX:
                give_up(f"the log is written faster than it is read: {UNREAD_MAX >> 20} MiB wait to be read")
            else:
                show(entry)

        fresh: list[Entry] = []
        if message.follow:
            self._logbook.follow(to.number, Follower(wanted, fresh.append, lambda: None))
        try:
            kept = await self._logbook.read(wanted)
        except (OSError, InvalidError) as error:
            give_up(f"the log cannot be read: {error}")
            return
        # What was read may end with some of what is fresh already, and lack its beginning if only so many are wanted.
        read = next((i for i in range(len(fresh), 0, -1) if kept and fresh[i - 1] == kept[-1]), 0)
        for number, entry in enumerate(kept, 1):
            show(entry)
            if not number % SHOWN_AT_ONCE:
                await asyncio.sleep(0)  # others want to be served, too
        for entry in fresh[read:]:
            show(entry)
        if not message.follow or self._is_over(wanted):
            self._logbook.leave(to.number)
            end()
        elif self._logbook.has_follower(to.number):  # else it is gone
            self._logbook.follow(to.number, Follower(wanted, show_fresh, end))

    def _is_over(self, wanted: Wanted) -> bool:
        """Tell whether nothing can be written any more that is wanted."""
        if wanted.container_id:
            return self._containers.has_exited(wanted.container_id)
        return self._census.app(wanted.app_id) is None


@cache
def _version() -> str:
    return version("swell")


def _version_row(deployment: Deployment, live: int) -> VersionRow:
    version = deployment.version
    return VersionRow(version, deployment.deployed_at, deployment.provenance, deployment.tag, version == live)


def _named(recorded: list[AppRecord], name: str) -> AppRecord | None:
    """Return the app of a name or id, the latest of that name."""
    return next((record for record in recorded if name in (record.name, record.app_id)), None)


def _no_such_app(to: Connection, request: int, name: str) -> None:
    to.send(Failed(request, *to_wire(NotFoundError(f"No App with name {name!r}: `swell app list` shows all"))))


def _as_message(request: int, entry: Entry) -> tuple[LogEntry, bytes]:
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
