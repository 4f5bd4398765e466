"""Answers questions about the server, its apps and its containers. Reads, and changes nothing.

What the engine must look up, such as a story or a call, goes to the engine as other messages do. This module must not
know how anything is decided.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import version
from typing import Any

from msgspec.structs import replace

from swell.engine.engine import Engine
from swell.engine.state.app import App
from swell.engine.views import routes
from swell.engine.views.snapshot import gone_row, stopped_row
from swell.errors import NotFoundError, to_wire
from swell.model import Deployment
from swell.ports import Backend, Store
from swell.records import AppRecord, ContainerRecord
from swell.server.app_lookup import AppLookup, not_read
from swell.server.connection import Connection
from swell.server.container_logs import ContainerLogs
from swell.server.containers import Containers
from swell.server.defects import Defects
from swell.server.log_queries import LogQueries
from swell.server.paths import ServerPaths
from swell.wire.messages import Failed, Message
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
    ReadLogs,
    Status,
    VersionList,
    VersionRow,
)
from swell.wire.stats import LinkRow, NodeRow, Observation, Observe

__all__ = ["Queries"]

OBSERVED_MAX = 500  #: containers in an observation: as many as a dashboard shows

Handler = Callable[[Connection, Any], None]  #: gets the connection that asked, and the question


class Queries:
    """Answers on the connection that asked.

    Args:
        engine: what there is.
        store: what has ended.
        containers: processes.
        logs: what containers wrote.
        paths: of this server.
        defects: answers for a defect.
        now: the time.
        backend: knows how nodes are connected.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        store: Store,
        containers: Containers,
        logs: ContainerLogs,
        paths: ServerPaths,
        defects: Defects,
        now: Callable[[], float],
        backend: Backend,
    ) -> None:
        self._engine = engine
        self._snapshot = engine.snapshot
        self._store = store
        self._containers = containers
        self._paths = paths
        self._defects = defects
        self._now = now
        self._backend = backend
        self._started_at = now()
        self._app_lookup = AppLookup(engine.snapshot, store, defects)
        self._logs = LogQueries(
            snapshot=engine.snapshot,
            apps=self._app_lookup,
            store=store,
            containers=containers,
            logs=logs,
            defects=defects,
        )

    def handlers(self) -> dict[type[Message], Handler]:
        """Return the table of questions: what answers each. A defect is the answer to that one question."""
        answers: dict[type[Message], Handler] = {
            GetStatus: self._send_status,
            Observe: self._send_observation,
            ListApps: self._list_apps,
            DescribeApp: self._describe_app,
            ListVersions: self._list_versions,
            ListContainers: self._list_containers,
            DescribeContainer: self._describe_container,
            ReadLogs: self._logs.answer,
        }
        return {kind: self._guarded(answer) for kind, answer in answers.items()}

    def _guarded(self, answer: Handler) -> Handler:
        return lambda to, message: self._defects.answering(to, message.request, answer)(to, message)

    def leave(self, connection: Connection) -> None:
        """Forget a client that is gone."""
        self._logs.leave(connection)

    # ------------------------------------------------------------ the server

    def _send_status(self, to: Connection, message: GetStatus) -> None:
        to.send(self._status(message.request))

    def _status(self, request: int) -> Status:
        pending, running, done = self._snapshot.inputs()
        paths, edge = self._paths, self._engine.state.edges.latest
        return Status(
            request=request,
            pid=os.getpid(),
            version=_version(),
            started_at=self._started_at,
            data_dir="" if paths.data_dir is None else str(paths.data_dir),
            address=paths.address,
            apps=len(self._snapshot.apps()),
            containers=self._snapshot.containers_total,
            pending=pending,
            running=running,
            done=done,
            web_url=edge.url,
            admin_url=edge.admin_url,
            web_trouble=edge.trouble,
            admin_token_file=str(paths.admin_token_path) if edge.admin_url else "",
            remote_address=paths.remote_address,
            remote_token_file=paths.remote_token_file,
            refused_nodes=list(self._engine.state.nodes.refused),
            nodes_trouble=self._engine.state.nodes.trouble,
        )

    def _send_observation(self, to: Connection, message: Observe) -> None:
        to.send(self._observation(message))

    def _observation(self, message: Observe) -> Observation:
        stats = self._engine.stats
        return Observation(
            request=message.request,
            at=self._now(),
            pid=os.getpid(),
            version=_version(),
            started_at=self._started_at,
            address=self._paths.address,
            nodes=[self._with_link(row) for row in stats.nodes()],
            apps=self._snapshot.apps(),
            functions=stats.functions(message.since),
            containers=self._snapshot.latest_containers(OBSERVED_MAX),
            calls=stats.calls(),
            former=stats.retired(),
            refused_nodes=list(self._engine.state.nodes.refused),
            containers_total=self._snapshot.containers_total,
        )

    def _with_link(self, row: NodeRow) -> NodeRow:
        link = self._backend.link_of(row.name)
        if link is None:
            return row
        heard_at = self._now() - link.silent_s
        return replace(row, link=LinkRow(heard_at, link.round_trip_s, link.received_bytes, link.sent_bytes))

    # ------------------------------------------------------------ apps

    def _list_apps(self, to: Connection, message: ListApps) -> None:
        def answer(recorded: list[AppRecord]) -> None:
            to.send(self._apps(message.request, recorded))

        self._app_lookup.read(to, message.request, answer)

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
            to.send(
                AppDescription(
                    request=message.request,
                    app=row,
                    functions=functions,
                    tags=app.tags,
                    live=live,
                    urls=routes.urls(self._engine.state, app),
                    sites=routes.sites(self._engine.state, app),
                )
            )
            return

        def answer(record: AppRecord) -> None:
            to.send(AppDescription(message.request, stopped_row(record), [], record.tags))

        self._app_lookup.find_record(to, message.request, message.app, answer)

    def _list_versions(self, to: Connection, message: ListVersions) -> None:
        self._app_lookup.find_id(to, message.request, message.app, lambda app_id: self._versions(to, message, app_id))

    def _versions(self, to: Connection, message: ListVersions, app_id: str) -> None:
        def answer(deployments: list[Deployment]) -> None:
            app: App | None = self._snapshot.app(app_id)
            live = 0 if app is None else app.deployment.version
            rows = [_version_row(each, live) for each in deployments]
            to.send(VersionList(message.request, app_id, rows))

        then = self._defects.answering(to, message.request, answer)
        self._store.read_deployments(app_id, then, failed=partial(not_read, to, message.request))

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
            self._store.read_containers(app_id, message.gone, then, failed=partial(not_read, to, message.request))

        if message.app:
            self._app_lookup.find_id(to, message.request, message.app, answer)
        else:
            answer("")

    def _describe_container(self, to: Connection, message: DescribeContainer) -> None:
        row = self._snapshot.container(message.container_id)
        if row is None:
            text = f"container {message.container_id!r} does not run here"
            to.send(Failed(message.request, *to_wire(NotFoundError(text))))
        else:
            to.send(ContainerDescription(message.request, row))


@cache
def _version() -> str:
    return version("swell")


def _version_row(deployment: Deployment, live: int) -> VersionRow:
    version = deployment.version
    return VersionRow(version, deployment.deployed_at, deployment.provenance, deployment.tag, version == live)
