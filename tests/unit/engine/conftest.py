"""A diary of an engine: what happens at which second, and what it decides, in a line each.

    diary.at(1.0).calls("fc-1", 3)          -> ["start c1"]
    diary.at(1.2).ready("c1")               -> ["deliver #1 to c1: fc-1[0]"]
    diary.at(1.3).completes("c1", 1, 0)     -> ["tell 1: fc-1[0]", "deliver #2 to c1: fc-1[1]"]

Containers are c1, c2, … in the order in which they were asked for. `at` lets time pass and ticks the engine whenever it
asks for it; what it decides on the way is in `meanwhile`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from swell.config import Settings
from swell.engine.engine import Engine
from swell.engine.events import (
    AppEnded,
    ClientGone,
    ClientSaid,
    ContainerExited,
    ContainerSaid,
    ContainerStarted,
    DropBlobs,
    Effect,
    Event,
    KillContainer,
    LoadCall,
    LoadCalls,
    LoadSpans,
    LookAtNodes,
    NodesObserved,
    NodeView,
    Order,
    Persist,
    ReadDeployment,
    ReadTrace,
    Remark,
    SendRecorded,
    ShutdownRequested,
    StartContainer,
    Tell,
)
from swell.model import (
    AutoscalerSettings,
    CallKind,
    Deployment,
    Environment,
    FunctionSpec,
    Gpu,
    Node,
    OutputStatus,
    Source,
)
from swell.records import (
    AppRecord,
    AttemptRecord,
    CallEnded,
    CallGrown,
    CallRecord,
    CallsCancelled,
    ContainerRecord,
    FunctionRecord,
    OutputsRecord,
    Record,
    SpanRecord,
    SpansDone,
)
from swell.wire import messages as m

SETTINGS = frozenset(AutoscalerSettings.__struct_fields__)


class Diary:
    """One engine, one app, and everything that is said."""

    def __init__(self, **settings: Any) -> None:
        self.engine = Engine(Settings(**settings))
        self.now = 0.0
        self.meanwhile: list[str] = []
        self._names: dict[str, str] = {}
        self.observes()

    # ------------------------------------------------------------ time

    def at(self, now: float) -> Diary:
        """Let time pass up to `now`, and tick when the engine asks for it."""
        self.meanwhile = []
        while (due := self.engine.next_deadline()) <= now:
            self.now = max(self.now, due)
            self.meanwhile += self._carry(self.engine.tick(self.now))
            self.engine.validate()
        self.now = now
        return self

    def feed(self, event: Event) -> list[str]:
        decided = self._carry(self.engine.handle(event, self.now))
        self.engine.validate()
        return decided

    # ------------------------------------------------------------ surroundings

    def observes(self, *nodes: Node, busy: float = 0.0) -> list[str]:
        nodes = nodes or (Node("n", 64, 1 << 40, (Gpu("gpu-0", "L4"), Gpu("gpu-1", "L4"))),)
        return self.feed(NodesObserved([NodeView(node, busy) for node in nodes]))

    def shuts_down(self) -> list[str]:
        return self.feed(ShutdownRequested("bye"))

    # ------------------------------------------------------------ clients

    def opens(self, *names: str, client: int = 1, app: str = "ap", detach: bool = False, **options: Any) -> list[str]:
        """Open an app with functions that all have these options."""
        autoscaler = AutoscalerSettings(**{key: options.pop(key) for key in list(options) if key in SETTINGS})
        specs = [FunctionSpec(name, Source("m", name), autoscaler=autoscaler, **options) for name in names or ("f",)]
        return self.says(m.OpenApp(1, app, app, Environment("/py", "/", ()), specs, detach=detach), client=client)

    def function(self, name: str = "f") -> str:
        return next(pool.id for pool in self.engine.ledger.pools.values() if pool.spec.name == name)

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
        client: int = 1,
    ) -> list[str]:
        """Open a call with `count` inputs of one byte: a, b, c, …"""
        ends = list(range(1, count + 1))
        message = m.OpenCall(call_id, self.function(function), method, kind, ends, sealed, list(blobs))
        return self.says(message, letters(0, count), client=client)

    def puts(self, call_id: str, first: int, count: int, *, sealed: bool = True, client: int = 1) -> list[str]:
        message = m.PutInputs(call_id, first, list(range(1, count + 1)), sealed)
        return self.says(message, letters(first, count), client=client)

    def cancels(self, call_id: str, *, kill: bool = False) -> list[str]:
        return self.says(m.CancelCall(call_id, kill))

    def closes(self, app: str = "ap", *, client: int = 1) -> list[str]:
        return self.says(m.CloseApp(9, app), client=client)

    def vanishes(self, client: int = 1) -> list[str]:
        return self.feed(ClientGone(client))

    def says(self, message: m.Message, payload: bytes = b"", *, client: int = 1) -> list[str]:
        return self.feed(ClientSaid(client, message, payload))

    # ------------------------------------------------------------ containers

    def started(self, name: str) -> list[str]:
        return self.feed(ContainerStarted(self.id(name)))

    def ready(self, name: str) -> list[str]:
        return self.feed(ContainerSaid(self.id(name), m.Ready(1, 0.1)))

    def fails_to_start(self, name: str) -> list[str]:
        decided = self.feed(ContainerSaid(self.id(name), m.StartFailed("no module"), b"exception"))
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
        return self.answers(name, m.GaveBack(delivery, position))

    def answers(self, name: str, message: m.Message, payload: bytes = b"") -> list[str]:
        return self.feed(ContainerSaid(self.id(name), message, payload))

    def exits(self, name: str, reason: str = "killed by signal 9") -> list[str]:
        return self.feed(ContainerExited(self.id(name), reason))

    def deliveries(self, name: str) -> dict[int, int]:
        """Return the deliveries that a container has, and how many inputs each had."""
        held = self.engine.ledger.containers[self.id(name)].deliveries
        return {number: sum(part.count for part in delivery.parts) for number, delivery in held.items()}

    def id(self, name: str) -> str:
        return next(container_id for container_id, known in self._names.items() if known == name)

    # ------------------------------------------------------------ what was decided, in words

    def _carry(self, effects: Iterable[Effect]) -> list[str]:
        return [line for effect in effects if (line := self._line(effect))]

    def _line(self, effect: Effect) -> str:
        match effect:
            case StartContainer():
                name = self._names[effect.container_id] = f"c{len(self._names) + 1}"
                return f"start {name}" + (f" on {', '.join(effect.gpus)}" if effect.gpus else "")
            case KillContainer():
                return f"kill {self._names[effect.container_id]}: {effect.reason}"
            case Order():
                return self._order(self._names[effect.container_id], effect.message)
            case Tell():
                return self._told(effect)
            case Persist():
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
            case Remark():
                return f"remark on {effect.function_name}: {effect.text}"
            case DropBlobs():
                return "drop blobs of " + ", ".join(f"{call_id}[{index}]" for call_id, index in effect.inputs)
            case LookAtNodes():
                return "look at the nodes"
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
                return f"record {record.failures} failures and {record.crashes} crashes of {record.call_id}[{record.index}]"
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
                how = ", retired" * record.is_retired + ", pinned" * record.is_pinned
                return f"record function {record.spec.name} at version {record.version}{how}"
            case _:
                return f"record {type(record).__name__}"

    @staticmethod
    def _order(name: str, message: m.Message) -> str:
        match message:
            case m.Deliver():
                what = ", ".join(span(*part) for part in message.parts)
                mode = "" if message.mode == "serial" else f" ({message.mode})"
                return f"deliver #{message.delivery} to {name}: {what}{mode}"
            case m.Cancel():
                return f"cancel #{message.delivery}{message.positions} in {name}"
            case m.Reclaim():
                return f"reclaim #{message.delivery} from {name}"
            case m.Drain():
                return f"drain {name}"
            case m.ItemsTaken():
                return f"{message.count} items of #{message.delivery}[{message.position}] taken, to {name}"
            case _:
                return type(message).__name__

    @staticmethod
    def _told(effect: Tell) -> str:
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
            case message:
                return f"tell {effect.client}: {type(message).__name__}"


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
