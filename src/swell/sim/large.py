"""What a seed chooses of large worlds: thousands of containers, a thousand functions, a hundred nodes, and all of it.

The decisions are those of small worlds; here they meet what bounds the work of one event, and puts off the rest. As the
state is large, it is not checked after every event: see CHECK_EVERY. This module must not know the engine or the world
that carries a plan out.
"""

from __future__ import annotations

from random import Random

from msgspec import structs

from swell.config import Settings
from swell.model import AutoscalerChange, AutoscalerSettings, CallKind, Concurrency, FunctionSpec, Gpu, Node, Resources
from swell.sim.client import AppPlan
from swell.sim.scenario import SOURCE, Faults, NodeFaults, Scenario
from swell.sim.swarm import draw_function
from swell.sim.work import CallPlan, Mishap, Work

__all__ = ["CHECK_EVERY", "draw_large"]

CHECK_EVERY = 1_999  #: events between two checks of the whole state; a prime, so that it falls on all kinds of them
CONTAINERS = 5_000
FUNCTIONS = 1_000
NODES = 100


def draw_large(seed: int) -> Scenario:
    """Return the scenario of a seed."""
    random = Random(f"large {seed}")
    draw = (_many_containers, _many_functions, _many_nodes, _unsteady_nodes)[seed % 4]
    return draw(random)


