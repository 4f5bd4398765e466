"""What a seed chooses: settings, nodes, functions, calls, and how much goes wrong. No two seeds test the same thing.

Values only, drawn from one `Random`. This module must not know the engine or the world that carries a plan out.
"""

from __future__ import annotations

from random import Random

from swell.config import Settings
from swell.model import (
    AutoscalerChange,
    AutoscalerSettings,
    Batching,
    CallKind,
    ClassSpec,
    Concurrency,
    FunctionSpec,
    Gpu,
    GpuRequest,
    MethodSpec,
    Node,
    Placement,
    Resources,
    RetryPolicy,
)
from swell.sim.client import AppPlan
from swell.sim.scenario import SOURCE, Faults, Scenario
from swell.sim.swarm_nodes import with_node_faults
from swell.sim.work import CallPlan, Mishap, Work

__all__ = ["draw", "draw_app", "draw_call", "draw_change", "draw_function", "draw_steady", "draw_work"]


def draw(seed: int) -> Scenario:
    """Return the scenario of a seed."""
    return with_node_faults(seed, draw_steady(seed))


def draw_steady(seed: int) -> Scenario:
    """Return the scenario of a seed, but with nodes that stay."""
    random = Random(seed)
    faults = _faults(random)
    settings = _settings(random)
    with_gpus = random.random() < 0.3
    nodes = _nodes(random, with_gpus=with_gpus)
    apps = tuple(draw_app(random, number, faults, with_gpus=with_gpus) for number in range(random.choice((1, 1, 2, 3))))
    return Scenario(
        settings=settings,
        nodes=nodes,
        apps=apps,
        faults=faults,
        latency_s=random.choice((0.00002, 0.0001, 0.002)),
        tick_late_s=random.choice((0.0, 0.0, 0.002, 0.05)),
        start_s=random.choice((0.002, 0.05, 1.0)),
        items_ahead_max=random.choice((4, 1_024)),
    )


def _some(random: Random, probability: float, *values: float) -> float:
    return random.choice(values) if random.random() < probability else 0.0


def _faults(random: Random) -> Faults:
    if random.random() < 0.15:
        return Faults()
    return Faults(
        until=random.uniform(1.0, 60.0),
        lost_per_s=_some(random, 0.4, 0.02, 0.3, 3.0),
        start_refused=_some(random, 0.25, 0.1, 0.5),
        start_fails=_some(random, 0.25, 0.1, 0.5, 1.0),
        start_hangs=_some(random, 0.2, 0.1, 0.5),
        start_slow_s=_some(random, 0.3, 0.1, 3.0),
        exit_hangs=_some(random, 0.2, 0.2, 1.0),
        leaves=_some(random, 0.2, 0.2, 1.0),
        resizes=_some(random, 0.2, 0.5),
        repeated=_some(random, 0.4, 0.05, 0.5),
        nodes_per_s=_some(random, 0.25, 0.05, 0.5),
    )


def _settings(random: Random) -> Settings:
    small = random.random() < 0.3
    return Settings(
        pending_sync_max=random.randint(3, 60) if small else 2_000,
        total_sync_max=random.randint(10, 100) if small else 25_000,
        pending_async_max=random.randint(3, 60) if small else 1_000_000,
        retry_after_s=random.choice((0.05, 0.5)),
        poison_crashes_max=random.choice((1, 2, 3, 8)),
        start_failures_max=random.choice((1, 3)),
        default_scaledown_window=random.choice((1, 5, 60)),
        run_ahead_ms=random.choice((1.0, 5.0, 50.0)),
        start_backoff_s=random.choice((0.05, 0.1, 0.5)),
        retry_delay_min_s=random.choice((0.0, 0.1, 1.0)),
        cancel_grace_s=random.choice((0.1, 5.0)),
        exit_grace_s=random.choice((0.5, 30.0)),
        containers_max=random.choice((2, 4_000)),
    )


def _nodes(random: Random, *, with_gpus: bool) -> tuple[Node, ...]:
    nodes: list[Node] = []
    for number in range(random.choice((1, 1, 2, 4))):
        gpus = tuple(Gpu(f"gpu-{number}-{i}", random.choice(("A100", "H100"))) for i in range(4)) if with_gpus else ()
        nodes.append(Node(f"node-{number}", random.choice((0.5, 2, 8)), random.choice((1, 16)) << 30, gpus))
    return tuple(nodes)


def draw_app(random: Random, number: int, faults: Faults, *, with_gpus: bool) -> AppPlan:
    """Return the plan of a client with one app."""
    functions = tuple(
        draw_function(random, f"f{i}", with_gpus=with_gpus and not i) for i in range(random.choice((1, 1, 2, 3)))
    )
    opens_at = random.choice((0.0, random.uniform(0, 5)))
    calls = tuple(
        draw_call(random, f"fc-{number}-{i}", random.choice(functions), opens_at)
        for i in range(random.choice((1, 3, 8)))
    )
    ends_early = random.random()
    updates = tuple(
        (opens_at + random.uniform(0, 20), random.choice(functions).name, draw_change(random))
        for _ in range(random.choice((0, 0, 3)))
    )
    return AppPlan(
        f"ap-{number}",
        functions,
        calls,
        updates=updates,
        opens_at=opens_at,
        closes_at=opens_at + random.uniform(0, 20) if ends_early < 0.1 else None,
        retires=ends_early < 0.05,
        gone_at=opens_at + random.uniform(0, 20) if 0.1 <= ends_early < 0.25 else None,
        detach=random.random() < 0.2,
        take_items_every=random.choice((1, 2)),
    )


