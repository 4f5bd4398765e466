"""What a seed chooses of apps that answer HTTP, beside what every seed chooses.

This module must not know the engine or the world that carries a plan out.
"""

from __future__ import annotations

from random import Random

from msgspec import structs

from swell.model import CallKind, ClassSpec, FunctionSpec, MethodSpec, WebSpec
from swell.sim.client import AppPlan
from swell.sim.scenario import Faults, Scenario
from swell.sim.swarm import draw, draw_app, draw_call, draw_function, draw_work
from swell.sim.swarm_variants import few_variants, with_variants
from swell.sim.work import CallPlan

__all__ = ["draw_web"]


def draw_web(seed: int) -> Scenario:
    """Return a scenario of a seed with an app more, which answers HTTP."""
    random = Random(f"web {seed}")
    base = draw(seed)
    variants = Random(f"variants {seed}")
    plan = _web_app(random, len(base.apps))
    if variants.random() < 0.7:
        plan = with_variants(variants, plan)
    return structs.replace(base, settings=few_variants(variants, base.settings), apps=(*base.apps, plan))


def _web_app(random: Random, number: int) -> AppPlan:
    plan = draw_app(random, number, Faults(), with_gpus=False)
    functions = tuple(_web_function(random, spec.name) for spec in plan.functions)
    calls: list[CallPlan] = []
    for i in range(random.choice((1, 8, 60))):
        spec = random.choice(functions)
        call = draw_call(random, f"fc-w{number}-{i}", spec, plan.opens_at)
        if call.method not in spec.web_methods:
            calls.append(call)
            continue
        work = draw_work(random, spec, random.choice((0.0005, 0.01, 0.3)), random.choice((0.0, 0.3)))
        work, repeats = structs.replace(work, is_blob=False), random.random() < 0.1
        calls.append(structs.replace(call, kind=CallKind.WEB, works=(work,), repeats=repeats))
    return structs.replace(plan, functions=functions, calls=tuple(calls))


def _web_function(random: Random, name: str) -> FunctionSpec:
    spec = structs.replace(
        draw_function(random, name, with_gpus=False), batching=None, retry=None, is_generator=False, cls=None
    )
    if random.random() < 0.3:
        return structs.replace(spec, cls=ClassSpec((MethodSpec("a"), MethodSpec("b", web=WebSpec("asgi")))))
    return structs.replace(spec, web=WebSpec("asgi"))
