"""A diary of an engine: what happens at which second, and what it decides, in a line each.

    diary.at(1.0).calls("fc-1", 3)          -> ["start c1"]
    diary.at(1.2).ready("c1")               -> ["deliver #1 to c1: fc-1[0]"]
    diary.at(1.3).completes("c1", 1, 0)     -> ["tell 1: fc-1[0]", "deliver #2 to c1: fc-1[1]"]

Containers are c1, c2, … in the order in which they were asked for. `at` lets time pass and ticks the engine whenever it
asks for it; what it decides on the way is in `meanwhile`.

What is recorded is kept by a real store, and so is there after `restarts`. What the engine asks of the store is read at
once, as a store reads in order, and answered when the diary says `reads`: what happens before that, happens while the
answer is on its way.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from swell.config import Settings
from swell.engine.engine import Engine
from swell.engine.events import (
    AppEnded,
    CallLoaded,
    CallsLoaded,
    ClientGone,
    ClientLags,
    ClientMessage,
    ContainerExited,
    ContainerMessage,
    ContainerStarted,
    DefectFound,
    DeploymentRead,
    DropBlobs,
    Effect,
    Event,
    KillContainer,
    LoadCall,
    LoadCalls,
    LoadSpans,
    LogNotice,
    NodesObserved,
    NodeView,
    Persist,
    PollNodes,
    ReadDeployment,
    ReadTrace,
    ReleaseNode,
    SendRecorded,
    SendToClient,
    SendToContainer,
    ShutdownRequested,
    SpansLoaded,
    StartContainer,
    StartEdge,
    StateRestored,
    StoreTroubled,
    TraceRead,
    WantRoom,
)
from swell.engine.state.pool import Pool
from swell.model import (
    AutoscalerChange,
    AutoscalerSettings,
    CallKind,
    DeliveryMode,
    Deployment,
    Environment,
    FunctionSpec,
    Gpu,
    MemoryExcess,
    Node,
    OutputStatus,
    Source,
    Strategy,
)
from swell.records import (
    AppRecord,
    AttemptRecord,
    CallEnded,
    CallGrown,
    CallRecord,
    CallsCancelled,
    ContainerRecord,
    FunctionGone,
    FunctionRecord,
    OutputsRecord,
    Record,
    SpanRecord,
    SpansDone,
    StoredOutput,
)
from swell.store.memory.store import MemoryStore
from swell.wire import apps as a
from swell.wire import leases as cl
from swell.wire import messages as m
from swell.wire import queries as q
from swell.wire import web as w
from swell.wire.variant import changes_between

SETTINGS = frozenset(AutoscalerSettings.__struct_fields__)
ENVIRONMENT = Environment("/py", "/", ())


class Diary:
    """One engine, one app, and everything that is said."""

    def __init__(self, **settings: Any) -> None:
        self.settings = Settings(**{"timezone": "UTC", "call_leases": True} | settings)
        self.engine = Engine(self.settings)
        self.now = 0.0
        self.meanwhile: list[str] = []
        self.last: list[Effect] = []  #: what was decided on the last event, as it is
        self.unread: deque[Callable[[], list[str]]] = deque()  #: what the store has read, and not told
        self._soon: list[Callable[[], None]] = []
        self._store = MemoryStore(self._soon.append)
        self._names: dict[str, str] = {}
        self._ids = itertools.count(1)
        self._lives = 1
        self.observes()

    # ------------------------------------------------------------ time

    def at(self, now: float) -> Diary:
        """Let time pass up to `now`, and tick when the engine asks for it."""
        self.meanwhile = []
        while (due := self.engine.next_deadline()) <= now:
            self.now = max(self.now, due)
            self.meanwhile += self.ticks()
        self.now = now
        return self

    def ticks(self) -> list[str]:
        """Tick the engine once, whatever has come due since it was ticked last."""
        self.last = self.engine.tick(self.now)
        decided = self._carry(self.last)
        self.engine.validate()
        return decided

    def feed(self, event: Event) -> list[str]:
        self.last = self.engine.handle(event, self.now)
        decided = self._carry(self.last)
        self.engine.validate()
        return decided

    @staticmethod
    def aloud(decided: Iterable[str]) -> list[str]:
        """Leave out what is only recorded."""
        return [line for line in decided if not line.startswith("record ")]

    # ------------------------------------------------------------ surroundings

    def observes(
        self,
        *nodes: Node,
        busy: float = 0.0,
        working: float | None = None,
        unjudged: int = 0,
        sleepers: int = 0,
    ) -> list[str]:
        nodes = nodes or (Node("n", 64, 1 << 40, (Gpu("gpu-0", "L4"), Gpu("gpu-1", "L4"))),)
        working = busy if working is None else working
        return self.feed(NodesObserved([NodeView(node, busy, working, unjudged, sleepers) for node in nodes]))

    def drains(self, node: str, deadline_s: float | None = None) -> list[str]:
        return self.says(q.DrainNode(12, node, deadline_s))

    def resumes(self, node: str) -> list[str]:
        return self.says(q.ResumeNode(13, node))

    def where(self) -> dict[str, str]:
        """Return the node of each container."""
        return {self._names[each.id]: each.place.node for each in self.engine.state.containers.values()}

    def shuts_down(self) -> list[str]:
        return self.feed(ShutdownRequested("bye"))

    def restarts(self) -> list[str]:
        """Go on with a new engine and what was recorded: the former one was killed, and its containers with it."""
        self._lives += 1
        self.engine = Engine(self.settings, seed=str(self._lives))
        self.unread.clear()
        restored = self.feed(StateRestored(self._store.restore()))
        return restored + self.observes()

    def reads(self, count: int | None = None) -> list[str]:
        """Let the store answer what it was asked, and what it is asked because of that; or so many questions only."""
        decided: list[str] = []
        while self.unread and count != 0:
            decided += self.unread.popleft()()
            count = None if count is None else count - 1
        return decided

    def keep(self, record: Record) -> None:
        """Write something down that the engine knows nothing of."""
        self._store.append(record)

    def expires(self, *, before: float) -> None:
        """Have the store drop what ended before a time."""
        self._store.expire(before, 0.0, 1_000, lambda names: None)
        self._soon.clear()

    def troubles(self, why: str) -> list[str]:
        return self.feed(StoreTroubled(why))

    # ------------------------------------------------------------ clients

    def opens(self, *names: str, client: int = 1, app: str = "ap", detach: bool = False, **options: Any) -> list[str]:
        """Open an app with functions that all have these options."""
        message = m.OpenApp(1, app, app, ENVIRONMENT, functions(*names or ("f",), **options), detach=detach)
        return self.says(message, client=client)

    def function(self, name: str = "f", *, version: int = 0) -> str:
        """Return the id of a function; with a version, of the pool that is pinned to it. An id is its own."""
        if name.startswith("fu-"):
            return name
        pools = self.engine.state.pools.values()
        found = (pool for pool in pools if pool.spec.name == name and pool.variant is None)
        return next(pool.id for pool in found if (pool.is_pinned and pool.version == version) or not version)

    def pool(self, name: str = "f", *, version: int = 0) -> Pool:
        return self.engine.state.pools[self.function(name, version=version)]

    def calls(
        self,
        call_id: str,
        count: int = 1,
        *,
        function: str = "f",
        kind: CallKind = CallKind.MAP,
        sealed: bool = True,
        blobs: Sequence[int] = (),
        method: str = "",
        size: int = 1,
        client: int = 1,
    ) -> list[str]:
        """Open a call with `count` inputs of `size` bytes each: a, b, c, …"""
        ends = list(range(size, size * count + 1, size))
        message = m.OpenCall(call_id, self.function(function), method, kind, ends, sealed, list(blobs))
        return self.says(message, letters(0, count) * size, client=client)

    def puts(
        self, call_id: str, first: int, count: int, *, sealed: bool = True, size: int = 1, client: int = 1
    ) -> list[str]:
        message = m.PutInputs(call_id, first, list(range(size, size * count + 1, size)), sealed)
        return self.says(message, letters(first, count) * size, client=client)

    def cancels(self, call_id: str, *, kill: bool = False) -> list[str]:
        return self.says(m.CancelCall(call_id, kill))

    def closes(self, app: str = "ap", *, client: int = 1, when_idle: bool = False) -> list[str]:
        return self.says(m.CloseApp(9, app, when_idle=when_idle), client=client)

    def spawns(self, call_id: str, count: int = 1, **how: Any) -> list[str]:
        return self.calls(call_id, count, kind=CallKind.SPAWN, **how)

    # ------------------------------------------------------------ calls that go straight to containers

    def wants(self, call_id: str, *, function: str = "f", method: str = "", client: int = 1) -> list[str]:
        """Call a function once, and ask for a call lease."""
        function_id = self.function(function)
        message = m.OpenCall(call_id, function_id, method, CallKind.REMOTE, [1], True, wants_lease=True)
        return self.says(message, b"a", client=client)

    def leased(self, *, client: int = 1, **options: Any) -> Diary:
        """Open an app, and let a client get the call lease l1 on the container c1 at second 1."""
        self.opens(**options)
        self.wants("fc-first", client=client)
        self.ready("c1", takes_calls=True)
        assert "grant l1 on c1 to " + str(client) in self.at(1.0).completes("c1", 1, 0)
        return self

    def announces(
        self,
        call_id: str,
        lease: str = "l1",
        *,
        by: int | str = 1,
        age_s: float = 0.005,
        failed: bool = False,
        is_lost: bool = False,
        size: int = 1,
        function: str = "f",
    ) -> list[str]:
        """A client, or a container, announces a direct call."""
        message = cl.Announce(
            call_id, self.lease_id(lease), self.function(function), age_s=age_s, failed=failed, is_lost=is_lost
        )
        if isinstance(by, str):
            return self.answers(by, message, letters(0, size))
        return self.says(message, letters(0, size), client=by)

    def reports(
        self, name: str, *call_ids: str, lease: str = "l1", status: int = 1, took: float = 0.001, age_s: float = 0.010
    ) -> list[str]:
        """A container reports direct calls that have ended, all with one status."""
        failures = [] if status == 1 else [(i, int(status)) for i in range(len(call_ids))]
        count = len(call_ids)
        message = cl.DirectReport(self.lease_id(lease), list(call_ids), [age_s] * count, [took] * count, failures)
        return self.answers(name, message)

    def closes_lease(self, name: str, lease: str = "l1") -> list[str]:
        return self.answers(name, cl.LeaseClosed(self.lease_id(lease)))

    def lease_id(self, lease: str) -> str:
        return next((lease_id for lease_id, known in self._names.items() if known == lease), lease)

    def asks_for(
        self,
        call_id: str,
        *,
        function: str = "f",
        method: str = "",
        client: int = 7,
        ends: Sequence[int] = (0,),
        parameters: bytes = b"",
    ) -> list[str]:
        """An edge asks for a slot for a request; with parameters, of a variant."""
        message = m.OpenCall(
            call_id, self.function(function), method, CallKind.WEB, list(ends), True, parameters=parameters
        )
        return self.says(message, client=client)

    def releases(
        self, call_id: str, status: OutputStatus = OutputStatus.SUCCESS, *, busy_s: float = 0.01, client: int = 7
    ) -> list[str]:
        return self.says(w.Release(call_id, int(status), busy_s), client=client)

    def asks_url(self, name: str = "f", method: str = "", *, client: int = 1) -> list[str]:
        return self.says(w.GetWebUrl(11, self.function(name), method), client=client)

    def watches(self, call_id: str, first: int = 0, last: int = 1, *, request: int = 5, client: int = 2) -> list[str]:
        return self.says(m.Watch(request, call_id, first, last), client=client)

    def lags(self, *, client: int = 1, is_lagging: bool = True) -> list[str]:
        return self.feed(ClientLags(client, is_lagging))

    def vanishes(self, client: int = 1) -> list[str]:
        return self.feed(ClientGone(client))

    def says(self, message: m.Message, payload: bytes = b"", *, client: int = 1) -> list[str]:
        return self.feed(ClientMessage(client, message, payload))

    # ------------------------------------------------------------ durable apps

    def deploys(
        self,
        *names: str,
        app: str = "shop",
        strategy: Strategy = Strategy.ROLLING,
        code: str = "one",
        tag: str = "",
        tags: dict[str, str] | None = None,
        bundle: bytes = b"",
        client: int = 1,
        **options: Any,
    ) -> list[str]:
        """Deploy an app with functions that all have these options; another `code` is another version of it."""
        environment = replace(ENVIRONMENT, bundle=code)
        specs = functions(*names or ("f",), **options)
        app_id = f"ap-{app.replace('.', '-')}-{next(self._ids)}"
        message = a.DeployApp(2, app_id, app, environment, specs, strategy, tag, tags=tags or {})
        return self.says(message, bundle, client=client)

    def redeploys(self, app: str = "shop", version: int = 0, *, is_rollover: bool = False, **how: Any) -> list[str]:
        return self.says(a.RedeployApp(3, app, version, is_rollover, **how))

    def stops(self, app: str = "shop") -> list[str]:
        return self.says(a.StopApp(4, app))

    def finds(self, name: str = "f", app: str = "shop", *, version: int = 0) -> list[str]:
        return self.says(a.FindFunction(6, app, name, version))

    def finds_app(self, app: str = "shop", *, create_as: str = "") -> list[str]:
        return self.says(a.FindApp(6, app, create_as))

    def binds(self, name: str = "f", *, version: int = 0, **changes: Any) -> str:
        """Ask for a variant of a function with some fields of its spec changed; return its id, or why there is none."""
        base = self.pool(name, version=version)
        autoscaler = AutoscalerSettings(**{key: changes.pop(key) for key in list(changes) if key in SETTINGS})
        variant = replace(base.spec, autoscaler=base.spec.autoscaler.merge(autoscaler), **changes)
        self.says(m.BindFunction(7, base.id, changes_between(base.spec, variant)))
        answer = next(effect.message for effect in self.last if isinstance(effect, SendToClient))
        return answer.text if isinstance(answer, m.Failed) else answer.function_id

    def updates(self, name: str = "f", *, version: int = 0, **change: Any) -> list[str]:
        function_id = self.function(name, version=version)
        return self.says(m.UpdateAutoscaler(8, function_id, AutoscalerChange(**change)))

    def story(self, about: str) -> q.Story:
        """Return the story of something; one that only the store can tell follows `reads`."""
        self.says(q.AskStory(10, about))
        self.reads()
        return next(effect.message for effect in self.last if isinstance(effect, SendToClient))

    # ------------------------------------------------------------ containers

    def started(self, name: str) -> list[str]:
        return self.feed(ContainerStarted(self.id(name)))

    def ready(self, name: str, *, takes_calls: bool = False) -> list[str]:
        return self.feed(ContainerMessage(self.id(name), m.Ready(1, 0.1, takes_calls)))

    def fails_to_start(self, name: str) -> list[str]:
        decided = self.feed(ContainerMessage(self.id(name), m.StartFailed("no module"), b"exception"))
        return decided + self.exits(name)

    def completes(
        self,
        name: str,
        delivery: int,
        first: int,
        count: int = 1,
        *,
        status: OutputStatus = OutputStatus.SUCCESS,
        busy_s: float = 0.001,
    ) -> list[str]:
        """Report inputs of a delivery, all with one status."""
        failures = [] if status is OutputStatus.SUCCESS else [(i, int(status)) for i in range(count)]
        message = m.Completed([(delivery, first, count)], list(range(1, count + 1)), failures, [], busy_s * count)
        return self.answers(name, message, letters(first, count).upper())

    def gives_back(self, name: str, delivery: int, position: int) -> list[str]:
        return self.answers(name, m.Returned(delivery, position))

    def answers(self, name: str, message: m.Message, payload: bytes = b"") -> list[str]:
        return self.feed(ContainerMessage(self.id(name), message, payload))

    def exits(self, name: str, reason: str = "killed by signal 9") -> list[str]:
        return self.feed(ContainerExited(self.id(name), reason))

    def outgrows(self, name: str, used_mib: int = 612, limit_mib: int = 256) -> list[str]:
        """A container is killed for the memory it uses."""
        excess = MemoryExcess(used_mib << 20, limit_mib << 20)
        return self.feed(ContainerExited(self.id(name), f"killed: it {excess}", excess=excess))

    def deliveries(self, name: str) -> dict[int, int]:
        """Return the deliveries that a container has, and how many inputs each had."""
        held = self.engine.state.containers[self.id(name)].deliveries
        return {number: sum(part.count for part in delivery.parts) for number, delivery in held.items()}

    def id(self, name: str) -> str:
        return next(container_id for container_id, known in self._names.items() if known == name)

    # ------------------------------------------------------------ what was decided, in words

    def _carry(self, effects: Iterable[Effect]) -> list[str]:
        return [line for effect in effects if (line := self._line(effect))]

    def _ask(self, effect: Effect) -> None:
        """Put a question of the engine to the store."""
        store = self._store
        match effect:
            case LoadCall(call_id, window):
                store.load_call(call_id, window, lambda found: self._answer(CallLoaded(call_id, found)))
            case LoadCalls(function_id, after, calls_max, window):
                loaded = partial(CallsLoaded, function_id)
                store.load_calls(function_id, after, calls_max, window, lambda calls: self._answer(loaded(calls)))
            case LoadSpans(call_id, first, window):
                store.load_spans(call_id, first, window, lambda spans: self._answer(SpansLoaded(spans)))
            case ReadDeployment(app_id, version):
                read = partial(DeploymentRead, app_id, version)
                store.read_deployment(app_id, version, lambda found: self._answer(read(found)))
            case ReadTrace(client, request, call, index):
                traced = partial(TraceRead, client, request, call, index)
                store.read_trace(call.call_id, index, lambda trace: self._answer(traced(trace)))
            case SendRecorded():
                say = partial(self._sent, effect)
                store.read_outputs(effect.call_id, effect.first, effect.last, lambda found: self._say(say(found)))
            case _:
                return
        for answer in self._soon:
            answer()
        self._soon.clear()

    def _answer(self, event: Event) -> None:
        self.unread.append(lambda: self.feed(event))

    def _say(self, line: str) -> None:
        self.unread.append(lambda: [line])

    @staticmethod
    def _sent(effect: SendRecorded, found: Sequence[StoredOutput]) -> str:
        told = ", ".join(f"{output.index} {output.status.name}" for output in found) or "nothing"
        lacks = effect.must_have is not None and len(found) < effect.last - effect.first
        text = f"{effect.client} gets {told} of {effect.call_id}" + ", and hears that it expired" * lacks
        return text if effect.then is None else f"{text}, then {effect.then.finished} of {effect.then.num_inputs}"

    def _line(self, effect: Effect) -> str:
        self._ask(effect)
        match effect:
            case StartContainer():
                name = self._names[effect.container_id] = self._next_name("c")
                version = f" of version {effect.version}" if effect.version > 1 else ""
                return f"start {name}{version}" + (f" on {', '.join(effect.gpus)}" if effect.gpus else "")
            case KillContainer():
                return f"kill {self._names[effect.container_id]}: {effect.reason}"
            case SendToContainer():
                return self._order(self._names[effect.container_id], effect.message)
            case SendToClient():
                return self._told(effect)
            case Persist():
                self._store.append(effect.record)
                return self._record(effect.record)
            case SendRecorded():
                return f"send what is recorded of {effect.call_id}[{effect.first}:{effect.last}] to {effect.client}"
            case LoadCall():
                return f"load {effect.call_id}"
            case LoadCalls():
                return f"load {effect.calls_max} calls after {effect.after}"
            case LoadSpans():
                return f"load {effect.window.inputs_max} inputs of {effect.call_id} from {effect.first} on"
            case ReadDeployment():
                return f"read version {effect.version} of {effect.app_id}"
            case ReadTrace():
                return f"read the trace of {effect.call.call_id}[{effect.index}]"
            case LogNotice():
                return f"notice on {effect.function_name}: {effect.text}"
            case DropBlobs():
                return "drop blobs of " + ", ".join(f"{call_id}[{index}]" for call_id, index in effect.inputs)
            case PollNodes():
                return "look at the nodes"
            case WantRoom(lacks):
                told = ", ".join(f"{each.count} of {each.resources.cpu:g} cores" for each in lacks)
                return f"want room for {told or 'nothing'}"
            case ReleaseNode(name):
                return f"release {name}"
            case DefectFound():
                return f"a defect: {effect.error!r}"
            case StartEdge():
                return "want an edge"
            case AppEnded():
                return f"{effect.app_id} ended"

    def _record(self, record: Record) -> str:
        match record:
            case CallRecord():
                sealed = "" if record.sealed else ", more may come"
                return f"record call {record.call_id} with {record.accepted} inputs{sealed}"
            case CallGrown():
                return f"record that {record.call_id} has {record.accepted} inputs" + ", all" * record.sealed
            case SpanRecord():
                return f"record inputs {span(record.call_id, record.first, len(record.ends))}"
            case OutputsRecord():
                statuses = {OutputStatus(status).name for _, status in record.failures}
                alike = "" if record.ends else " alike"
                told = f"record {span(record.call_id, record.first, record.count)}{alike}"
                return told + (f" {'/'.join(sorted(statuses))}" if statuses else "")
            case CallEnded():
                return f"record {record.call_id} as ended"
            case SpansDone():
                return f"record spans {record.firsts} of {record.call_id} as done"
            case AttemptRecord():
                what = f"{record.failures} failures and {record.crashes} crashes"
                return f"record {what} of {record.call_id}[{record.index}]"
            case ContainerRecord():
                return f"record the end of {self._names[record.container_id]}"
            case CallsCancelled():
                which = "unknown functions" if record.function_ids is None else f"{len(record.function_ids)} functions"
                return f"record calls of {which} as cancelled"
            case Deployment():
                return f"record version {record.version}"
            case AppRecord():
                return f"record app {record.name} at version {record.version}" + ", stopped" * bool(record.stopped_at)
            case FunctionRecord():
                how = (
                    ", retired" * record.is_retired
                    + ", pinned" * record.is_pinned
                    + ", a variant" * bool(record.changes)
                )
                return f"record function {record.spec.name} at version {record.version}{how}"
            case FunctionGone():
                return "record that a function is gone"
            case _:
                return f"record {type(record).__name__}"

    def _next_name(self, kind: str) -> str:
        return f"{kind}{sum(name.startswith(kind) for name in self._names.values()) + 1}"

    def _order(self, name: str, message: m.Message) -> str:
        match message:
            case cl.OpenLease():
                self._names[message.lease] = self._next_name("l")
                return ""
            case cl.RecallLease():
                return f"recall {self._names[message.lease]} from {name}"
            case cl.CancelDirect():
                return f"cancel {message.call_id} in {name}"
            case m.Deliver():
                what = ", ".join(span(*part) for part in message.parts)
                mode = "" if message.mode is DeliveryMode.SERIAL else f" ({message.mode.value})"
                return f"deliver #{message.delivery} to {name}: {what}{mode}"
            case m.Cancel():
                return f"cancel #{message.delivery}{message.positions} in {name}"
            case m.Reclaim():
                return f"reclaim #{message.delivery} from {name}"
            case m.Drain():
                return f"drain {name}"
            case m.Interrupt():
                return f"interrupt {name}"
            case m.ItemsTaken():
                return f"{message.count} items of #{message.delivery}[{message.position}] taken, to {name}"
            case _:
                return type(message).__name__

    def _told(self, effect: SendToClient) -> str:
        match effect.message:
            case m.Outputs() as message:
                spans = ", ".join(span(message.call_id, *part) for part in message.parts)
                statuses = {OutputStatus(status).name for _, status in message.failures}
                return f"tell {effect.client}: {spans}" + (f" {'/'.join(sorted(statuses))}" if statuses else "")
            case m.Refused() as message:
                advice = "for good" if message.retry_after_s is None else f"for {message.retry_after_s:g} s"
                return f"refuse {message.call_id} from {message.first} on {advice}: {message.text}"
            case m.Failed() as message:
                return f"fail {message.request}: {message.text}"
            case m.Accepted() as message:
                return f"accept {message.call_id} up to {message.upto}"
            case m.Items() as message:
                return f"items of {message.call_id}[{message.index}]: {bytes(effect.payload).decode()}"
            case m.AppOpened():
                return ""
            case a.Deployed() as message:
                return f"version {message.version} is live" + ("" if message.deployed_at else " already")
            case a.FunctionFound() as message:
                return f"found {message.spec.name} at version {message.version}"
            case cl.LeaseGranted() as message:
                return f"grant {self._names[message.lease]} on {self._names[message.container_id]} to {effect.client}"
            case w.Leased() as message:
                return f"lease {self._names[message.container_id]} to {message.call_id}"
            case w.Routes() as message:
                return (
                    f"tell {effect.client} the routes: {', '.join(route.label for route in message.routes) or 'none'}"
                )
            case w.WebUrl() as message:
                return f"tell {effect.client}: {message.url or 'no URL'}"
            case a.AppFound() as message:
                return f"found {message.name} at version {message.version}"
            case message:
                return f"tell {effect.client}: {type(message).__name__}"


def functions(*names: str, **options: Any) -> list[FunctionSpec]:
    autoscaler = AutoscalerSettings(**{key: options.pop(key) for key in list(options) if key in SETTINGS})
    return [FunctionSpec(name, Source("m", name), autoscaler=autoscaler, **options) for name in names]


def span(call_id: str, first: int, count: int) -> str:
    return f"{call_id}[{first}]" if count == 1 else f"{call_id}[{first}:{first + count}]"


def letters(first: int, count: int) -> bytes:
    return bytes(ord("a") + (first + i) % 26 for i in range(count))


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def new_diary() -> type[Diary]:
    """For an engine with other settings."""
    return Diary