def draw_function(random: Random, name: str, *, with_gpus: bool) -> FunctionSpec:
    """Return a function with any options."""
    concurrency, batching = Concurrency(), None
    if random.random() < 0.35:
        max_inputs = random.choice((2, 5, 20))
        concurrency = Concurrency(max_inputs, random.randint(1, max_inputs))
    if random.random() < 0.25:
        batching = Batching(random.choice((1, 3, 16)), random.choice((0, 10, 1_000)))
    retry = None
    if random.random() < 0.5:
        coefficient = random.choice((1.0, 2.0))
        retry = RetryPolicy(random.choice((0, 1, 3)), coefficient, random.choice((0.0, 1.0)), random.choice((1.0, 5.0)))
    low = random.choice((0, 0, 0, 2))
    high = random.choice((None, None, max(1, low), 5))
    buffer = random.choice((None, None, 2))
    return FunctionSpec(
        name,
        SOURCE,
        is_async=random.random() < 0.5,
        is_generator=batching is None and random.random() < 0.15,
        autoscaler=AutoscalerSettings(low, high, buffer, random.choice((None, 1, 3))),
        concurrency=concurrency,
        batching=batching,
        retry=retry,
        timeout_s=random.choice((1.0, 5.0, 300.0)),
        startup_timeout_s=random.choice((2.0, 300.0)),
        resources=Resources(
            cpu=random.choice((0.125, 1.0)),
            gpu=(GpuRequest("H100", 2), GpuRequest("any", 1)) if with_gpus else (),
        ),
        single_use=random.random() < 0.1,
        cls=ClassSpec((MethodSpec("a"), MethodSpec("b"))) if batching is None and random.random() < 0.2 else None,
        # Not drawn from `random`: seeds that once caught something go on to draw the same.
        placement=Random(f"{name} {low} {high} {buffer}").choice(tuple(Placement)),
    )


def draw_change(random: Random) -> AutoscalerChange:
    """Return new settings of an autoscaler."""
    return AutoscalerChange(
        min_containers=random.choice((0, 1, 3, None)),
        max_containers=random.choice((1, 4, None)),
        buffer_containers=random.choice((0, 2)),
        scaledown_window=random.choice((1, 10)),
    )


def draw_call(random: Random, call_id: str, function: FunctionSpec, opens_at: float) -> CallPlan:
    """Return a call of any kind."""
    kind = random.choice((CallKind.REMOTE, CallKind.MAP, CallKind.SPAWN))
    if function.is_generator:
        kind = CallKind.REMOTE
    many = random.choice((0, 1, 10, 60, 300)) if kind is CallKind.MAP else random.choice((1, 1, 20))
    count = 1 if kind is CallKind.REMOTE else many
    scale = random.choice((0.00001, 0.0005, 0.01, 0.3))
    trouble = random.choice((0.0, 0.0, 0.02, 0.3))
    cancels = random.random() < 0.2
    return CallPlan(
        call_id=call_id,
        function=function.name,
        kind=kind,
        works=tuple(draw_work(random, function, scale, trouble) for _ in range(count)),
        opens_at=opens_at + random.choice((0.0, 0.0, random.uniform(0, 10))),
        method=random.choice(function.cls.methods).name if function.cls else "",
        span_max=random.choice((1, 7, 100)),
        window=random.choice((5, 100, 1_000)),
        cancels_after_s=random.choice((0.0, random.uniform(0, 0.2), random.uniform(0, 3))) if cancels else None,
        terminates=random.random() < 0.3,
        watches=kind is CallKind.SPAWN and random.random() < 0.7,
    )


def draw_work(random: Random, function: FunctionSpec, scale: float, trouble: float) -> Work:
    """Return what one input does, and what happens to it."""
    mishaps: tuple[Mishap, ...] = ()
    if random.random() < trouble:
        choices = (Mishap.FAIL, Mishap.FAIL, Mishap.HANG, Mishap.KILL, Mishap.OUTGROW)
        mishaps = tuple(random.choice(choices) for _ in range(random.randint(1, 4)))
    duration = scale * random.choice((0.5, 1.0, 1.0, 1.0, 2.0, 20.0 if random.random() < 0.2 else 1.0))
    return Work(
        duration,
        mishaps,
        always_kills=random.random() < trouble * 0.05,
        items=random.choice((1, 3, 20)) if function.is_generator else 0,
        resists=random.random() < 0.2,
        is_blob=random.random() < 0.1,
    )
