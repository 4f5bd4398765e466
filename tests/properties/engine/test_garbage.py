"""Whatever clients and containers say, in whatever order: the engine lives on, and its books balance."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, get_args

import pytest

from swell.config import Settings
from swell.engine.engine import Engine
from swell.engine.events import (
    ClientGone,
    ClientMessage,
    ContainerExited,
    ContainerMessage,
    Event,
    NodesObserved,
    NodeView,
)
from swell.model import (
    AutoscalerChange,
    AutoscalerSettings,
    Batching,
    CallKind,
    Concurrency,
    Environment,
    FunctionSpec,
    Gpu,
    GpuRequest,
    Node,
    Provenance,
    Resources,
    RetryPolicy,
    Source,
    Strategy,
)
from swell.wire import messages as m
from swell.wire.leases import DirectReport

ENVIRONMENT = Environment("/py", "/", ())
SOURCE = Source("m", "f")
NAN = float("nan")


class Babble:
    """Draws messages to the server: right types, any values, and names that are often of something that exists."""

    def __init__(self, seed: int, engine: Engine) -> None:
        self.random = Random(seed)
        self._engine = engine

    def number(self) -> int:
        return self.random.choice((-3, -1, 0, 0, 1, 1, 2, 3, 5, 2**31))

    def numbers(self) -> list[int]:
        count = self.random.randint(0, 5)
        return list(range(1, count + 1)) if self.random.random() < 0.7 else [self.number() for _ in range(count)]

    def seconds(self) -> float:
        return self.random.choice((0.0, 0.1, 1.0, 60.0, -1.0, NAN, float("inf")))

    def spec(self) -> FunctionSpec:
        maybe = self.random.random
        odd = maybe() < 0.5
        return FunctionSpec(
            self.random.choice("fgh"),
            SOURCE,
            is_async=maybe() < 0.5,
            is_generator=maybe() < 0.2,
            autoscaler=self.settings() if maybe() < 0.5 else AutoscalerSettings(),
            concurrency=Concurrency(self.number(), self.number()) if odd else Concurrency(),
            batching=Batching(self.number(), self.number()) if maybe() < 0.3 else None,
            retry=RetryPolicy(self.number(), self.seconds(), self.seconds(), self.seconds()) if odd else None,
            timeout_s=self.seconds() if maybe() < 0.3 else 300.0,
            startup_timeout_s=self.seconds() if maybe() < 0.3 else 300.0,
            resources=Resources(self.seconds(), self.number(), (GpuRequest("L4", self.number()),))
            if odd
            else Resources(),
            single_use=maybe() < 0.2,
        )

    def settings(self) -> AutoscalerSettings:
        return AutoscalerSettings(*(self.random.choice((None, self.number())) for _ in range(4)))

    def field(self, name: str) -> Any:
        state, pick = self._engine.state, self.random.choice
        draw: dict[str, Callable[[], Any]] = {
            "about": lambda: pick([*state.calls, *state.containers, *state.pools, "in-1:0", "app.f", ""]),
            "app": lambda: pick([*state.apps, *state.app_names, "none"]),
            "app_id": lambda: pick([*state.apps, "ap-new"]),
            "blobs": self.numbers,
            "busy_s": self.seconds,
            "call_id": lambda: pick([*state.calls, "fc-new", f"fc-{self.random.random()}"]),
            "changes": lambda: pick((b"", b"\x80", b"\x81\xa9timeout_s\x05", b"\x81\xa5batch\x01", b"\xff")),
            "change": lambda: AutoscalerChange(*(pick((None, self.number())) for _ in range(4))),
            "container_id": lambda: pick([*state.containers, "ta-none"]),
            "count": self.number,
            "create_as": lambda: pick(("", f"ap-{self.random.random()}")),
            "delivery": lambda: pick([*(d for c in state.containers.values() for d in c.deliveries), 0, 77]),
            "detach": lambda: self.random.random() < 0.5,
            "ends": self.numbers,
            "environment": lambda: ENVIRONMENT,
            "failures": lambda: [(self.number(), self.number()) for _ in range(pick((0, 0, 1, 3)))],
            "function_id": lambda: pick([*state.pools, "fu-unknown"]),
            "graceful": lambda: self.random.random() < 0.5,
            "is_rollover": lambda: self.random.random() < 0.3,
            "functions": lambda: [self.spec() for _ in range(pick((0, 1, 3)))],
            "kind": lambda: pick(list(CallKind)),
            "lease": lambda: pick([*state.call_leases.by_id, *state.call_leases.ends, "le-none"]),
            "method": lambda: pick(("", "a")),
            "provenance": Provenance,
            "parts": lambda: [
                (self.field("delivery"), self.number(), self.number()) for _ in range(pick((0, 1, 1, 2)))
            ],
            "resent": lambda: self.random.random() < 0.2,
            "sealed": lambda: self.random.random() < 0.7,
            "slots": self.number,
            "spec": self.spec,
            "startup_s": self.seconds,
            "strategy": lambda: pick(list(Strategy)),
            "tags": lambda: {"a": "b"},
            "trace": lambda: pick(({}, {"traceparent": "00-1-2-01"}, {"baggage": "x" * 10_000})),
            "terminate_containers": lambda: self.random.random() < 0.5,
            "wants_lease": lambda: self.random.random() < 0.5,
            "watch": lambda: True,
        }
        texts = {"tag", "name", "parent", "reason", "role", "text", "token"}
        return "text" if name in texts else draw.get(name, self.number)()

    def message(self) -> tuple[m.Message, bytes]:
        kind = self.random.choice(get_args(m.ToServer))
        if kind is DirectReport:
            return self.report(), b""
        message = kind(**{name: self.field(name) for name in kind.__struct_fields__})
        ends = getattr(message, "ends", None)
        fits = ends and 0 <= ends[-1] < 100 and self.random.random() < 0.9
        return message, b"x" * (ends[-1] if fits else self.random.randint(0, 3))

    def report(self) -> DirectReport:
        """What a container says of direct calls; its lists are mostly as long as each other."""
        count, pick = self.random.choice((0, 1, 1, 2, 5)), self.random.choice
        odd = count + 1 if self.random.random() < 0.1 else count
        times = [pick((0.0, 0.1, 1.0, 60.0, 1e12)) for _ in range(odd)]
        return DirectReport(
            self.field("lease"),
            [self.field("call_id") for _ in range(count)],
            times,
            times[::-1],
            failures=[(pick((0, 1, 4)), pick((0, 1, 2, 99))) for _ in range(pick((0, 0, 1, 2)))],
            parents=[self.field("call_id") for _ in range(pick((0, count)))],
        )

    def event(self) -> Event:
        container_id = self.random.choice([*self._engine.state.containers, "ta-gone"])
        client = self.random.choice((1, 1, 1, 2))
        what = self.random.random()
        if what < 0.45:
            return ClientMessage(client, *self.message())
        if what < 0.9:
            return ContainerMessage(container_id, *self.message())
        return ContainerExited(container_id, "gone") if what < 0.97 else ClientGone(client)


def opened() -> Engine:
    """An engine with a node, and an app of four functions, half of whose first containers are ready."""
    engine = Engine(Settings(pending_sync_max=20, poison_crashes_max=2, start_failures_max=2, call_leases=True))
    engine.handle(NodesObserved([NodeView(Node("n", 64, 1 << 40, (Gpu("g", "L4"),)))]), 0.0)
    functions = [
        FunctionSpec("f", SOURCE, retry=RetryPolicy(1)),
        FunctionSpec("g", SOURCE, is_async=True, concurrency=Concurrency(3, 2)),
        FunctionSpec("h", SOURCE, batching=Batching(2, 10), concurrency=Concurrency(2, 2)),
        FunctionSpec("i", SOURCE, is_generator=True, single_use=True),
    ]
    engine.handle(
        ClientMessage(
            1,
            m.OpenApp(request=1, app_id="ap-1", name="app", environment=ENVIRONMENT, functions=functions, detach=True),
        ),
        0.0,
    )
    for number, function_id in enumerate(engine.state.pools):
        call = m.OpenCall(
            call_id=f"fc-{number}", function_id=function_id, method="", kind=CallKind.MAP, ends=[1, 2, 3], sealed=False
        )
        engine.handle(ClientMessage(1, call, b"abc"), 0.0)
    for container_id in list(engine.state.containers)[::2]:
        engine.handle(ContainerMessage(container_id, m.Ready(1, 0.0, takes_calls=True)), 0.1)
    engine.validate()
    return engine


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_anything_from_anybody_at_any_time(first: int) -> None:
    for seed in range(first, first + 20):
        engine, now = opened(), 0.1
        babble = Babble(seed, engine)
        for _ in range(60):
            now += babble.random.choice((0.0, 0.0, 0.01, 1.0, 1.0, 400.0))
            engine.handle(babble.event(), now)
            engine.validate()
            for _ in range(50):
                if engine.next_deadline() > now:
                    break
                engine.tick(now)
                engine.validate()
            assert engine.next_deadline() > now, "it wants to be woken for ever"
