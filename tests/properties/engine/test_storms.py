"""Spawned calls in a storm: the store answers late, containers die, versions and servers follow each other.

The books balance after every event, and in the end each input that was accepted has one result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

import pytest

from swell.config import Settings
from swell.engine.engine import Engine
from swell.engine.events import (
    CallLoaded,
    CallsLoaded,
    ClientGone,
    ClientMessage,
    ContainerExited,
    ContainerMessage,
    DeploymentRead,
    Effect,
    Event,
    LoadCall,
    LoadCalls,
    LoadSpans,
    NodesObserved,
    NodeView,
    Persist,
    ReadDeployment,
    ReadTrace,
    SendRecorded,
    SendToClient,
    ShutdownRequested,
    SpansLoaded,
    StateRestored,
    StoreTroubled,
    TraceRead,
)
from swell.model import (
    Batching,
    CallKind,
    Concurrency,
    Environment,
    FunctionSpec,
    Node,
    OutputStatus,
    RetryPolicy,
    Source,
    Strategy,
)
from swell.records import StoredCall, StoredOutput
from swell.store.memory.store import MemoryStore
from swell.wire import apps as a
from swell.wire import messages as m
from swell.wire.queries import AskStory, InspectCall

SETTINGS = Settings(
    backlog_inputs_max=4,
    backlog_calls_max=3,
    backlog_bytes_max=1_024,
    pending_async_max=60,
    poison_crashes_max=3,
    exit_grace_s=2.0,
    timezone="UTC",
)
ENVIRONMENT = Environment("/py", "/", ())
SOURCE = Source("m", "f")
NODES = NodesObserved([NodeView(Node("n", 64, 1 << 40))])
FUNCTIONS = [
    FunctionSpec("f", SOURCE, retry=RetryPolicy(2)),
    FunctionSpec("g", SOURCE, is_async=True, concurrency=Concurrency(3, 2)),
    FunctionSpec("h", SOURCE, batching=Batching(3, 10)),
]


class Storm:
    """One store, and the servers that follow each other on it."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 1.0
        self.lives = 0
        self.accepted: dict[str, int] = {}  #: inputs of each call that a client was told are accepted
        self.told: dict[tuple[str, int], set[int]] = {}  #: what clients heard of each input: statuses
        self._soon: list[Callable[[], None]] = []
        self._store = MemoryStore(self._soon.append)
        self._unread: deque[Event] = deque()
        self._calls = 0
        self.restart()
        self.deploy(*FUNCTIONS)

    # ------------------------------------------------------------ the engine and its store

    def restart(self) -> None:
        """Kill the server, and have another go on with what it has written."""
        self.lives += 1
        self.engine = Engine(SETTINGS, str(self.lives))
        self._unread.clear()
        self.feed(StateRestored(self._store.restore()))
        self.feed(NODES)

    def feed(self, event: Event) -> None:
        self._carry_out(self.engine.handle(event, self.now))
        for _ in range(50):
            if self.engine.next_deadline() > self.now:
                return
            self._carry_out(self.engine.tick(self.now))
        raise AssertionError("it wants to be woken for ever")

    def _carry_out(self, effects: Iterable[Effect]) -> None:
        self.engine.validate()
        for effect in effects:
            match effect:
                case Persist():
                    self._store.append(effect.record)
                case SendToClient(message=m.Accepted() as told):
                    self.accepted[told.call_id] = max(told.upto, self.accepted.get(told.call_id, 0))
                case SendToClient(message=m.Outputs() as told):
                    self._hear(told)
                case SendRecorded(_, call_id, first, last):
                    for output in self.results(call_id, first, last):
                        self.told.setdefault((call_id, output.index), set()).add(int(output.status))
                case _:
                    self._ask(effect)
            for answer in self._soon:
                answer()
            self._soon.clear()

    def _hear(self, told: m.Outputs) -> None:
        failures = dict(told.failures)
        indexes = [index for first, count in told.parts for index in range(first, first + count)]
        for i, index in enumerate(indexes):
            self.told.setdefault((told.call_id, index), set()).add(failures.get(i, int(OutputStatus.SUCCESS)))

    def _ask(self, effect: Effect) -> None:
        store, heard = self._store, self._unread.append
        match effect:
            case LoadCall(call_id, window):
                store.load_call(call_id, window, lambda found: heard(CallLoaded(call_id, found)))
            case LoadCalls(function_id, after, calls_max, window):
                store.load_calls(
                    function_id, after, calls_max, window, lambda calls: heard(CallsLoaded(function_id, calls))
                )
            case LoadSpans(call_id, first, window):
                store.load_spans(call_id, first, window, lambda spans: heard(SpansLoaded(spans)))
            case ReadDeployment(app_id, version):
                store.read_deployment(app_id, version, lambda found: heard(DeploymentRead(app_id, version, found)))
            case ReadTrace(client, request, call, index):
                store.read_trace(
                    call.call_id, index, lambda trace: heard(TraceRead(client, request, call, index, trace))
                )
            case _:
                pass

    def read(self) -> bool:
        """Have the engine hear one answer of the store; False if there is none."""
        if not self._unread:
            return False
        self.feed(self._unread.popleft())
        return True

    # ------------------------------------------------------------ what happens

    def deploy(self, *functions: FunctionSpec) -> None:
        strategy = self.random.choice(list(Strategy))
        self.say(
            a.DeployApp(
                request=1,
                app_id="ap-1",
                name="shop",
                environment=ENVIRONMENT,
                functions=list(functions),
                strategy=strategy,
                tag=f"v{self.now:g}",
            )
        )

    def say(self, message: m.Message, payload: bytes = b"") -> None:
        self.feed(ClientMessage(self.random.choice((1, 1, 1, 2)), message, payload))

    def spawn(self) -> None:
        pools = list(self.engine.state.pools.values())
        if not pools:
            return
        self._calls += 1
        count, size = self.random.choice((0, 1, 1, 2, 6)), self.random.choice((1, 1, 200))
        ends = [size * (i + 1) for i in range(count)]
        sealed = self.random.random() < 0.6
        pool = self.random.choice(pools)
        resent = self.random.random() < 0.2
        call = m.OpenCall(
            call_id=f"fc-{self._calls}",
            function_id=pool.id,
            method="",
            kind=CallKind.SPAWN,
            ends=ends,
            sealed=sealed,
            blobs=[],
            parent="",
            resent=resent,
        )
        self.say(call, b"x" * size * count)

    def put(self) -> None:
        calls = [call for call in self.engine.state.calls.values() if not call.sealed]
        if calls:
            call, count = self.random.choice(calls), self.random.choice((0, 1, 3))
            put = m.PutInputs(call.id, call.accepted, list(range(1, count + 1)), self.random.random() < 0.3)
            self.feed(ClientMessage(call.client, put, b"x" * count))

    def ask(self) -> None:
        call_id = f"fc-{self.random.randint(1, self._calls + 1)}"
        self.say(
            self.random.choice(
                (
                    m.Watch(2, call_id, 0, 3),
                    m.Unwatch(2, call_id),
                    m.DescribeCall(2, call_id),
                    InspectCall(2, call_id),
                    AskStory(2, f"in-{call_id[3:]}:1"),
                    AskStory(2, "shop.f"),
                )
            )
        )

    def work(self, *, well: bool = False) -> bool:
        """Have one container do what it can do next; False if there is nothing to be done."""
        containers = list(self.engine.state.containers.values())
        busy = [c for c in containers if c.deliveries or c.is_leaving or c.is_killed or c.ready_at is None]
        if not busy:
            return False
        container, luck = self.random.choice(busy), 1.0 if well else self.random.random()
        if container.is_killed or luck < 0.05 or (container.is_leaving and not container.deliveries):
            self.feed(ContainerExited(container.id, "killed by signal 9"))
        elif container.ready_at is None:
            self.feed(ContainerMessage(container.id, m.Ready(1, 0.0)))
        else:
            delivery = self.random.choice(list(container.deliveries.values()))
            position = min(delivery.open) if delivery.mode == "serial" else self.random.choice(sorted(delivery.open))
            failures = [(0, int(OutputStatus.FAILURE))] if luck < 0.2 else []
            done = m.Completed([(delivery.id, position, 1)], [1], failures, [], 0.01)
            self.feed(ContainerMessage(container.id, done, b"r"))
        return True

    def blow(self) -> None:
        """Have something happen."""
        self.now += self.random.choice((0.0, 0.0, 0.01, 1.0, 1.0, 20.0))
        what = self.random.random()
        if what < 0.3:
            self.read()
        elif what < 0.6:
            self.work()
        elif what < 0.75:
            self.spawn()
        elif what < 0.82:
            self.put()
        elif what < 0.90:
            self.ask()
        elif what < 0.94:
            self.say(m.CancelCall(f"fc-{self.random.randint(1, self._calls + 1)}", self.random.random() < 0.3))
        elif what < 0.96:
            self.deploy(*self.random.sample(FUNCTIONS, self.random.choice((2, 3, 3))))
        elif what < 0.97:
            self.say(a.RedeployApp(3, "shop", is_rollover=self.random.random() < 0.5))
        elif what < 0.975:
            self.feed(StoreTroubled(self.random.choice(("", "it is full"))))
        elif what < 0.98:
            self.feed(ClientGone(self.random.choice((1, 2))))
        elif what < 0.985:
            self.feed(ShutdownRequested("bye"))
        else:
            self.restart()

    def subside(self) -> None:
        """Let everything come to its end: one server, no faults, nobody who feeds a call any more."""
        self.restart()
        self.feed(StoreTroubled(""))
        for _ in range(20_000):
            if not (self.read() or self.work(well=True)):
                if self.engine.next_deadline() > self.now + 1e6 or not self.engine.state.calls:
                    return
                self.now = max(self.now, self.engine.next_deadline())
                self._carry_out(self.engine.tick(self.now))
        raise AssertionError("it never comes to an end")

    # ------------------------------------------------------------ what the store has in the end

    def stored(self, call_id: str) -> StoredCall | None:
        return self._asked(lambda then: self._store.read_call(call_id, then))

    def results(self, call_id: str, first: int, last: int) -> list[StoredOutput]:
        return self._asked(lambda then: self._store.read_outputs(call_id, first, last, then))

    def _asked(self, ask: Callable[[Callable[[Any], None]], None]) -> Any:
        before, found = len(self._soon), list[Any]()
        ask(found.append)
        self._soon.pop(before)()
        return found[0]


@pytest.mark.parametrize("first", range(0, 16, 8))
def test_every_accepted_input_gets_one_result_whatever_happens(first: int) -> None:
    for seed in range(first, first + 8):
        storm = Storm(seed)
        for _ in range(150):
            storm.blow()
        storm.subside()
        assert not storm.engine.state.calls, f"seed {seed}: calls that never end"
        assert all(pool.is_empty for pool in storm.engine.state.pools.values())
        for call_id, count in storm.accepted.items():
            call = storm.stored(call_id)
            assert call is not None, f"seed {seed}: {call_id} was accepted, and is not known"
            assert call.accepted >= count, f"seed {seed}: of {call_id} only {call.accepted} of {count} inputs are kept"
            assert call.ended_at is not None, f"seed {seed}: {call_id} never ended"
            results = storm.results(call_id, 0, call.accepted)
            assert [output.index for output in results] == list(range(call.accepted)), f"seed {seed}: {call_id}"
            for output in results:
                heard = storm.told.get((call_id, output.index), {int(output.status)})
                assert heard == {int(output.status)}, f"seed {seed}: of {call_id}[{output.index}] was told {heard}"
