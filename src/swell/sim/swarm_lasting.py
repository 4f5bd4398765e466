"""What a seed chooses of durable apps, and of a server that is killed now and again.

This module must not know the engine or the world that carries a plan out.
"""

from __future__ import annotations

from random import Random

from msgspec import structs

from swell.model import CallKind, FunctionSpec, Strategy
from swell.sim.deployer import LastingPlan, Version
from swell.sim.scenario import Scenario
from swell.sim.swarm import draw, draw_call, draw_function, draw_work
from swell.sim.swarm_variants import draw_tunings, draw_values, few_variants, naming, with_parameters
from swell.sim.work import CallPlan, Work

__all__ = ["draw_lasting"]


def draw_lasting(seed: int) -> Scenario:
    """Return a scenario of a seed with durable apps, and a server that is killed now and again."""
    random = Random(f"lasting {seed}")
    base = draw(seed)
    variants = Random(f"variants {seed}")
    settings = structs.replace(
        few_variants(variants, base.settings),
        backlog_inputs_max=random.choice((2, 5, 4_096)),
        backlog_calls_max=random.choice((2, 4, 8_192)),
        backlog_bytes_max=random.choice((1_024, 64 << 20)),
    )
    with_gpus = any(node.gpus for node in base.nodes)
    return structs.replace(
        base,
        settings=settings,
        apps=base.apps if random.random() < 0.3 else (),
        lasting=tuple(
            # Floors of two apps that never end could hold every GPU: an input of either would then wait for ever.
            _with_requests(variants, _lasting(random, number, with_gpus=with_gpus and not number))
            for number in range(random.choice((1, 1, 2)))
        ),
        crash_points=tuple(int(10 ** random.uniform(0, 3.7)) for _ in range(random.choice((0, 1, 3, 8)))),
        commit_s=random.choice((0.0001, 0.001, 0.05)),
    )


def _lasting(random: Random, number: int, *, with_gpus: bool) -> LastingPlan:
    first = tuple(
        _lasting_function(random, f"f{i}", with_gpus=with_gpus and not i) for i in range(random.choice((1, 2)))
    )
    versions = [Version(0.0, first)]
    for _ in range(random.choice((0, 0, 1, 4))):
        functions = tuple(_changed(random, spec) for spec in first)
        strategy = random.choice((Strategy.ROLLING, Strategy.ROLLING, Strategy.RECREATE))
        versions.append(
            Version(versions[-1].at + random.choice((0.001, 0.1, random.uniform(0, 10))), functions, strategy)
        )
    calls = tuple(
        _lasting_call(random, f"fc-l{number}-{i}", random.choice(first)) for i in range(random.choice((1, 4, 12)))
    )
    return LastingPlan(f"ap-l{number}", f"lasting-{number}", tuple(versions), calls)


def _with_requests(random: Random, plan: LastingPlan) -> LastingPlan:
    """Have a durable app answer HTTP, too: by a class with parameters, of which every version has the same code."""
    if random.random() < 0.4:
        return plan
    spec = structs.replace(_lasting_function(random, "site", with_gpus=False), retry=None)
    spec, values = with_parameters(spec), draw_values(random)
    versions = tuple(
        structs.replace(version, functions=(*version.functions, structs.replace(_changed(random, spec), batching=None)))
        for version in plan.versions
    )
    calls = list(plan.calls)
    for i in range(random.choice((2, 8, 40))):
        call = _lasting_call(random, f"{plan.app_id}-{i}".replace("ap-", "fc-v"), spec)
        call = naming(random, call, (spec,), values)
        if random.random() < 0.7:
            work = structs.replace(draw_work(random, spec, 0.01, random.choice((0.0, 0.3))), is_blob=False)
            call = structs.replace(call, kind=CallKind.WEB, method="b", works=(work,), watches=False)
        calls.append(call)
    return structs.replace(
        plan,
        versions=versions,
        calls=tuple(calls),
        tunings=draw_tunings(random, (spec,), values, 0.0),
        redeploys=random.random() < 0.5,
    )


def _lasting_call(random: Random, call_id: str, function: FunctionSpec) -> CallPlan:
    """Return a call that is most likely a spawned one, since these are what a crash must not lose."""
    plan = draw_call(random, call_id, function, 0.0)
    if random.random() < 0.3:
        return plan
    works = plan.works or (Work(0.001),)
    count = random.choice((1, 1, 5, 20, 60))
    watches = random.random() < 0.7
    return structs.replace(
        plan, kind=CallKind.SPAWN, works=tuple(random.choice(works) for _ in range(count)), watches=watches
    )


def _lasting_function(random: Random, name: str, *, with_gpus: bool) -> FunctionSpec:
    spec = draw_function(random, name, with_gpus=with_gpus)
    return structs.replace(spec, is_generator=False)


def _changed(random: Random, spec: FunctionSpec) -> FunctionSpec:
    """Return another version of a function: what its inputs do stays, how they are run does not."""
    if random.random() < 0.2:
        return spec
    other = draw_function(random, spec.name, with_gpus=False)
    return structs.replace(
        spec,
        autoscaler=other.autoscaler,
        concurrency=other.concurrency,
        batching=other.batching if spec.cls is None else None,
        single_use=other.single_use,
        startup_timeout_s=other.startup_timeout_s,
    )
