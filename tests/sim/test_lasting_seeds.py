"""Histories with durable apps and a server that is killed between any two things it does: nothing accepted is lost.

SIM_FIRST=5000 SIM_COUNT=3000 pytest tests/sim/test_lasting_seeds.py     other seeds, and more
python -m swell.sim story SEED --lasting                                  what happens in one
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
from msgspec import msgpack, structs

from swell.config import Settings
from swell.engine.events import CallsLoaded, Effect, Event, Persist, SendToClient, SendToContainer
from swell.model import (
    AutoscalerChange,
    AutoscalerSettings,
    CallKind,
    ClassSpec,
    FunctionSpec,
    MethodSpec,
    Node,
    ParameterSpec,
    Source,
    WebSpec,
)
from swell.sim.deployer import LastingPlan, Version
from swell.sim.scenario import Scenario
from swell.sim.swarm_lasting import draw_lasting
from swell.sim.work import CallPlan, Tuning, Work
from swell.sim.world import World
from swell.wire.messages import Refused

FIRST = int(os.environ.get("SIM_FIRST", "0"))
COUNT = int(os.environ.get("SIM_COUNT", "80"))
STRIDE = 10


def survive(scenario: Scenario, seed: int, what: str) -> World:
    world = World(scenario, seed)
    try:
        world.finish()
    except AssertionError as error:
        reproduce = f"reproduce: python -m swell.sim story {seed} --lasting"
        pytest.fail(f"{what}, at {world.clock.now:.6f} s: {error}\n{reproduce}")
    return world


@pytest.mark.parametrize("first", range(FIRST, FIRST + COUNT, STRIDE))
def test_every_rule_holds(first: int) -> None:
    for seed in range(first, min(first + STRIDE, FIRST + COUNT)):
        survive(draw_lasting(seed), seed, f"seed {seed}")


def small(seed: int) -> Scenario:
    """A scenario with few inputs, and no other trouble than that the server is killed."""
    scenario = draw_lasting(seed)
    lasting = tuple(structs.replace(plan, calls=plan.calls[:3]) for plan in scenario.lasting[:1])
    return structs.replace(scenario, apps=(), lasting=lasting, crash_points=())


@pytest.mark.parametrize("seed", [1, 10, 14, 19])
def test_the_server_may_be_killed_at_every_single_moment(seed: int) -> None:
    """Not at random: once for each moment between two effects of a whole history."""
    scenario = small(seed)
    moments = survive(scenario, seed, f"seed {seed} without a crash").crash_points.passed
    for moment in range(1, moments + 1):
        crashed = structs.replace(scenario, crash_points=(moment,))
        world = survive(crashed, seed, f"seed {seed}, killed at moment {moment} of {moments}")
        assert world.lives == 2


def variants_scenario() -> Scenario:
    """A class with parameters that requests and a program name, whose settings are changed, under two versions."""
    cls = ClassSpec((MethodSpec("a"), MethodSpec("b", web=WebSpec("asgi"))), (ParameterSpec("x", "int", 0, True),))
    spec = FunctionSpec(
        "site", Source("app", "f", "app.py"), cls=cls, autoscaler=AutoscalerSettings(scaledown_window=1)
    )
    values = [msgpack.encode({"x": value}) for value in range(3)]
    work = (Work(0.01),)
    calls = [
        CallPlan(
            call_id=f"fc-w{i}",
            function="site",
            kind=CallKind.WEB,
            works=work,
            opens_at=at,
            method="b",
            parameters=values[i % 3],
        )
        for i, at in enumerate((0.1, 0.2, 0.3, 4.0, 4.1, 9.0, 15.0, 15.1))
    ]
    for i, (kind, at) in enumerate(((CallKind.SPAWN, 0.5), (CallKind.REMOTE, 5.0), (CallKind.SPAWN, 12.0))):
        calls.append(
            CallPlan(
                call_id=f"fc-p{i}",
                function="site",
                kind=kind,
                works=work,
                opens_at=at,
                method="a",
                watches=kind is CallKind.SPAWN,
                parameters=values[1],
            )
        )
    tunings = [Tuning(0.4, "site", values[1], AutoscalerChange(max_containers=3))]
    tunings += [Tuning(at, "site", values[1], AutoscalerChange()) for at in (8.0, 14.0)]
    versions = (Version(0.0, (spec,)), Version(10.0, (structs.replace(spec, timeout_s=9.0),)))
    plan = LastingPlan("ap-1", "shop", versions, tuple(calls), tuple(tunings), redeploys=False)
    settings = Settings(web_variants_max=1)
    return Scenario(settings, (Node("node-0", 8, 16 << 30),), (), lasting=(plan,))


def test_variants_outlive_a_server_that_is_killed_at_any_moment() -> None:
    scenario = variants_scenario()
    moments = survive(scenario, 1, "without a crash").crash_points.passed
    for moment in range(1, moments + 1):
        survive(structs.replace(scenario, crash_points=(moment,)), 1, f"killed at moment {moment} of {moments}")


def test_a_call_of_which_all_that_was_accepted_has_ended_ends_with_the_next_server() -> None:
    """The server is killed while the client waits to offer the rest, which it then gives up: it waits for nothing."""
    spec = FunctionSpec("f", Source("app", "f", "app.py"))
    call = CallPlan("fc-0", "f", CallKind.SPAWN, (Work(0.01), Work(0.01)), 0.1, watches=True)
    plan = LastingPlan("ap-1", "shop", (Version(0.0, (spec,)),), (call,))
    settings = Settings(pending_async_max=1)
    scenario = Scenario(settings, (Node("node-0", 8, 16 << 30),), (), lasting=(plan,))
    moments = survive(scenario, 1, "without a crash").crash_points.passed
    ended_in_the_next: set[int] = set()
    for moment in range(1, moments + 1):
        world = World(structs.replace(scenario, crash_points=(moment,)), 1)

        def note(event: Event | None, _effects: list[Effect], moment: int = moment) -> None:
            if isinstance(event, CallsLoaded) and any(each.call.done == each.call.accepted for each in event.calls):
                ended_in_the_next.add(moment)

        world.listeners.append(note)
        world.finish()
    assert ended_in_the_next, "no moment was one at which the call was open and nothing of it was left to run"


def test_the_seeds_meet_what_they_are_for() -> None:
    """A swarm without faults proves nothing: over a few seeds, all that is new in durable apps comes up."""
    met: Counter[object] = Counter()
    lives = 0
    for seed in range(40):
        world = World(draw_lasting(seed), seed)

        def note(event: Event | None, effects: list[Effect], world: World = world) -> None:
            met[type(event).__name__] += 1
            for effect in effects:
                met[type(effect).__name__] += 1
                if isinstance(effect, Persist):
                    met[type(effect.record).__name__] += 1
                elif isinstance(effect, SendToClient | SendToContainer):
                    met[type(effect.message).__name__] += 1
                    if isinstance(effect.message, Refused) and effect.message.fields.get("limit") == "web_variants_max":
                        met["too many variants"] += 1
            for app in world.engine.state.apps.values():
                if any(record.override != AutoscalerSettings() for record in app.dormant.values()):
                    met["settings of a variant that is put away", world.lives > 1] += 1

        world.listeners.append(note)
        world.finish()
        lives += world.lives
    assert lives > 75, "servers are killed"
    wanted = {
        "LoadCall",
        "LoadCalls",
        "LoadSpans",
        "AttemptRecord",
        "SpansDone",
        "Deployed",
        "Interrupt",
        "SendRecorded",
        "Leased",
        "Bound",
        "too many variants",
        ("settings of a variant that is put away", False),
        ("settings of a variant that is put away", True),
    }
    assert wanted <= met.keys(), f"never met: {wanted - met.keys()}"
