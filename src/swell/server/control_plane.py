"""The control plane: every event goes to the engine, every effect is carried out, in order.

It acts and decides nothing. This module must not know which backend and store it has been given.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import secrets
from collections import deque
from collections.abc import Callable
from functools import partial
from platform import python_version
from typing import Any

from msgspec.structs import replace

from swell.config import Settings
from swell.engine import events as e
from swell.engine.engine import Engine
from swell.engine.gate import Gate
from swell.errors import AuthError, Error, InternalError, InvalidError, ResourceExhausted, ServiceError, to_wire
from swell.model import MemoryExcess
from swell.policy.portable import portable_environment, portable_spec
from swell.ports import Backend, Store
from swell.server.background_tasks import BackgroundTasks
from swell.server.blobs import Blobs
from swell.server.bundles import Bundles
from swell.server.clock import EngineClock
from swell.server.command_relay import CommandRelay
from swell.server.connection import Connection
from swell.server.connection_limits import ConnectionLimits
from swell.server.container_logs import ContainerLogs, LogChunk
from swell.server.containers import Containers
from swell.server.defects import Defects
from swell.server.deferred_results import DeferredResults
from swell.server.edge_process import EdgeProcess
from swell.server.paths import ServerPaths
from swell.server.queries import Queries
from swell.server.retention import Retention
from swell.server.subscribers import Subscribers
from swell.wire.apps import DeployApp
from swell.wire.blob_names import input_name
from swell.wire.leases import LeaseGranted
from swell.wire.messages import Exec, ExecBytes, Failed, Hello, Message, OpenApp, Outputs, Welcome
from swell.wire.web import Leased, Routes

__all__ = ["ControlPlane"]

log = logging.getLogger("swell.server")

SHUTDOWN_SLACK_S = 1.0  #: beyond the grace of containers
REMOTE_TOKEN = "the token is not that of the server: set SWELL_TOKEN to that which `swell status` names on its machine"
PRIVATE = "this server ends with the program that started it, and keeps no apps; `swell start` starts one that stays"
REMOTE_PENDING_MAX = 64  #: connections from other machines that have not sent a Hello
LAZY_COMMIT_S = 0.005  #: records that no message waits for are committed after so long
NODES_PATIENCE_S = 10.0  #: how long an app is not opened since it is not known whether the nodes can hold it
EXIT_DEFECT = 70  #: as sysexits.h has it: an internal software error


class ControlPlane:
    """Connects engine, backend, store and connections, all on one event loop."""

    def __init__(self, *, settings: Settings, backend: Backend, store: Store, paths: ServerPaths, seed: str) -> None:
        self.engine = Engine(settings, seed)
        self._settings = settings
        self._backend = backend
        self._store = store
        self._paths = paths
        self._clock = EngineClock()
        self._numbers = itertools.count(1)
        self._clients: dict[int, Connection] = {}
        self._events: deque[e.Event] = deque()
        self._busy = False
        self._gathers = False
        self._ended = False
        self._timer: asyncio.TimerHandle | None = None
        self._armed_at = float("inf")
        self._apps_ended: asyncio.Event = asyncio.Event()
        self._nodes_seen = asyncio.Event()
        self._tasks = BackgroundTasks()
        self._defects = Defects()
        self.limits = ConnectionLimits()
        self._remote_limits = ConnectionLimits(pending_max=REMOTE_PENDING_MAX)  # apart: nobody there gets in our way
        self._blobs = Blobs(paths.blob_dir, backend.deleted)
        data_dir = paths.data_dir
        self._bundles = Bundles(
            None if data_dir is None else data_dir / "bundles",
            paths.bundle_dir,
            store,
            are_local=backend.is_local,
            deleted=backend.deleted,
        )
        self._logs = ContainerLogs(
            None if data_dir is None else data_dir / "logs", settings.log_bytes_max, settings.result_retention_s
        )
        self._containers = Containers(backend, settings, paths, self._bundles, self._feed)
        self._commands = CommandRelay(backend)
        self._subscribers = Subscribers(
            lambda app_id: list(self.engine.snapshot.progress(app_id)), self.engine.state.take_changed
        )
        self._edge = EdgeProcess(paths)
        self._retention = Retention(
            store=store,
            settings=settings,
            paths=paths,
            blobs=self._blobs,
            feed=self._feed,
            tell=self._carry_out,
            when_read=self._when_read,
        )
        self._deferred = DeferredResults(self._retention.send)
        self._gate = Gate(store, self._carry_out, self._feed, self._later, self._gather)
        self._queries = Queries(
            engine=self.engine,
            store=store,
            containers=self._containers,
            logs=self._logs,
            paths=paths,
            defects=self._defects,
            now=self._clock.now,
            backend=backend,
        )
        self._handlers = self._message_handlers()
        self._actions = self._effect_actions()

    # ------------------------------------------------------------ start and stop

    def connection(self) -> Connection:
        """Return the server's end of a new connection, of whatever peer."""
        return Connection(self, next(self._numbers), self._settings.frame_max, self.limits)

    def remote_connection(self, token: str) -> Connection:
        """Return the server's end of a new connection from another machine, of a client that has to show a token."""
        return Connection(self, next(self._numbers), self._settings.frame_max, self._remote_limits, token=token)

    async def start(self) -> None:
        """Start the backend, observe the nodes, and restore what a former server has left."""
        await self._backend.start(self, self._paths.address)
        self._retention.start(self._clock.now)
        self._observe_nodes()
        if self._settings.web and self._paths.data_dir is not None:
            self._edge.ensure_running()  # a private server starts one when it has a web function

    async def stop(self, reason: str) -> None:
        """Stop every app, give containers their grace, then release everything. Safe to call twice."""
        self._feed(e.ShutdownRequested(reason))
        if self.engine.state.apps:
            self._apps_ended.clear()
            try:
                await asyncio.wait_for(self._apps_ended.wait(), self._settings.exit_grace_s + SHUTDOWN_SLACK_S)
            except TimeoutError:
                log.warning("containers did not leave within their grace; they are killed")
        if self._timer is not None:
            self._timer.cancel()
        await self._backend.stop()
        await self._edge.stop()  # last: it reports when requests are over
        self._ended = True  # nothing runs any more: the next server will know as much as this one
        self._retention.stop()
        self._logs.close()
        for connection in self._clients.values():
            connection.close()
        self._containers.close()

    def announce_failure(self, why: str) -> None:
        """Tell all clients that the server cannot go on, and why. What was accepted durably is safe."""
        code, text, fields = to_wire(ServiceError(f"the server ends: {why}"))
        for connection in self._clients.values():
            connection.send(Failed(0, code, text, fields))

    # ------------------------------------------------------------ connections (ConnectionListener)

    def connected(self, connection: Connection, hello: Hello) -> Error | None:
        """Let a peer in, or return why not."""
        is_remote = connection.token is not None
        if hello.role != "client" and not is_remote:
            return self._containers.connected(connection, hello)
        if not self._accepts(connection, hello):
            return AuthError(REMOTE_TOKEN if is_remote else "the token is not this server's")
        most = self.limits.clients_max
        if len(self._clients) >= most:
            text = f"{most} clients are connected, as many as this server's open files allow (ulimit -n): close some"
            return ResourceExhausted(text)
        self._clients[connection.number] = connection
        settings = self._settings
        blob_dir, shelf = ("", "") if is_remote else self._containers.shelf_of(hello.token)
        welcome = Welcome(
            blob_dir,
            settings.payload_inline_max,
            settings.map_outstanding_max,
            settings.payload_max,
            shelf,
            wants_bundles=is_remote or not self._backend.is_local,
            python=python_version().rpartition(".")[0],
        )
        connection.send(welcome)
        return None

    def _accepts(self, connection: Connection, hello: Hello) -> bool:
        """Tell whether a client may connect: by the server's token or, here, by a container's, whose code makes calls.

        A client on another machine needs the server's.
        """
        token = hello.token.encode()  # of strings, only ASCII can be compared
        if connection.token is not None:
            return secrets.compare_digest(token, connection.token.encode()) and hello.role == "client"
        if not self._settings.token:
            return True
        # Both are asked, so that the time taken reveals nothing.
        matches = (
            secrets.compare_digest(token, self._settings.token.encode()),
            self._containers.has_token(hello.token),
        )
        return any(matches)

    def received(self, connection: Connection, message: Message, payload: bytes) -> None:
        """Route a peer's message: to its handler in the table or, by default, to the engine."""
        if connection.role == "container":
            self._feed(e.ContainerMessage(connection.name, message, payload))
        elif connection.role == "client":
            handle = self._handlers.get(type(message))
            if handle is None:
                self._feed(e.ClientMessage(connection.number, message, payload))
            else:
                handle(connection, message, payload)

    def _message_handlers(self) -> dict[type[Message], Callable[[Connection, Any, bytes], None]]:
        """Return the table of the messages of clients that do not go straight to the engine."""
        return {
            OpenApp: self._open_app,
            DeployApp: self._take_bundle,
            Exec: self._commands.open,
            ExecBytes: self._commands.pass_on,
            **{kind: _without_payload(answer) for kind, answer in self._queries.handlers().items()},
        }

    def _effect_actions(self) -> dict[type, Callable[[Any], None]]:
        """Return the table of the engine's effects: what carries out each."""
        return {
            e.SendToClient: self._send_to_client,
            e.SendToContainer: self._containers.send,
            e.StartContainer: self._containers.launch,
            e.KillContainer: self._containers.kill,
            e.SendRecorded: self._retention.send,
            e.DropBlobs: self._drop_blobs,
            e.PollNodes: lambda _: self._observe_nodes(),
            e.WantRoom: lambda effect: self._backend.want_room(effect.lacks),
            e.ReleaseNode: lambda effect: self._backend.release_node(effect.name),
            e.LogNotice: self._log_notice,
            e.DefectFound: lambda effect: self._defects.note(effect.error, "carrying out a request"),
            e.StartEdge: lambda _: self._edge.ensure_running(),
            e.AppEnded: self._app_ended,
        }

    def _open_app(self, connection: Connection, message: OpenApp, payload: bytes) -> None:
        if message.watch:
            self._subscribers.follow(message.app_id, connection)
        if message.environment.bundle or connection.token is not None or not self._backend.is_local:
            self._take_bundle(connection, message, payload)
        else:
            self._feed(e.ClientMessage(connection.number, message, payload))

    def _take_bundle(self, connection: Connection, message: DeployApp | OpenApp, archive: bytes) -> None:
        failed = partial(self._version_failed, connection, message.request)
        self._tasks.run(self._open_with_bundle(connection, message, archive), failed)

    async def _open_with_bundle(self, connection: Connection, message: DeployApp | OpenApp, archive: bytes) -> None:
        """Take the source files of a version before the engine gets it: a container might need them at once."""
        app_id, digest = message.app_id, message.environment.bundle
        is_durable = isinstance(message, DeployApp) or message.detach
        why = self._why_no_bundle(connection, message)
        if connection.token is not None:
            message = _portable(message)
        if not why and digest:
            why = await self._bundles.take(app_id, digest, archive, is_durable=is_durable)
        if not why:
            await self._nodes_known(message)
        if why:
            connection.send(Failed(message.request, *to_wire(InvalidError(f"{message.name}: {why}"))))
        elif connection.number in self._clients:  # else it is gone, and would never close the app
            self._feed(e.ClientMessage(connection.number, message, archive))
        if self.engine.snapshot.app(app_id) is None:
            self._bundles.drop(app_id)

    async def _nodes_known(self, message: DeployApp | OpenApp) -> None:
        """Wait, not for long, until some nodes could hold the functions of an app, or all nodes are known."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NODES_PATIENCE_S):
                while self._backend.awaits_nodes() and not self.engine.snapshot.could_hold(message.functions):
                    self._nodes_seen.clear()
                    await self._nodes_seen.wait()
        if not self._backend.is_local:
            self._observe_nodes()  # loads are looked at together, some milliseconds after the last has come

    def _why_no_bundle(self, connection: Connection, message: DeployApp | OpenApp) -> str:
        """Return why an app cannot be opened, whatever is in its bundle."""
        if isinstance(message, DeployApp) and self._paths.data_dir is None:
            return PRIVATE
        if not message.environment.bundle and (connection.token is not None or not self._backend.is_local):
            return "its containers do not see the files of this machine, and it brings no source files"
        return ""

    def _version_failed(self, connection: Connection, request: int, error: Exception) -> None:
        self._defects.note(error, "laying out the source files of a version")
        text = f"a defect in the server ({type(error).__name__}); its log has the details, and nothing was changed"
        connection.send(Failed(request, *to_wire(InternalError(text))))

    def lags(self, connection: Connection, is_lagging: bool) -> None:
        """A peer lags, or does so no longer."""
        if connection.role == "client":
            self._feed(e.ClientLags(connection.number, is_lagging))
        elif is_lagging:
            self._containers.lags(connection)

    def disconnected(self, connection: Connection) -> None:
        """A peer is gone."""
        if connection.role == "client":
            self._clients.pop(connection.number, None)
            self._deferred.leave(connection.number)
            self._subscribers.leave(connection)
            self._queries.leave(connection)
            self._commands.leave(connection)
            self._feed(e.ClientGone(connection.number))
        else:
            self._containers.disconnected(connection)

    # ------------------------------------------------------------ backend (BackendListener)

    def container_started(self, container_id: str, pid: int) -> None:
        """Report to the engine that the process exists."""
        self._containers.started(container_id)

    def container_exited(
        self, container_id: str, reason: str, started: bool, excess: MemoryExcess | None = None
    ) -> None:
        """Report to the engine that the process is gone."""
        order = self._containers.order_of(container_id)
        self._containers.exited(container_id, reason, started, excess)
        if order is not None:
            self._logs.ended(order.app_id, container_id)

    def container_wrote(self, container_id: str, stream: str, text: str) -> None:
        """Pass on, and keep, what a container printed."""
        order = self._containers.order_of(container_id)
        if order is not None:
            self._subscribers.log(order.app_id, order.spec.name, container_id, stream, text)
            calls = self.engine.snapshot.calls_in(container_id)
            self._logs.write(
                LogChunk(
                    at=self._clock.now(),
                    app_id=order.app_id,
                    function=order.spec.name,
                    container_id=container_id,
                    stream=stream,
                    text=text,
                    call_ids=calls,
                )
            )

    # ------------------------------------------------------------ engine

    def _feed(self, event: e.Event) -> None:
        """Hand an event to the engine; events that its effects cause are queued."""
        if self._ended:
            return
        self._events.append(event)
        if not self._busy:
            self._work()

    def _work(self, *, tick: bool = False) -> None:
        """Have the engine handle the queued events, and carry out the effects."""
        self._busy = True
        try:
            if tick:
                self._gate.carry_out(self.engine.tick(self._clock.now()))
            while self._events:
                self._gate.carry_out(self.engine.handle(self._events.popleft(), self._clock.now()))
        except Exception:
            # The engine's state is in doubt now, and callers would wait for ever. Their connections break; the template
            # notices the end, too, and kills the containers.
            log.critical("a defect in the server; it ends", exc_info=True)
            os._exit(EXIT_DEFECT)
        self._busy = False
        self._rearm()
        self._subscribers.schedule_progress()

    @staticmethod
    def _later(action: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(LAZY_COMMIT_S, action)

    def _carry_out(self, effect: e.Effect) -> None:
        """Carry out an effect. A failure costs the one peer that it was for: the engine is told of that peer's end."""
        try:
            self._actions[type(effect)](effect)
        except Exception as error:
            self._defects.note(error, f"carrying out {type(effect).__name__}")
            match effect:
                case e.SendToClient():
                    self._abort(effect.client, error)
                case e.SendToContainer() | e.StartContainer():
                    self._containers.give_up(effect.container_id, f"a defect in the server ({error!r})")
                case e.KillContainer() | e.SendRecorded():
                    raise  # nothing would repeat it
                case _:
                    pass

    def _gather(self, effect: e.SendToClient) -> None:
        """Carry out an effect that others for the same client are likely to follow at once."""
        self._gathers = True
        self._carry_out(effect)
        self._gathers = False

    def _abort(self, client: int, error: Exception) -> None:
        connection = self._clients.get(client)
        if connection is not None:
            text = f"an answer could not be sent: a defect in the server ({type(error).__name__})"
            connection.abort(InternalError(text))

    def _tick(self) -> None:
        self._timer = None
        self._armed_at = float("inf")
        self._clock.catch_up()
        self._work(tick=True)

    def _rearm(self) -> None:
        """Set the timer to the engine's next deadline. One that fires too early does no harm."""
        at = self.engine.next_deadline()
        if at >= self._armed_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed_at = at
        self._timer = asyncio.get_running_loop().call_later(self._clock.wait_for(at), self._tick)

    # ------------------------------------------------------------ effects

    def _send_to_client(self, effect: e.SendToClient) -> None:
        connection = self._clients.get(effect.client)
        if connection is None:
            return
        message = effect.message
        if effect.is_kept and connection.is_lagging and isinstance(message, Outputs):
            self._deferred.add(connection, message)
            return
        if isinstance(message, Routes):
            connection.send_latest(Routes, message)
            return
        if isinstance(message, Leased):  # the engine knows containers, not how they are reached
            message = self._containers.located(message)
        elif isinstance(message, LeaseGranted):
            message = self._containers.addressed(message)
        if self._gathers:
            connection.gather(message, effect.payload)
        else:
            connection.send(message, effect.payload)

    def _when_read(self, client: int, action: Callable[[], None]) -> None:
        """Call a function when a client does not lag; never, if it is gone."""
        connection = self._clients.get(client)
        if connection is not None:
            connection.when_read(action)

    def node_drains(self, node: str, deadline_s: float | None) -> None:
        """Report to the engine that a node will be taken away."""
        self._feed(e.NodeDrains(node, deadline_s))

    def nodes_changed(self) -> None:
        """The backend has something new to tell of the nodes."""
        self._observe_nodes()

    def _observe_nodes(self) -> None:
        loads = self._backend.observe(self.engine.snapshot.is_ready)
        nodes = [
            e.NodeView(load.node, load.busy_cores, load.working_cores, load.unjudged, load.sleepers) for load in loads
        ]
        backend = self._backend
        self._feed(e.NodesObserved(nodes, backend.refused(), backend.trouble(), backend.awaits_nodes()))
        self._nodes_seen.set()

    def _log_notice(self, effect: e.LogNotice) -> None:
        fields = {"app_id": effect.app_id, "function": effect.function_name}
        log.warning("%s: %s", effect.function_name, effect.text, extra=fields)
        text = f"{effect.text}\n"
        self._subscribers.log(effect.app_id, effect.function_name, "", "system", text)
        self._logs.write(
            LogChunk(
                at=self._clock.now(),
                app_id=effect.app_id,
                function=effect.function_name,
                container_id="",
                stream="system",
                text=text,
            )
        )

    def _app_ended(self, effect: e.AppEnded) -> None:
        self._subscribers.ended(effect.app_id)
        self._bundles.drop(effect.app_id)
        self._logs.ended(effect.app_id)
        if not self.engine.state.apps:
            self._apps_ended.set()

    def drop_blob(self, name: str) -> None:
        """Delete a blob that a client on another machine has read last."""
        self._blobs.delete(name)

    def _drop_blobs(self, effect: e.DropBlobs) -> None:
        for call_id, index in effect.inputs:
            self._blobs.delete(input_name(call_id, index, is_kept=effect.are_kept))


def _portable(message: DeployApp | OpenApp) -> DeployApp | OpenApp:
    """Return the message of a client on another machine without what belongs to that machine."""
    environment = portable_environment(message.environment, message.environment.bundle)
    functions = [replace(portable_spec(spec), recorded=spec.recorded) for spec in message.functions]
    return replace(message, environment=environment, functions=functions)


def _without_payload(handle: Callable[[Connection, Any], None]) -> Callable[[Connection, Any, bytes], None]:
    return lambda connection, message, _: handle(connection, message)