def _many_containers(random: Random) -> Scenario:
    """One pool grows to thousands of containers, by a floor or by its calls, and loses some of them."""
    by_floor = random.random() < 0.5
    floor = CONTAINERS if by_floor else random.choice((0, 10))
    inputs = CONTAINERS + 1_000
    spec = FunctionSpec(
        "wide",
        SOURCE,
        is_async=random.random() < 0.5,
        autoscaler=AutoscalerSettings(floor, CONTAINERS, None, random.choice((1, 5))),
        concurrency=random.choice((Concurrency(), Concurrency(), Concurrency(4, 2))),
        timeout_s=random.choice((2.0, 300.0)),
    )
    narrow = draw_function(random, "narrow", with_gpus=False)
    longest_s = random.choice((0.02, 1.0, 3.0))
    kind = random.choice((CallKind.MAP, CallKind.SPAWN))
    wide = _calls(random, "wide", kind, inputs, longest_s, each=inputs // 2)
    calls = (*wide, *_calls(random, "narrow", CallKind.REMOTE, 10, 0.01, each=1))
    changes = (
        (random.uniform(1, 5), "wide", AutoscalerChange(min_containers=0)),
        (random.uniform(1, 5), "wide", AutoscalerChange(max_containers=random.choice((100, CONTAINERS)))),
    )
    return _scenario(
        random,
        _nodes(random, random.choice((1, 3)), cores=CONTAINERS),
        (AppPlan("ap-0", (spec, narrow), calls, updates=changes),),
        Faults(until=4.0, lost_per_s=random.choice((0.0, 50.0)), exit_hangs=random.choice((0.0, 0.01))),
    )


def _many_functions(random: Random) -> Scenario:
    """An app has a thousand functions, some with floors, and most are called; another is closed while it works."""
    gpus = random.choice((0, 4))
    specs = tuple(_small(random, f"f{i}", on_gpu=bool(gpus) and random.random() < 0.3) for i in range(FUNCTIONS))
    calls: list[CallPlan] = []
    for spec in specs:
        kind = random.choice((CallKind.REMOTE, CallKind.MAP, CallKind.SPAWN))
        calls += _calls(random, spec.name, kind, random.choice((0, 1, 1, 3)), 0.3, each=3)
    others = tuple(_small(random, f"g{i}", on_gpu=False) for i in range(FUNCTIONS // 5))
    theirs = tuple(call for spec in others for call in _calls(random, spec.name, CallKind.MAP, 2, 1.0, each=2))
    closes = {"closes_at": 2.0} if random.random() < 0.5 else {"gone_at": 2.0}
    return _scenario(
        random,
        _nodes(random, random.choice((1, 4)), cores=random.choice((64, 1_000)), gpus=gpus),
        (AppPlan("ap-0", specs, tuple(calls)), structs.replace(AppPlan("ap-1", others, theirs), **closes)),
        Faults(until=4.0, lost_per_s=random.choice((0.0, 20.0)), start_fails=random.choice((0.0, 0.05))),
    )


def _many_nodes(random: Random) -> Scenario:
    """Functions spread over a hundred nodes, which vanish and come back with nothing on them."""
    gpus = random.choice((0, 2))
    specs = tuple(_small(random, f"f{i}", on_gpu=bool(gpus) and i % 3 == 0) for i in range(10))
    calls = tuple(
        call
        for spec in specs
        for call in _calls(random, spec.name, random.choice((CallKind.MAP, CallKind.SPAWN)), 200, 1.0, each=100)
    )
    return _scenario(
        random,
        _nodes(random, NODES, cores=random.choice((2, 16)), gpus=gpus),
        (AppPlan("ap-0", specs, calls),),
        Faults(until=6.0, nodes_per_s=random.choice((1.0, 10.0)), lost_per_s=random.choice((0.0, 10.0))),
    )


def _unsteady_nodes(random: Random) -> Scenario:
    """Thousands of containers are spread over a hundred nodes that freeze, drain, vanish and return as others."""
    spec = FunctionSpec(
        "wide",
        SOURCE,
        is_async=True,
        autoscaler=AutoscalerSettings(CONTAINERS, CONTAINERS, None, 5),
        concurrency=random.choice((Concurrency(), Concurrency(4, 2))),
    )
    narrow = structs.replace(draw_function(random, "narrow", with_gpus=False), cls=None, is_generator=False)
    calls = (
        *_calls(random, "wide", random.choice((CallKind.MAP, CallKind.SPAWN)), CONTAINERS + 1_000, 3.0, each=3_000),
        *_calls(random, "narrow", CallKind.MAP, 50, 0.1, each=10),
    )
    scenario = _scenario(
        random,
        _nodes(random, NODES, cores=16),
        (AppPlan("ap-0", (spec, narrow), calls),),
        Faults(until=4.0, lost_per_s=random.choice((0.0, 10.0))),
    )
    return structs.replace(
        scenario,
        settings=structs.replace(scenario.settings, node_timeout_s=random.choice((0.5, 1.0))),
        node_faults=NodeFaults(
            until=6.0,
            late=random.choice((0.0, 0.2)),
            vanish_per_s=random.choice((1.0, 5.0)),
            freeze_per_s=random.choice((1.0, 5.0)),
            drain_per_s=random.choice((1.0, 5.0)),
        ),
    )


def _scenario(random: Random, nodes: tuple[Node, ...], apps: tuple[AppPlan, ...], faults: Faults) -> Scenario:
    settings = Settings(
        pending_sync_max=1_000_000,
        total_sync_max=1_000_000,
        containers_max=2 * CONTAINERS,
        retry_after_s=0.5,
        start_failures_max=3,
        start_backoff_s=random.choice((0.05, 0.5)),
        default_scaledown_window=random.choice((1, 60)),
        cancel_grace_s=random.choice((0.1, 5.0)),
        exit_grace_s=random.choice((0.5, 30.0)),
    )
    return Scenario(
        settings=settings,
        nodes=nodes,
        apps=apps,
        faults=faults,
        latency_s=random.choice((0.0001, 0.002)),
        tick_late_s=random.choice((0.0, 0.002)),
        start_s=random.choice((0.05, 1.0)),
        is_large=True,
    )


def _nodes(random: Random, count: int, *, cores: float, gpus: int = 0) -> tuple[Node, ...]:
    return tuple(
        Node(
            f"node-{number}",
            cores * random.choice((1, 1, 2)),
            1 << 42,
            tuple(Gpu(f"gpu-{number}-{i}", random.choice(("A100", "H100"))) for i in range(gpus)),
        )
        for number in range(count)
    )


def _small(random: Random, name: str, *, on_gpu: bool) -> FunctionSpec:
    spec = draw_function(random, name, with_gpus=on_gpu)
    floor = random.choice((0, 0, 0, 0, 1)) if not on_gpu else 0
    return structs.replace(
        spec,
        is_generator=False,
        cls=None,
        autoscaler=structs.replace(spec.autoscaler, min_containers=floor, max_containers=random.choice((None, 5, 50))),
        resources=structs.replace(spec.resources, cpu=0.125) if on_gpu else Resources(),
    )


def _calls(
    random: Random, function: str, kind: CallKind, inputs: int, longest_s: float, *, each: int
) -> list[CallPlan]:
    """Return calls of a function that have so many inputs together, at most `each` of them in one."""
    calls: list[CallPlan] = []
    for first in range(0, inputs, each):
        count = 1 if kind is CallKind.REMOTE else min(each, inputs - first)
        works = tuple(_work(random, longest_s) for _ in range(count))
        calls.append(
            CallPlan(
                call_id=f"fc-{function}-{first}",
                function=function,
                kind=kind,
                works=works,
                opens_at=random.uniform(0.0, 2.0),
                span_max=1_000,
                window=10_000,
                cancels_after_s=random.uniform(0.0, 2.0) if random.random() < 0.05 else None,
                watches=kind is CallKind.SPAWN and random.random() < 0.5,
            )
        )
    return calls


def _work(random: Random, longest_s: float) -> Work:
    trouble = random.random()
    mishaps = (random.choice((Mishap.FAIL, Mishap.KILL, Mishap.HANG)),) if trouble < 0.005 else ()
    return Work(longest_s * random.choice((0.1, 0.5, 1.0)), mishaps, resists=trouble > 0.99)
