"""Slots of containers that run several inputs at once: which the engine uses, and how what comes back is queued."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest

from swell.config import Settings
from swell.engine.engine import Engine
from swell.engine.events import (
    ClientMessage,
    ContainerExited,
    ContainerMessage,
    Effect,
    Event,
    KillContainer,
    NodesObserved,
    NodeView,
    SendToContainer,
    StartContainer,
)
from swell.engine.rules.dispatch import START_PATIENCE_S
from swell.model import (
    AutoscalerSettings,
    Batching,
    CallKind,
    ClassSpec,
    Concurrency,
    Environment,
    FunctionSpec,
    MethodSpec,
    Node,
    OutputStatus,
    Source,
)
from swell.wire import messages as m

E = TypeVar("E")


class Pool:
    """One function on an engine, whose containers do what the test says."""

    def __init__(self, *, cores: float = 64, **spec: Any) -> None:
        self.engine = Engine(Settings())
        self.now = 1_000.0
        self.effects: list[Effect] = []
        self._calls = 0
        self.feed(NodesObserved([NodeView(Node("n", cpu=cores, memory_bytes=1 << 40), 0.0)]))
        function = FunctionSpec("f", Source("module", "f"), **spec)
        self.feed(ClientMessage(1, m.OpenApp(1, "ap-1", "app", Environment("python", "/", ()), [function])))
        (self.function_id,) = self.engine.state.pools

    def feed(self, event: Event) -> None:
        self.effects += self.engine.handle(event, self.now)
        self.engine.validate()

    def wait(self, seconds: float) -> None:
        """Let time pass, and the engine be ticked when it wants to be."""
        end = self.now + seconds
        while (due := self.engine.next_deadline()) <= end:
            self.now = max(self.now, due)
            self.effects += self.engine.tick(self.now)
            self.engine.validate()
        self.now = end

    def call(self, count: int = 1, method: str = "") -> str:
        self._calls += 1
        call_id = f"fc-{self._calls}"
        ends = list(range(1, count + 1))
        message = m.OpenCall(call_id, self.function_id, method, CallKind.MAP, ends, sealed=True)
        self.feed(ClientMessage(1, message, b"x" * count))
        return call_id

    def ready(self, number: int) -> str:
        """Let the container that was asked for as the `number`-th check in; return its id."""
        container_id = self.all(StartContainer)[number].container_id
        self.feed(ContainerMessage(container_id, m.Ready(1, 0.1)))
        return container_id

    def say(self, container_id: str, message: m.Message, payload: bytes = b"") -> None:
        self.feed(ContainerMessage(container_id, message, payload))

    def all(self, kind: type[E]) -> list[E]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def delivered(self, container_id: str) -> list[m.Deliver]:
        return [
            order.message
            for order in self.all(SendToContainer)
            if order.container_id == container_id and isinstance(order.message, m.Deliver)
        ]

    def held(self, container_id: str) -> int:
        """How many inputs a container has."""
        return self.engine.state.containers[container_id].holds


def concurrent(max_inputs: int, target_inputs: int, max_containers: int | None = None) -> dict[str, Any]:
    return {
        "concurrency": Concurrency(max_inputs, target_inputs),
        "autoscaler": AutoscalerSettings(max_containers=max_containers),
    }


def test_containers_that_start_are_waited_for_before_others_are_filled_beyond_their_target() -> None:
    pool = Pool(**concurrent(8, 2))
    pool.call(6)
    first = pool.ready(0)
    assert pool.held(first) == 2
    assert [pool.held(pool.ready(number)) for number in (1, 2)] == [2, 2]


def test_a_start_that_takes_long_is_not_waited_for() -> None:
    pool = Pool(**concurrent(8, 2))
    pool.call(6)
    first = pool.ready(0)
    pool.wait(START_PATIENCE_S)
    assert pool.held(first) == 6


def test_a_pool_that_is_about_to_grow_is_waited_for_but_not_for_long() -> None:
    pool = Pool(cores=1, **concurrent(8, 2))
    pool.call(12)  # for six containers, of which the node takes four before it was observed again
    ready = [pool.ready(number) for number in range(4)]
    assert [pool.held(each) for each in ready] == [2, 2, 2, 2]
    pool.wait(START_PATIENCE_S)
    assert sum(map(pool.held, ready)) == 12


def test_a_pool_that_cannot_grow_fills_its_containers() -> None:
    pool = Pool(**concurrent(8, 2, max_containers=1))
    pool.call(10)
    assert pool.held(pool.ready(0)) == 8


def test_a_container_may_set_its_own_number_of_slots() -> None:
    pool = Pool(**concurrent(8, 2, max_containers=1))
    pool.call(1)
    container_id = pool.ready(0)
    pool.say(container_id, m.Resize(3))
    pool.call(10)
    assert pool.held(container_id) == 3
    pool.say(container_id, m.Resize(5))
    assert pool.held(container_id) == 5
    pool.say(container_id, m.Resize(1))
    assert pool.held(container_id) == 5  # what runs is not interrupted


@pytest.mark.parametrize("slots", [0, -1, 9])
def test_a_number_of_slots_that_no_container_can_have_costs_it_its_life(slots: int) -> None:
    pool = Pool(**concurrent(8, 2))
    pool.call(1)
    container_id = pool.ready(0)
    pool.say(container_id, m.Resize(slots))
    assert [kill.container_id for kill in pool.all(KillContainer)] == [container_id]


def test_calls_whose_batch_is_lost_come_back_in_their_order() -> None:
    pool = Pool(batching=Batching(max_batch_size=3, wait_ms=0), autoscaler=AutoscalerSettings(max_containers=1))
    calls = [pool.call() for _ in range(3)]
    first = pool.ready(0)
    batches = pool.delivered(first)
    assert [call_id for batch in batches for call_id, _, _ in batch.parts] == calls
    pool.feed(ContainerExited(first, "killed"))
    pool.wait(1.0)
    second = pool.ready(1)
    assert [call_id for batch in pool.delivered(second) for call_id, _, _ in batch.parts] == calls


def test_what_is_queued_in_a_container_is_cancelled_before_what_runs_there() -> None:
    pool = Pool(autoscaler=AutoscalerSettings(max_containers=1))
    pool.call()
    container_id = pool.ready(0)
    (first,) = pool.delivered(container_id)
    pool.say(container_id, m.Completed([(first.delivery, 0, 1)], [1], busy_s=1e-5), b"x")
    call_id = pool.call(200)  # quick work: it is sent ahead
    queued = [delivery.delivery for delivery in pool.delivered(container_id)[1:]]
    assert len(queued) > 1
    pool.feed(ClientMessage(1, m.CancelCall(call_id)))
    cancelled = [order.message.delivery for order in pool.all(SendToContainer) if isinstance(order.message, m.Cancel)]
    assert cancelled == queued[::-1]


def test_a_container_whose_threads_do_not_stop_is_interrupted_then_killed_and_siblings_run_elsewhere() -> None:
    pool = Pool(**concurrent(4, 4, max_containers=1))
    stuck, sibling = pool.call(), pool.call()
    container_id = pool.ready(0)
    pool.feed(ClientMessage(1, m.CancelCall(stuck)))
    pool.wait(Settings().cancel_grace_s)
    assert [order.container_id for order in pool.all(SendToContainer) if isinstance(order.message, m.Interrupt)] == [
        container_id
    ]
    assert not pool.all(KillContainer)
    pool.wait(Settings().exit_grace_s)
    assert [kill.container_id for kill in pool.all(KillContainer)] == [container_id]
    pool.feed(ContainerExited(container_id, "killed"))
    (again,) = pool.delivered(pool.ready(1))
    assert [call_id for call_id, _, _ in again.parts] == [sibling]


def test_a_container_whose_main_thread_does_not_stop_is_killed() -> None:
    pool = Pool()
    stuck = pool.call()
    container_id = pool.ready(0)
    pool.feed(ClientMessage(1, m.CancelCall(stuck)))
    pool.wait(Settings().cancel_grace_s)
    assert [kill.container_id for kill in pool.all(KillContainer)] == [container_id]


def test_a_batch_that_was_stopped_for_one_call_is_run_again_for_the_others() -> None:
    pool = Pool(batching=Batching(max_batch_size=3, wait_ms=0), autoscaler=AutoscalerSettings(max_containers=1))
    calls = [pool.call() for _ in range(3)]
    container_id = pool.ready(0)
    (batch,) = pool.delivered(container_id)
    pool.feed(ClientMessage(1, m.CancelCall(calls[0])))
    terminated = [(position, int(OutputStatus.TERMINATED)) for position in range(3)]
    pool.say(container_id, m.Completed([(batch.delivery, 0, 3)], [0, 0, 0], terminated))
    again = pool.delivered(container_id)[1:]
    assert [call_id for batch in again for call_id, _, _ in batch.parts] == calls[1:]


@pytest.mark.parametrize(("method", "is_killed"), [("plain", True), ("tasked", False)])
def test_only_methods_that_cannot_be_unwound_cost_the_container_when_their_time_is_up(
    method: str, is_killed: bool
) -> None:
    methods = (MethodSpec("plain"), MethodSpec("tasked", is_async=True))
    pool = Pool(cls=ClassSpec(methods), timeout_s=5.0)
    pool.call(method=method)
    container_id = pool.ready(0)
    pool.wait(5.0)
    assert [kill.container_id for kill in pool.all(KillContainer)] == [container_id] * is_killed
