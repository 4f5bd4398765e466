"""Invariants of the engine's decisions at every moment, beyond the consistency that `engine.validate` checks.

They read the engine's state; the oracle, which does not, checks how inputs end. This module must not know the
world.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from swell.engine.events import Effect, SendToClient, SendToContainer
from swell.engine.state.container import Container
from swell.engine.state.engine_state import EngineState
from swell.engine.state.pool import Pool
from swell.engine.state.timers import Timer
from swell.model import CallKind, OutputStatus
from swell.policy.leasing import HOLD_MIN_S, IDLE_MAX_S, may_lease
from swell.policy.placement import find_place
from swell.sim.deployer import Deployer
from swell.sim.store import DurableStore
from swell.sim.work import result_bytes
from swell.wire.messages import Deliver, Drain, Refused

__all__ = [
    "check_call_leases",
    "check_drains",
    "check_empty",
    "check_held",
    "check_kept",
    "check_promptness",
    "check_refusals",
    "direct_calls",
    "resisting",
]

EPSILON = 1e-6  #: of a float that counts seconds


def check_promptness(state: EngineState, now: float, slack_s: float) -> None:
    """Assert that nothing waits without a reason, and nothing is kept without one."""
    for pool in state.pools.values():
        if pool.app.closing or pool.id in state.agenda.later:
            continue  # it is not looked at any more, or was put off
        free = [container for container in pool.fleet.ready.values() if container.takes_inputs]
        if pool.fleet.serving.batching is not None:
            _check_batches(pool, free, now, slack_s)
        elif pool.backlog.count:
            idle = [container.id for container in free if not container.is_held]
            assert not idle, f"{pool.backlog.count} inputs wait though {idle[0]} is idle"
        _check_window(pool, state)
        if pool.backlog.count and not pool.fleet.live:
            assert pool.scaling.blocked_reason, f"{pool.id}: inputs wait, and nothing is started, for no reason"
        _check_size(pool, now, slack_s, draining=state.nodes.draining.keys())
        if pool.variant is not None and pool.variant.idle_at is not None:
            window = pool.settings.scaledown_window or 0
            assert now - pool.variant.idle_at <= window + slack_s, (
                f"{pool.id}: an idle variant is there for longer than {window} s"
            )
    _check_room(state)


def _check_room(state: EngineState) -> None:
    """Assert that no function waits for room that is there, unless somebody looks again."""
    if state.blocked.wants_look:
        return  # at all of them, some each time that the nodes are observed
    for pool in state.blocked:
        if pool.id in state.agenda.later or Timer.GROW in pool.timers.at:
            continue
        wants = pool.spec.resources
        place = find_place([known.room for known in state.nodes.values() if not known.is_draining], wants)
        assert place is None, f"{pool.id}: waits ({pool.scaling.blocked_reason}) though {place.node} has room"


def check_refusals(state: EngineState, effects: Sequence[Effect]) -> None:
    """Assert that no request is refused as one of too many variants while another could be put away."""
    for effect in effects:
        if isinstance(effect, SendToClient) and isinstance(effect.message, Refused):
            limit = effect.message.fields.get("limit")
            if limit == "web_variants_max":
                most = state.settings.web_variants_max
                full = [group for group in state.public_variants.values() if len(group.pools) == most]
                assert not most or any(not group.idle for group in full), f"{effect.message.call_id}: there is room"


def check_call_leases(state: EngineState, now: float, slack_s: float) -> None:
    """Assert that no lease keeps inputs waiting for long, none is granted to what may not have one, and each ends."""
    for pool in state.pools.values():
        leases = pool.leases
        if pool.app.closing or pool.id in state.agenda.later:
            continue
        for lease in leases.open.values():
            name = lease.id
            assert may_lease(lease.container.spec), f"{name}: of a container that runs its inputs in another way"
            assert lease.deliveries or now - lease.used_at <= IDLE_MAX_S + slack_s, f"{name}: is not used, and goes on"
        first = next(iter(leases.open.values()), None)
        if first is not None and pool.backlog.count > len(leases.recalled):
            age_s = now - first.granted_at
            assert age_s <= HOLD_MIN_S + slack_s, (
                f"{first.id}: {pool.backlog.count} inputs wait, and it is {age_s} s old"
            )


def direct_calls(state: EngineState) -> int:
    """Return how many direct calls were counted, in pools that are there or are gone."""
    there = sum(pool.measures.direct for pool in state.pools.values())
    return there + sum(retired.direct for retired in state.retired_metrics.values())


def check_held(state: EngineState, effects: Sequence[Effect]) -> None:
    """Assert that nothing is run for clients that do not read its results."""
    for effect in effects if state.clients.lagging else ():
        if isinstance(effect, SendToContainer) and isinstance(effect.message, Deliver):
            for call_id, _, _ in effect.message.parts:
                call = state.calls.get(call_id)
                waits = call is not None and call.kind is not CallKind.SPAWN and call.client in state.clients.lagging
                assert not waits, f"an input of {call_id} is run, and its client does not read"


def _check_window(pool: Pool, state: EngineState) -> None:
    """Assert that what is in the store alone is read back before memory runs dry."""
    window = pool.window
    if window.stored_calls and not window.calls:
        assert window.is_reading_calls, f"{pool.id}: {window.stored_calls} calls wait in the store, and nobody reads"
    for call in window.calls.values():
        if call.stored and not call.in_memory:
            assert call.loading, f"{call.id}: {call.stored} inputs wait in the store, and nobody asks for them"


def _check_batches(pool: Pool, free: list[Container], now: float, slack_s: float) -> None:
    batching = pool.fleet.serving.batching
    assert batching is not None
    limit = pool.fleet.serving.concurrency.target_inputs
    if not any(container.slots_used < (container.own_slots or limit) for container in free):
        return
    due = pool.backlog.due()
    if any(span.alone for span in due):
        return  # a suspect waits for a container of its own, and others may have to wait with it
    waiting = sum(len(span) for span in due)
    assert waiting < batching.max_batch_size, f"{waiting} inputs wait though a slot is free for a full batch"
    oldest = min((span.queued_at for span in due), default=now)
    late = now - oldest - batching.wait_ms / 1_000
    assert late <= slack_s, f"a batch is {late} s late though a slot is free"


def _check_size(pool: Pool, now: float, slack_s: float, *, draining: Set[str]) -> None:
    settings = pool.settings
    if pool.is_rolling or pool.is_retired:
        return
    if pool.fleet.by_node.keys() & draining:
        return  # it has as many more as leave the nodes that drain
    floor = min(settings.min_containers or 0, pool.scaling.plan.containers)
    live = pool.fleet.live
    assert live >= floor or pool.scaling.blocked_reason, f"{pool.id}: {live} containers, the floor is {floor}"
    if len(pool.fleet.ready) <= pool.scaling.plan.containers:
        return  # one that spreads a floor has to be ready before another need leave
    window = settings.scaledown_window or 0
    by_node = pool.fleet.by_node
    if 2 <= len(by_node) <= (settings.min_containers or 0):
        by_node = {name: there for name, there in by_node.items() if len(there) > 1}  # others keep the floor spread
    may_leave = [c for c in pool.fleet.idle.values() if not c.is_leaving and c.place.node in by_node]
    over = [c.id for c in may_leave if now - c.idle_since > window + slack_s]
    assert not over, f"{over[0]} is idle and not needed for longer than {window} s"


def resisting(state: EngineState) -> set[str]:
    """Return the containers that are to leave after their requests.

    One that was cancelled goes on, or their node drains; by the time that they are told, it may be in service again.
    """
    leaving = (c for c in state.containers.values() if c.is_leaving)
    return {c.id for c in leaving if c.resist_until < float("inf") or c.place.node in state.nodes.draining}


def check_drains(state: EngineState, effects: list[Effect], asked: Set[str], now: float) -> None:
    """Assert that only what may leave is told to leave; `asked` are the containers that want to leave, or have to."""
    for effect in effects:
        if not isinstance(effect, SendToContainer) or not isinstance(effect.message, Drain):
            continue
        container = state.containers[effect.container_id]
        pool = container.pool
        if pool.app.closing or container.id in asked or container.spec.single_use:
            continue
        if container.version != pool.version or pool.is_retired:
            continue  # a new version has taken over, or needs its place
        if container.place.node in state.nodes.draining:
            _check_moved(state, pool)
            continue
        assert not container.is_held, f"{container.id} is busy and told to leave"
        floor = min(pool.settings.min_containers or 0, pool.scaling.plan.containers)
        idle_s = now - container.idle_since + EPSILON
        ceiling = pool.settings.max_containers or state.settings.containers_max
        may = idle_s >= (pool.settings.scaledown_window or 0) or pool.fleet.live >= ceiling or state.blocked.has_starved
        assert may, f"{container.id} is told to leave after {idle_s} s of idleness"
        assert pool.fleet.live >= floor, f"{container.id} was needed for the floor of {floor}"


def _check_moved(state: EngineState, pool: Pool) -> None:
    """Assert that containers leave a node that drains only if others are ready, or cannot be had."""
    floor = min(pool.settings.min_containers or 0, pool.scaling.plan.containers)
    ceiling = min(pool.settings.max_containers or 10**9, state.settings.containers_max)
    rooms = [known.room for known in state.nodes.values() if not known.is_draining]
    is_full = pool.fleet.live + 1 >= ceiling or find_place(rooms, pool.spec.resources) is None
    assert len(pool.fleet.ready) >= floor or is_full, f"{pool.id}: moved to below its floor of {floor}"


def check_kept(store: DurableStore, deployers: Sequence[Deployer]) -> None:
    """Assert that every input that a durable app has accepted has its one result, which its client was told."""
    for call in (call for deployer in deployers for call in deployer.spawned.values()):
        call_id, kept = call.plan.call_id, store.now("read_outputs", call.plan.call_id, 0, call.accepted)
        assert [output.index for output in kept] == list(range(call.accepted)), f"{call_id}: results are missing"
        for output in kept:
            told = call.told.get(output.index)
            found = (output.status, output.payload)
            assert told is None or told == found, f"{call_id}/{output.index}: kept as {found}, told as {told}"
            if output.status is OutputStatus.SUCCESS:
                assert output.payload == result_bytes(call_id, output.index), f"{call_id}/{output.index}: {found}"


def check_empty(state: EngineState) -> None:
    """Assert that nothing is kept of apps that are gone."""
    left = {
        "apps": list(state.apps),
        "pools": list(state.pools),
        "variants that are put away": list(state.dormant),
        "public variants": list(state.public_variants),
        "calls": list(state.calls),
        "containers": list(state.containers),
        "clients": [*state.clients.calls_of, *state.clients.apps_of, *state.clients.leases_of],
        "call leases": [*state.call_leases.by_id, *state.call_leases.by_client],
        "blocked pools": [pool.id for pool in state.blocked],
        "pools that were put off": list(state.agenda.later),
        "effects": state.outbox,
        "nodes": [known.node.name for known in state.nodes.values() if known.gpus_used or known.memory_used],
    }
    assert not any(left.values()), f"left behind: { {name: ids for name, ids in left.items() if ids} }"
