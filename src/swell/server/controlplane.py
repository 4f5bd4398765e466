"""The control plane: every event goes to the engine, every effect is carried out, in order.

It acts and decides nothing. This module must not know which backend and store it has been given.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from swell.config import Settings
from swell.engine import events as e
from swell.engine.engine import Engine
from swell.errors import NotFoundError, OutputExpiredError
from swell.model import OutputStatus
from swell.ports import Backend, LaunchOrder, Store, StoredCall, StoredOutput
from swell.server.connection import Connection
from swell.server.watchers import Watchers
from swell.wire.blob_names import input_name
from swell.wire.messages import (
    CallDescription,
    Deliver,
    DescribeCall,
    Failed,
    FunctionProgress,
    Hello,
    Load,
    Message,
    OpenApp,
    Outputs,
    Watch,
    Welcome,
)

__all__ = ["ControlPlane"]

log = logging.getLogger("swell.server")

#: How long a dead container's last words may take to be read; they are in the socket's buffer already.
LAST_WORDS_S = 1.0

EXIT_DEFECT = 70  #: as sysexits.h has it: an internal software error


class _Channels:
    """What the shell keeps of one container: its order and its two connections."""

    __slots__ = ("control", "data", "end", "function_ids", "order")

    def __init__(self, order: LaunchOrder, function_ids: dict[str, str]) -> None:
        self.order = order
        self.function_ids = function_ids
        self.data: Connection | None = None
        self.control: Connection | None = None
        self.end: e.ContainerExited | None = None  #: it has exited, but its last words are not read yet


class ControlPlane:
    """Connects engine, backend, store and connections. Everything runs on one event loop."""

    def __init__(
        self,
        *,
        settings: Settings,
        backend: Backend,
        store: Store,
        address: str,
        blob_dir: Path,
        web_dir: Path,
        seed: str,
    ) -> None:
        self.engine = Engine(settings, seed)
        self._settings = settings
        self._backend = backend
        self._store = store
        self._address = address
        self._blob_dir = blob_dir
        self._web_dir = web_dir
        self._clients: dict[int, Connection] = {}
        self._containers: dict[str, _Channels] = {}
        self._watchers = Watchers(self._describe_app)
        self._events: deque[e.Event] = deque()
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._armed_at = float("inf")
        self._apps_ended: asyncio.Event = asyncio.Event()
        # Wall-clock stamps that never go back: the engine compares them, people read them.
        self._epoch = time.time() - time.monotonic()
        self._carry_out: dict[type, Callable[[Any], None]] = {
            e.Tell: self._tell,
            e.Order: self._order,
            e.StartContainer: self._start_container,
            e.KillContainer: self._kill_container,
            e.RecordOutputs: lambda effect: self._store.record_outputs(effect.call_id, effect.outputs),
            e.RecordCall: self._record_call,
            e.SendRecorded: self._send_recorded,
            e.AskStore: self._ask_store,
            e.DropBlobs: self._drop_blobs,
            e.LookAtNodes: lambda _: self._look(),
            e.AppEnded: self._app_ended,
        }

    # ------------------------------------------------------------ life

    async def start(self) -> None:
        """Get the backend ready and learn what nodes there are."""
        await self._backend.start(self, self._address)
        self._look()

    async def stop(self, reason: str) -> None:
        """Stop every app, give containers their grace, then release everything. Safe to call twice."""
        self._feed(e.ShutdownRequested(reason))
        if self.engine.ledger.apps:
            self._apps_ended.clear()
            try:
                await asyncio.wait_for(self._apps_ended.wait(), self._settings.exit_grace_s + LAST_WORDS_S)
            except TimeoutError:
                log.warning("containers did not leave within their grace; they are killed")
        if self._timer is not None:
            self._timer.cancel()
        await self._backend.stop()
        self._store.close()
        for connection in [*self._clients.values(), *self._connections()]:
            connection.close()

    def _connections(self) -> list[Connection]:
        return [c for known in self._containers.values() for c in (known.data, known.control) if c is not None]

    # ------------------------------------------------------------ connections (Switchboard)

    def connected(self, connection: Connection, hello: Hello) -> str:
        """Let a peer in, or say why not."""
        if hello.role == "client":
            if self._settings.token and not self._knows(hello.token):
                return "the token is not this server's"
            self._clients[connection.number] = connection
            settings = self._settings
            welcome = Welcome(
                str(self._blob_dir), settings.payload_inline_max, settings.map_outstanding_max, settings.payload_max
            )
            connection.send(welcome)
            return ""
        known = self._containers.get(hello.name)
        if hello.role not in ("container", "control") or known is None:
            return f"no container {hello.name!r} with role {hello.role!r} is expected"
        if not secrets.compare_digest(hello.token, known.order.token):
            return f"the token is not that of container {hello.name}"
        if hello.role == "control":
            known.control = connection
        else:
            known.data = connection
            connection.send(self._load(known))
        return ""

    def _knows(self, token: str) -> bool:
        """Tell whether a token is the server's, or that of one of its containers, whose code may make calls."""
        known = [self._settings.token, *(channels.order.token for channels in self._containers.values())]
        matches = [secrets.compare_digest(token, one) for one in known]  # all of them: the time taken tells nothing
        return any(matches)

    def received(self, connection: Connection, message: Message, payload: bytes) -> None:
        """A peer said something."""
        if connection.role == "container":
            self._feed(e.ContainerSaid(connection.name, message, payload))
        elif connection.role == "client":
            if isinstance(message, OpenApp) and message.watch:
                self._watchers.follow(message.app_id, connection)
            self._feed(e.ClientSaid(connection.number, message, payload))

    def disconnected(self, connection: Connection) -> None:
        """A peer is gone."""
        if connection.role == "client":
            self._clients.pop(connection.number, None)
            self._watchers.leave(connection)
            self._feed(e.ClientGone(connection.number))
            return
        known = self._containers.get(connection.name)
        if known is None:
            return
        if known.data is connection:
            known.data = None
            if known.end is not None:
                self._exited(known)
            else:
                self._backend.kill(connection.name)  # without its channel it is of no use; its exit is reported next

    # ------------------------------------------------------------ backend (BackendListener)

    def container_started(self, container_id: str, pid: int) -> None:
        """The process exists."""
        self._feed(e.ContainerStarted(container_id))

    def container_exited(self, container_id: str, reason: str, started: bool) -> None:
        """The process is gone; what it sent before counts, so its channel is read to the end first."""
        known = self._containers.get(container_id)
        if known is None:
            return
        known.end = e.ContainerExited(container_id, reason, started)
        if known.data is None:
            self._exited(known)
        else:
            asyncio.get_running_loop().call_later(LAST_WORDS_S, self._exited, known)

    def container_wrote(self, container_id: str, stream: str, text: str) -> None:
        """The container printed something."""
        known = self._containers.get(container_id)
        if known is not None:
            self._watchers.log(known.order.app_id, known.order.spec.name, container_id, stream, text)

    def _exited(self, known: _Channels) -> None:
        container_id = known.order.container_id
        if known.end is None or self._containers.pop(container_id, None) is None:
            return
        for connection in (known.data, known.control):
            if connection is not None:
                connection.close()
        self._feed(known.end)

    # ------------------------------------------------------------ engine

    def _now(self) -> float:
        return self._epoch + time.monotonic()

    def _feed(self, event: e.Event) -> None:
        """Hand an event to the engine; events that its effects cause wait their turn."""
        self._events.append(event)
        if not self._busy:
            self._work()

    def _work(self, *, tick: bool = False) -> None:
        """Have the engine handle what waits, and carry out what it decides."""
        self._busy = True
        try:
            if tick:
                self._carry(self.engine.tick(self._now()))
            while self._events:
                self._carry(self.engine.handle(self._events.popleft(), self._now()))
        except Exception:
            # What the engine believes is in doubt now, and callers would wait for ever. They hear of the end by their
            # connections; the template sees it, too, and ends what the server has started.
            log.critical("a defect in the server; it ends", exc_info=True)
            os._exit(EXIT_DEFECT)
        self._busy = False
        self._rearm()
        self._watchers.something_changed()

    def _carry(self, effects: Sequence[e.Effect]) -> None:
        recorded = False
        for effect in effects:
            kind = type(effect)
            if kind is e.Tell and recorded:
                # Write before speak: nobody hears of what a crash could still undo.
                self._store.commit(partial(self._carry_out[kind], effect))
                continue
            recorded |= kind is e.RecordOutputs
            self._carry_out[kind](effect)

    def _tick(self) -> None:
        self._timer = None
        self._armed_at = float("inf")
        self._work(tick=True)

    def _rearm(self) -> None:
        """Have the engine ticked at its next deadline. A timer that fires too early does no harm."""
        at = self.engine.next_deadline()
        if at >= self._armed_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed_at = at
        self._timer = asyncio.get_running_loop().call_later(max(0.0, at - self._now()), self._tick)

    # ------------------------------------------------------------ effects

    def _tell(self, effect: e.Tell) -> None:
        connection = self._clients.get(effect.client)
        if connection is not None:
            connection.send(effect.message, effect.payload)

    def _order(self, effect: e.Order) -> None:
        known = self._containers.get(effect.container_id)
        if known is None:
            return
        connection = known.data if isinstance(effect.message, Deliver) else known.control
        if connection is not None:
            connection.send(effect.message, effect.payload)

    def _start_container(self, effect: e.StartContainer) -> None:
        order = LaunchOrder(
            effect.container_id,
            effect.app_id,
            effect.function_id,
            effect.spec,
            effect.environment,
            effect.node,
            effect.gpus,
            secrets.token_hex(16),
        )
        self._containers[order.container_id] = _Channels(order, effect.function_ids)
        self._backend.launch(order)

    def _load(self, known: _Channels) -> Load:
        order, settings = known.order, self._settings
        return Load(
            order.function_id,
            order.spec,
            order.environment,
            known.function_ids,
            blob_dir=str(self._blob_dir),
            payload_inline_max=settings.payload_inline_max,
            payload_max=settings.payload_max,
            frame_max=settings.frame_max,
            exit_grace_s=settings.exit_grace_s,
            web_dir=str(self._web_dir),
        )

    def _kill_container(self, effect: e.KillContainer) -> None:
        log.info("killing container %s: %s", effect.container_id, effect.reason)
        self._backend.kill(effect.container_id)

    def _look(self) -> None:
        nodes = [e.NodeView(load.node, load.busy_cores) for load in self._backend.observe()]
        self._feed(e.NodesObserved(nodes))

    def _app_ended(self, effect: e.AppEnded) -> None:
        self._watchers.ended(effect.app_id)
        if not self.engine.ledger.apps:
            self._apps_ended.set()

    def _drop_blobs(self, effect: e.DropBlobs) -> None:
        for call_id, index in effect.inputs:
            (self._blob_dir / input_name(call_id, index)).unlink(missing_ok=True)

    # ------------------------------------------------------------ store

    def _record_call(self, effect: e.RecordCall) -> None:
        now = self._now()
        self._store.record_call(effect.call_id, StoredCall(effect.function_name, effect.num_inputs, now))
        self._store.expire(now - self._settings.result_retention_s)

    def _send_recorded(self, effect: e.SendRecorded) -> None:
        stored = self._store.read_outputs(effect.call_id, effect.first, effect.last)
        if stored:
            self._tell(e.Tell(effect.client, *_as_outputs(effect.call_id, stored)))

    def _ask_store(self, effect: e.AskStore) -> None:
        message = effect.message
        known = self._store.read_call(message.call_id)
        if known is None:
            text = f"no call {message.call_id} is known here"
            self._tell(e.Tell(effect.client, Failed(message.request, NotFoundError.code, text)))
        elif isinstance(message, DescribeCall):
            answer = CallDescription(
                message.request, message.call_id, known.num_inputs, known.num_inputs, known.function_name
            )
            self._tell(e.Tell(effect.client, answer))
        else:
            self._answer_watch(effect.client, message)

    def _answer_watch(self, client: int, message: Watch) -> None:
        """All results of a finished call are there, unless they have been kept long enough."""
        stored = self._store.read_outputs(message.call_id, message.first, message.last)
        if stored:
            self._tell(e.Tell(client, *_as_outputs(message.call_id, stored)))
        if len(stored) < message.last - message.first:
            text = f"results of call {message.call_id} are no longer kept"
            self._tell(e.Tell(client, Failed(message.request, OutputExpiredError.code, text)))

    # ------------------------------------------------------------ people

    def _describe_app(self, app_id: str) -> list[FunctionProgress]:
        app = self.engine.ledger.apps.get(app_id)
        return list(self.engine.apps.progress(app)) if app is not None else []


def _as_outputs(call_id: str, stored: Sequence[StoredOutput]) -> tuple[Outputs, bytes]:
    ends: list[int] = []
    size = 0
    for output in stored:
        size += len(output.payload)
        ends.append(size)
    failures = [(i, int(o.status)) for i, o in enumerate(stored) if o.status is not OutputStatus.SUCCESS]
    blobs = [i for i, output in enumerate(stored) if output.has_blob]
    parts = [(output.index, 1) for output in stored]
    return Outputs(call_id, parts, ends, failures, blobs), b"".join(output.payload for output in stored)
