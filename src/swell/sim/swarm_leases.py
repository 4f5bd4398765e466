"""What a seed chooses of programs that call again and again, and get call leases for that, beside what all seeds have.

Values only. This module must not know the engine or the world that carries a plan out.
"""

from __future__ import annotations

from random import Random

from msgspec import structs

from swell.model import AutoscalerSettings, FunctionSpec, RetryPolicy
from swell.sim.caller import LoopPlan
from swell.sim.client import AppPlan
from swell.sim.scenario import SOURCE, Scenario
from swell.sim.swarm import draw_call, draw_change, draw_steady
from swell.sim.work import Mishap, Work

__all__ = ["draw_leases"]


def draw_leases(seed: int) -> Scenario:
    """Return the scenario of a seed, with programs that hold call leases."""
    random = Random(f"leases {seed}")
    scenario = draw_steady(seed)
    settings = structs.replace(
        scenario.settings,
        call_leases=True,
        pending_sync_max=max(60, scenario.settings.pending_sync_max),
        total_sync_max=max(100, scenario.settings.total_sync_max),
    )
    apps = tuple(_app(random, number) for number in range(random.choice((1, 2, 4))))
    others = scenario.apps if random.random() < 0.3 else ()
    return structs.replace(scenario, apps=apps + others, settings=settings, start_s=random.choice((0.002, 0.05)))


def _app(random: Random, number: int) -> AppPlan:
    functions = tuple(_function(random, f"f{i}") for i in range(random.choice((1, 1, 2))))
    loops = tuple(_loop(random, f"fc-loop-{number}-{i}", functions) for i in range(random.choice((1, 2, 4, 8))))
    calls = tuple(
        draw_call(random, f"fc-beside-{number}-{i}", random.choice(functions), 0.0)
        for i in range(random.choice((0, 0, 1, 3)))
    )
    updates = tuple(
        (random.uniform(0, 3), random.choice(functions).name, draw_change(random)) for _ in range(random.choice((0, 2)))
    )
    ends = random.random()
    return AppPlan(
        f"ap-loops-{number}",
        functions,
        calls,
        updates=updates,
        closes_at=random.uniform(0, 5) if ends < 0.15 else None,
        gone_at=random.uniform(0, 5) if 0.15 <= ends < 0.3 else None,
        detach=random.random() < 0.2,
        loops=loops,
    )


def _function(random: Random, name: str) -> FunctionSpec:
    high = random.choice((1, 1, 2, None))
    return FunctionSpec(
        name,
        SOURCE,
        autoscaler=AutoscalerSettings(0, high, None, random.choice((1, 3))),
        retry=random.choice((None, None, RetryPolicy(random.choice((1, 3)), 1.0, random.choice((0.0, 1.0)), 5.0))),
        timeout_s=random.choice((1.0, 5.0, 300.0)),
    )


def _loop(random: Random, call_id: str, functions: tuple[FunctionSpec, ...]) -> LoopPlan:
    scale = random.choice((0.00001, 0.0003, 0.002))
    trouble = random.choice((0.0, 0.0, 0.02, 0.1))
    return LoopPlan(
        call_id,
        random.choice(functions).name,
        tuple(_work(random, scale, trouble) for _ in range(random.choice((5, 40, 120)))),
        random.choice((0.0, random.uniform(0, 1))),
        pause_s=random.choice((0.0, 0.0, 0.001, 0.3)),
        stops=random.choice((0.0, 0.0, 0.02)),
        hangs_up=random.choice((0.0, 0.0, 0.02)),
        gives_back=random.random() < 0.5,
    )


def _work(random: Random, scale: float, trouble: float) -> Work:
    mishaps: tuple[Mishap, ...] = ()
    if random.random() < trouble:
        choices = (Mishap.FAIL, Mishap.FAIL, Mishap.HANG, Mishap.KILL, Mishap.OUTGROW)
        mishaps = tuple(random.choice(choices) for _ in range(random.randint(1, 3)))
    is_slow = random.random() < 0.02
    return Work(
        scale * random.choice((0.5, 1.0, 2.0)) if not is_slow else random.choice((0.006, 0.05, 0.4)),
        mishaps,
        always_kills=random.random() < trouble * 0.05,
        resists=random.random() < 0.2,
    )
