"""Histories with programs that hold call leases: their calls go past the engine, and the rules for inputs must hold.

SIM_FIRST=5000 SIM_COUNT=3000 pytest tests/sim/test_lease_seeds.py     other seeds, and more
python -m swell.sim story SEED --leases                                 what happens in one

A rule that no wrong engine breaks is worth nothing: some tests have engines with one fault each, and each is found out.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from swell.config import Settings
from swell.engine.events import ClientMessage, ContainerMessage, Effect, Event, SendToClient, SendToContainer
from swell.engine.rules.call_leases import CallLeasing
from swell.engine.rules.direct_calls import DirectCalls
from swell.engine.state.call import Call
from swell.engine.state.call_lease import CallLease
from swell.engine.state.container import Container
from swell.engine.state.history import Histories
from swell.model import AutoscalerSettings, CallKind, FunctionSpec, RetryPolicy
from swell.sim.caller import LoopPlan
from swell.sim.client import AppPlan
from swell.sim.invariants import direct_calls
from swell.sim.play import node
from swell.sim.scenario import SOURCE, Faults, Scenario
from swell.sim.swarm_leases import draw_leases
from swell.sim.work import CallPlan, Mishap, Work
from swell.sim.world import World
from swell.wire.leases import Abandoned, Announce, CancelDirect, DirectAnswered, LeaseGranted, RecallLease

FIRST = int(os.environ.get("SIM_FIRST", "0"))
COUNT = int(os.environ.get("SIM_COUNT", "20"))
STRIDE = 10


@pytest.mark.parametrize("first", range(FIRST, FIRST + COUNT, STRIDE))
def test_every_rule_holds(first: int) -> None:
    for seed in range(first, min(first + STRIDE, FIRST + COUNT)):
        world = World(draw_leases(seed), seed)
        try:
            world.finish()
        except AssertionError as error:
            reproduce = f"reproduce: python -m swell.sim story {seed} --leases"
            pytest.fail(f"seed {seed}, at {world.clock.now:.6f} s: {error}\n{reproduce}")


# ---------------------------------------------------------------- one history, in which much happens


def crowd(seed: int, *, trouble: bool = True) -> Scenario:
    """Three programs that call one function in a loop, and a map beside them; two containers at most."""
    function = FunctionSpec(
        "f",
        SOURCE,
        autoscaler=AutoscalerSettings(0, 2, None, 1),
        retry=RetryPolicy(2, 1.0, 0.1, 1.0),
        timeout_s=1.0,
    )
    mishaps: list[tuple[Mishap, ...]] = [(), (Mishap.FAIL,), (), (Mishap.KILL,), (), (Mishap.HANG,), (Mishap.OUTGROW,)]
    works = tuple(
        Work(0.02 if i % 11 == 10 else 0.0003, mishaps[i // 8 % 7] if trouble and i % 8 == seed % 8 else ())
        for i in range(60)
    )
    loops = tuple(
        LoopPlan(f"fc-l{i}", "f", works[i:] + works[:i], 0.1 * i, stops=0.03 * trouble, hangs_up=0.01 * trouble)
        for i in range(3)
    )
    beside = CallPlan("fc-map", "f", CallKind.MAP, (Work(0.001),) * 40, 0.15)
    plan = AppPlan("ap-0", (function,), (beside,), loops=loops)
    faults = Faults(until=2.0, lost_per_s=1.0 * trouble, repeated=0.2 * trouble)
    settings = Settings(
        call_leases=True,
        cancel_grace_s=0.5,
        retry_delay_min_s=0.05,
        poison_crashes_max=1 + seed % 3,
        default_scaledown_window=1,
    )
    return Scenario(settings=settings, nodes=(node(),), apps=(plan,), faults=faults)


def test_it_meets_what_it_is_for() -> None:
    met: set[str] = set()
    for seed in range(8):
        world = World(crowd(seed), seed)

        def note(event: Event | None, effects: list[Effect]) -> None:
            message = event.message if isinstance(event, ClientMessage | ContainerMessage) else None
            who = type(event).__name__.removesuffix("Message").lower()
            if isinstance(message, Announce):
                met.add(f"{who} announces" + ", failed" * message.failed + ", lost" * message.is_lost)
            elif isinstance(message, Abandoned | DirectAnswered):
                met.add(type(message).__name__)
            orders = (each.message for each in effects if isinstance(each, SendToClient | SendToContainer))
            met.update(
                type(each).__name__ for each in orders if isinstance(each, LeaseGranted | RecallLease | CancelDirect)
            )

        world.listeners.append(note)
        world.finish()
        if any(kept for kept in [world.oracle.ledger.direct.answers]):
            met.add("answers")
    assert met >= {
        "answers",
        "client announces",
        "client announces, failed",
        "client announces, lost",
        "container announces",
        "Abandoned",
        "CancelDirect",
        "DirectAnswered",
        "LeaseGranted",
        "RecallLease",
    }


def test_most_calls_of_a_quick_loop_go_straight_to_its_container() -> None:
    scenario = crowd(0, trouble=False)
    [plan] = scenario.apps
    alone = replace(plan, calls=(), loops=(LoopPlan("fc-l", "f", (Work(0.0002),) * 200, 0.0),))
    world = World(replace(scenario, apps=(alone,)))
    world.finish()
    [caller] = world.clients.passing[1].callers
    assert caller.direct >= 190
    assert direct_calls(world.engine.state) == caller.direct


def test_a_function_scales_to_zero_while_its_client_keeps_a_lease() -> None:
    scenario = crowd(0, trouble=False)
    [plan] = scenario.apps
    loop = LoopPlan("fc-l", "f", (Work(0.0002),) * 20, 0.0)
    world = World(replace(scenario, apps=(replace(plan, calls=(), loops=(loop,), closes_at=1e9),)))
    state = world.engine.state
    world.run(30.0)
    [pool] = state.pools.values()
    assert pool.counts.done == 20
    assert pool.fleet.live == 0


def test_a_map_beside_them_is_served() -> None:
    scenario = crowd(0, trouble=False)
    [plan] = scenario.apps
    [function] = plan.functions
    single = replace(function, autoscaler=replace(function.autoscaler, max_containers=1))
    loops = tuple(LoopPlan(f"fc-l{i}", "f", (Work(0.0002),) * 400, 0.0) for i in range(2))
    beside = CallPlan("fc-map", "f", CallKind.MAP, (Work(0.001),) * 20, 0.05)
    world = World(replace(scenario, apps=(replace(plan, functions=(single,), calls=(beside,), loops=loops),)))
    world.finish()
    following = world.clients.passing[1].calls["fc-map"]
    assert following.finished_at is not None
    # The 20 ms of its own, and twice a lease of 5 ms with what is begun; how busy the machine is does not matter here.
    assert following.finished_at - following.opened_at < 0.05


# ---------------------------------------------------------------- engines that are wrong


def ignores_what_waits(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CallLeasing, "_recall_for_others", lambda *_: None)


def ignores_idleness(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CallLeasing, "check", lambda *_: None)


def gives_a_leased_container_inputs(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Container, "is_held", property(lambda self: bool(self.deliveries)))


def frees_a_slot_that_is_in_use(patch: pytest.MonkeyPatch) -> None:
    def close(self: Container, lease: CallLease, now: float) -> None:
        lease.close()
        self._end_lease(lease)
        self.pool.fleet.note_load(self)

    patch.setattr(Container, "close_lease", close)


def does_not_hear_of_lost_calls(patch: pytest.MonkeyPatch) -> None:
    unless(patch, lambda message: isinstance(message, Announce) and message.is_lost)


def does_not_hear_of_failures(patch: pytest.MonkeyPatch) -> None:
    unless(patch, lambda message: isinstance(message, Announce) and message.failed)


def does_not_believe_clients_that_have_an_answer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(DirectCalls, "answered", lambda *_: None)
    patch.setattr(DirectCalls, "_ended", lambda *_: None)


def counts_a_failure_twice(patch: pytest.MonkeyPatch) -> None:
    count = Call.count_failure

    def twice(self: Call, index: int) -> int:
        if self.is_announced:
            count(self, index)
        return count(self, index)

    patch.setattr(Call, "count_failure", twice)


def runs_what_has_ended_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Histories, "was_answered", lambda *_: True)


def thinks_that_what_it_drops_has_ended(patch: pytest.MonkeyPatch) -> None:
    """A client whose first words come late announces, and is turned away: it is heard after its lease is closed."""
    patch.setattr(Histories, "forget_call", lambda *_: None)


def counts_what_is_repeated(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Histories, "__contains__", lambda *_: False)


def unless(patch: pytest.MonkeyPatch, is_lost: Callable[[Any], bool]) -> None:
    hear = DirectCalls.announced_by_client

    def deaf(self: DirectCalls, client: int, message: Announce, payload: bytes, now: float) -> None:
        if not is_lost(message):
            hear(self, client, message, payload, now)

    patch.setattr(DirectCalls, "announced_by_client", deaf)


FAULTY = [
    ignores_what_waits,
    ignores_idleness,
    gives_a_leased_container_inputs,
    frees_a_slot_that_is_in_use,
    does_not_hear_of_lost_calls,
    does_not_hear_of_failures,
    does_not_believe_clients_that_have_an_answer,
    counts_a_failure_twice,
    runs_what_has_ended_again,
    thinks_that_what_it_drops_has_ended,
    counts_what_is_repeated,
]


@pytest.mark.parametrize("fault", FAULTY, ids=lambda fault: fault.__name__)
def test_an_engine_with_a_fault_is_found_out(fault: Callable[[pytest.MonkeyPatch], None], monkeypatch: Any) -> None:
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        for seed in range(12):
            World(crowd(seed), seed).finish()


@pytest.mark.parametrize("seed", range(4))
def test_an_engine_without_a_fault_is_not(seed: int) -> None:
    world = World(crowd(seed), seed)
    world.finish()
