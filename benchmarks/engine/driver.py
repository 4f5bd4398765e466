"""An engine, and around it containers and clients that answer at once. It must not know what is measured, or why."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, ClassVar

from swell.config import Settings
from swell.engine.engine import Engine
from swell.engine.events import (
    CallsLoaded,
    ClientMessage,
    ContainerExited,
    ContainerMessage,
    Effect,
    Event,
    KillContainer,
    LoadCalls,
    LoadSpans,
    NodesObserved,
    NodeView,
    Persist,
    PollNodes,
    SendToClient,
    SendToContainer,
    SpansLoaded,
    StartContainer,
)
from swell.model import (
    AutoscalerChange,
    AutoscalerSettings,
    CallKind,
    DeliveryMode,
    Environment,
    FunctionSpec,
    Gpu,
    Node,
    OutputStatus,
    Source,
)
from swell.store.memory.store import MemoryStore
from swell.wire import messages as m

ENVIRONMENT = Environment("/py", "/", ())
PLENTY = 1 << 52
CORES = 1e6  #: of each node: enough not to restrain any start
START_S = 0.05  #: how long containers take to start, where it matters
TIMEOUT_S = 300.0  #: of starts and of inputs, in functions that do not say otherwise
SPAN = 10_000  #: inputs in one message
SETTINGS = frozenset(AutoscalerSettings.__struct_fields__)
TICKS_MAX = 1_000_000  #: at one moment; more means that the engine asks to be woken for nothing


class Held:
    """A delivery in a container, and how many of its inputs have been answered."""

    __slots__ = ("answered", "count", "id", "mode")

    def __init__(self, message: m.Deliver) -> None:
        self.id = message.delivery
        self.mode = message.mode
        self.count = sum(part[2] for part in message.parts)
        self.answered = 0


class Driver:
    """Feeds one engine. Steps are measured while `measured` is True."""

    def __init__(self, *, nodes: int = 1, gpus: int = 0, keeps: bool = False, **settings: Any) -> None:
        limits = {"containers_max": PLENTY, "pending_sync_max": PLENTY, "total_sync_max": PLENTY}
        self.engine = Engine(Settings(**{"timezone": "UTC", "pending_async_max": PLENTY} | limits | settings))
        self.now = 0.0
        self.measured = False
        self.steps = 0  #: that are measured
        self.steps_s: list[float] = []  #: CPU time of each measured step
        self.cpu_s = 0.0  #: of everything, measured or not
        self.requested: deque[tuple[str, str]] = deque()  #: (container, function): asked for, and not checked in
        self.held: dict[str, deque[Held]] = {}  #: what containers have been given, by container
        self.delivered: deque[str] = deque(maxlen=1_000_000)  #: containers, as they were given inputs
        self.told_to_leave: deque[str] = deque()
        self.killed: deque[str] = deque()
        self.cancelled: deque[tuple[str, m.Cancel]] = deque()
        self.reclaimed: deque[tuple[str, int]] = deque()
        self.functions: dict[str, str] = {}  #: ids by name, of the app that was opened last
        self.sent: deque[m.Message] = deque(maxlen=100)  #: to clients
        cards = tuple(Gpu(f"gpu-{i}", "H100") for i in range(gpus))
        self._nodes = [NodeView(Node(f"node-{i:05}", CORES, PLENTY, cards)) for i in range(nodes)]
        self._is_polled = False
        self._ids = itertools.count(1)
        self._upto: dict[str, int] = {}  #: inputs sent, by call
        self._store = MemoryStore(lambda answer: self._soon.append(answer)) if keeps else None
        self._soon: list[Callable[[], None]] = []
        self.observe()

    # ------------------------------------------------------------ steps

    def feed(self, event: Event) -> list[Effect]:
        """Have the engine handle an event, and take in what it decides."""
        self.steps += self.measured
        effects = self.take_step(lambda: self.engine.handle(event, self.now))
        self._carry(effects)
        return effects

    def tick(self) -> list[Effect]:
        """Tick the engine once."""
        self.steps += self.measured
        effects = self.take_step(lambda: self.engine.tick(self.now))
        self._carry(effects)
        return effects

    def take_step(self, step: Callable[[], list[Effect]]) -> list[Effect]:
        """Have the engine do something, and note what it costs: CPU time, unless a subclass measures otherwise."""
        began = time.process_time()
        effects = step()
        took = time.process_time() - began
        self.cpu_s += took
        if self.measured:
            self.steps_s.append(took)
        return effects

    def pass_time(self, seconds: float = 0.0) -> None:
        """Let time pass; tick when the engine asks for it, and let it see the nodes when it wants to."""
        self.until(self.now + seconds)

    def until(self, at: float) -> None:
        """Let time pass up to a moment."""
        for _ in range(TICKS_MAX):
            due = self.engine.next_deadline()
            if due > at:
                self.now = max(self.now, at)
                return
            self.now = max(self.now, due)
            self.tick()
        raise AssertionError(f"the engine wants to be woken for ever at {self.now}")

    def observe(self) -> None:
        """Let the engine see the nodes, idle as they are."""
        self._is_polled = False
        self.feed(NodesObserved(self.look()))

    def look(self) -> list[NodeView]:
        """Return what is seen of the nodes."""
        return self._nodes

    # ------------------------------------------------------------ what the engine decides

    def _carry(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            carry = self._CARRY.get(type(effect))
            if carry is not None:
                carry(self, effect)
        if self._is_polled:
            self.observe()
        while self._soon:
            self._soon.pop()()

    def _start(self, effect: StartContainer) -> None:
        self.requested.append((effect.container_id, effect.function_id))

    def _kill(self, effect: KillContainer) -> None:
        self.killed.append(effect.container_id)

    def _to_container(self, effect: SendToContainer) -> None:
        message = effect.message
        if isinstance(message, m.Deliver):
            self.held[effect.container_id].append(Held(message))
            self.delivered.append(effect.container_id)
        elif isinstance(message, m.Drain | m.Interrupt):
            self.told_to_leave.append(effect.container_id)
        elif isinstance(message, m.Cancel):
            self.cancelled.append((effect.container_id, message))
        elif isinstance(message, m.Reclaim):
            self.reclaimed.append((effect.container_id, message.delivery))

    def _to_client(self, effect: SendToClient) -> None:
        message = effect.message
        if isinstance(message, m.AppOpened):
            self.functions = message.function_ids
        assert not isinstance(message, m.Refused | m.Failed), message.text
        self.sent.append(message)

    def _poll(self, effect: PollNodes) -> None:
        self._is_polled = True

    def _persist(self, effect: Persist) -> None:
        if self._store is not None:
            self._store.append(effect.record)

    def _load(self, effect: LoadCalls | LoadSpans) -> None:
        assert self._store is not None, "this world keeps nothing"
        if isinstance(effect, LoadSpans):
            self._store.load_spans(effect.call_id, effect.first, effect.window, lambda s: self.feed(SpansLoaded(s)))
        else:
            loaded = partial(CallsLoaded, effect.function_id)
            store, after, most = self._store, effect.after, effect.calls_max
            store.load_calls(effect.function_id, after, most, effect.window, lambda calls: self.feed(loaded(calls)))

    _CARRY: ClassVar[dict[type[Effect], Callable[[Driver, Any], None]]] = {
        StartContainer: _start,
        KillContainer: _kill,
        SendToContainer: _to_container,
        SendToClient: _to_client,
        PollNodes: _poll,
        Persist: _persist,
        LoadCalls: _load,
        LoadSpans: _load,
    }

    # ------------------------------------------------------------ clients

    def say(self, message: m.Message, payload: bytes = b"", *, client: int = 1) -> list[Effect]:
        """Send a message of a client."""
        return self.feed(ClientMessage(client, message, payload))

    def open_app(self, *specs: FunctionSpec, app: str = "ap", client: int = 1) -> dict[str, str]:
        """Open an app; return the ids of its functions by name."""
        self.say(m.OpenApp(1, app, app, ENVIRONMENT, list(specs)), client=client)
        return self.functions

    def open(self, *, client: int = 1, app: str = "ap", **options: Any) -> str:
        """Open an app with one function; return that one's id."""
        return self.open_app(function("f", **options), app=app, client=client)["f"]

    def call(
        self,
        function_id: str,
        count: int = 1,
        *,
        kind: CallKind = CallKind.REMOTE,
        sealed: bool = True,
        method: str = "",
        client: int = 1,
    ) -> str:
        """Open a call; return its id."""
        call_id = f"fc-{next(self._ids)}"
        self._upto[call_id] = count
        ends = [0] if kind is CallKind.WEB else list(range(1, count + 1))
        self.say(
            m.OpenCall(call_id, function_id, method, kind, ends, sealed), b"x" * max(ends, default=0), client=client
        )
        return call_id

    def put(self, call_id: str, count: int = SPAN) -> None:
        """Send more inputs of a call, as one span."""
        first = self._upto[call_id]
        self._upto[call_id] += count
        self.say(m.PutInputs(call_id, first, list(range(1, count + 1)), sealed=False), b"x" * count)

    def resize(self, function_id: str, **change: int | None) -> list[Effect]:
        """Change a function's autoscaler settings."""
        return self.say(m.UpdateAutoscaler(8, function_id, AutoscalerChange(**change)))

    # ------------------------------------------------------------ containers

    def start(self, *, after_s: float = 0.0) -> list[str]:
        """Have all containers check in that are asked for, after so many seconds; return them."""
        self.pass_time(after_s)
        started: list[str] = []
        while self.requested:
            started.append(self.check_in())
            if not self.requested:
                self.pass_time()
        return started

    def start_fleet(self) -> list[str]:
        """Have all containers check in that are asked for, and let pass when their start, or an input, may not last.

        A deadline that nothing waits for any more is looked at once, which is not what a row is about. Returns them.
        """
        started = self.start(after_s=START_S)
        self.pass_time(TIMEOUT_S)
        return started

    def idle_one_by_one(self, count: int) -> str:
        """Start so many containers and let each have nothing to do since 10 ms after the one before; no floor is left.

        Returns the function.
        """
        pool = self.open(min_containers=count, scaledown_window=3_600)
        self.start()
        for _ in range(count):
            self.call(pool)
        while self.delivered:
            self.pass_time(0.01)
            self.complete(self.delivered.popleft())
        self.pass_time(TIMEOUT_S)
        self.resize(pool, min_containers=0)
        return pool

    def check_in(self) -> str:
        """Have the container check in that was asked for first; return it."""
        container_id, _ = self.requested.popleft()
        self.held[container_id] = deque()
        self.feed(ContainerMessage(container_id, m.Ready(1, 0.1)))
        return container_id

    def complete(self, container_id: str, most: int = 1, *, busy_s: float = 0.001) -> int:
        """Have a container report inputs of the delivery it got first, `busy_s` each; return how many."""
        held = self.held[container_id]
        first = held[0]
        at = first.answered
        count = first.count if first.mode is DeliveryMode.BATCH else min(most, first.count - at)
        first.answered += count
        if first.answered == first.count:
            held.popleft()
        elif first.mode is DeliveryMode.PARALLEL:
            held.rotate(-1)
        spent = busy_s if first.mode is DeliveryMode.BATCH else busy_s * count
        message = m.Completed([(first.id, at, count)], list(range(1, count + 1)), busy_s=spent)
        self.feed(ContainerMessage(container_id, message, b"y" * count))
        return count

    def answer_cancelled(self) -> str:
        """Have the container that was asked first stop what it was asked to stop; return it."""
        container_id, message = self.cancelled.popleft()
        count = len(message.positions)
        self.held[container_id] = deque(held for held in self.held[container_id] if held.id != message.delivery)
        failures = [(i, int(OutputStatus.TERMINATED)) for i in range(count)]
        parts = [(message.delivery, position, 1) for position in message.positions]
        self.feed(ContainerMessage(container_id, m.Completed(parts, [0] * count, failures)))
        return container_id

    def give_back(self) -> None:
        """Have containers give back what they were asked for and have not begun."""
        while self.reclaimed:
            container_id, delivery = self.reclaimed.popleft()
            held = self.held.get(container_id, deque())
            for each in held:
                if each.id == delivery:
                    begun = each.answered + (each is held[0])
                    each.count = min(each.count, begun)
                    self.feed(ContainerMessage(container_id, m.Returned(delivery, begun)))
            self.held[container_id] = deque(each for each in held if each.answered < each.count)

    def report(self, container_id: str, message: m.Message) -> list[Effect]:
        """Have a container send something else."""
        return self.feed(ContainerMessage(container_id, message))

    def exits(self, container_id: str, reason: str = "killed by signal 9") -> list[Effect]:
        """Have a container end."""
        self.held.pop(container_id, None)
        return self.feed(ContainerExited(container_id, reason))


def function(name: str, **options: Any) -> FunctionSpec:
    """Return a function with fields of FunctionSpec, and those of AutoscalerSettings beside them."""
    autoscaler = AutoscalerSettings(**{key: options.pop(key) for key in list(options) if key in SETTINGS})
    return FunctionSpec(name, Source("m", name), autoscaler=autoscaler, **options)
