"""What a seed chooses of classes with parameters: how many variants requests and calls name, and their settings.

This module must not know the engine or the world that carries a plan out.
"""

from __future__ import annotations

from random import Random

from msgspec import msgpack, structs

from swell.config import Settings
from swell.model import AutoscalerChange, CallKind, ClassSpec, FunctionSpec, MethodSpec, ParameterSpec, WebSpec
from swell.sim.client import AppPlan
from swell.sim.swarm import draw_change
from swell.sim.work import CallPlan, Tuning

__all__ = ["draw_tunings", "draw_values", "few_variants", "naming", "with_parameters", "with_variants"]


def few_variants(random: Random, settings: Settings) -> Settings:
    """Return settings that bound the variants which requests may bring about."""
    return structs.replace(settings, web_variants_max=random.choice((0, 1, 2, 5, 32)))


def with_variants(random: Random, plan: AppPlan) -> AppPlan:
    """Have the web functions of an app be classes with parameters, of which requests and calls name few or many."""
    functions = tuple(with_parameters(spec) if spec.web_methods else spec for spec in plan.functions)
    parametrised = tuple(spec for spec in functions if spec.cls is not None and spec.cls.parameters)
    values = draw_values(random)
    calls = tuple(naming(random, call, parametrised, values) for call in plan.calls)
    return structs.replace(
        plan, functions=functions, calls=calls, tunings=draw_tunings(random, parametrised, values, plan.opens_at)
    )


def with_parameters(spec: FunctionSpec) -> FunctionSpec:
    """Return a function as a class with a parameter, one of whose methods answers HTTP."""
    methods = (MethodSpec("a"), MethodSpec("b", web=WebSpec("asgi")))
    return structs.replace(
        spec, web=None, cls=ClassSpec(methods, (ParameterSpec("x", "int", 0, has_default=True),)), batching=None
    )


def draw_values(random: Random) -> tuple[bytes, ...]:
    """Return values of that parameter: few or many."""
    return tuple(msgpack.encode({"x": value}) for value in range(1, random.choice((1, 3, 10, 60)) + 1))


def naming(random: Random, call: CallPlan, functions: tuple[FunctionSpec, ...], values: tuple[bytes, ...]) -> CallPlan:
    """Return a call that names one of the values, if its function has parameters."""
    if all(call.function != spec.name for spec in functions):
        return call
    method = "b" if call.kind is CallKind.WEB else "a"
    parameters = random.choice(values) if random.random() < 0.9 else b""
    return structs.replace(call, method=method, parameters=parameters)


def draw_tunings(
    random: Random, functions: tuple[FunctionSpec, ...], values: tuple[bytes, ...], since: float
) -> tuple[Tuning, ...]:
    """Settings of some variants are changed, and looked at again much later."""
    tunings: list[Tuning] = []
    for _ in range(random.choice((0, 1, 4)) if functions else 0):
        function, parameters, at = random.choice(functions).name, random.choice(values), since + random.uniform(0, 20)
        change = structs.replace(draw_change(random), min_containers=random.choice((0, 0, 0, 1)))
        tunings.append(Tuning(at, function, parameters, change))
        tunings += [Tuning(at + later, function, parameters, AutoscalerChange()) for later in (0.5, 30.0, 300.0)]
    return tuple(tunings)
