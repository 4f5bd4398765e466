"""The engine's invariants, checked from outside: what does not hold raises AssertionError.

Used by tests, and after every simulated event. Nothing here may change the engine.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, repeat
from math import inf

from swell.engine.state.call import Call
from swell.engine.state.check_apps import check_apps
from swell.engine.state.check_call_leases import check_call_leases
from swell.engine.state.container import Container
from swell.engine.state.engine_state import EngineState
from swell.engine.state.node import KnownNode
from swell.engine.state.pool import Pool
from swell.engine.state.room_index import RoomIndex
from swell.engine.state.span import Segment
from swell.engine.state.timers import Timer
from swell.model import DeliveryMode, Resources
from swell.states import ContainerState

__all__ = ["check"]

Places = set[tuple[str, int]]  #: inputs that are somewhere, as (call id, index)


def check(state: EngineState) -> None:
    """Assert everything that must hold between two events."""
    assert not state.agenda.dirty, f"never looked at again: {list(state.agenda.dirty)}"
    for pool in state.agenda.later.values():
        assert state.pools.get(pool.id) is pool, f"{pool.id}: gone, and to be looked at"
    for cancellation in state.cancellations.values():
        assert cancellation.call.cancelled, f"{cancellation.call.id}: is being cancelled, and takes inputs"
    assert not state.outbox, "effects were decided on and not returned"
    somewhere: Places = set()
    for pool in state.pools.values():
        if pool.fleet.containers or len(pool.backlog):
            _check_places(state, pool, somewhere)
        _check_pool(state, pool)
    for call in state.calls.values():
        _check_call(state, call, somewhere)
    calls_open = Counter(call.pool.id for call in state.calls.values())
    for pool in state.pools.values():
        assert pool.counts.open_calls == calls_open[pool.id], f"{pool.id}: count of open calls is off"
    check_apps(state)
    check_call_leases(state)
    for known in (*state.nodes.values(), *state.nodes.vanished.values()):
        _check_node(state, known)
    _check_order_of_nodes(state)
    in_fleets = sum(len(pool.fleet.containers) for pool in state.pools.values())
    assert len(state.containers) == in_fleets, "a stray container"
    _check_room(state)
    _check_demand(state)


def _check_call(state: EngineState, call: Call, somewhere: Places) -> None:
    assert call.accepted == call.pending + call.running + call.done, f"{call.id}: inputs lost or counted twice"
    assert min(call.pending, call.running, call.done) >= 0, f"{call.id}: negative count"
    assert not call.finished, f"{call.id}: finished but not forgotten"
    held = all(number in delivery.container.deliveries for number, delivery in call.deliveries.items())
    assert held, f"{call.id}: thinks that inputs are in a delivery that is over"
    assert call.pool.id in state.pools, f"{call.id}: its function is gone"
    assert 0 <= call.stored <= call.pending, f"{call.id}: {call.stored} of {call.pending} inputs are in the store"
    assert not call.stored or call.tail < call.accepted, f"{call.id}: there is no tail, and inputs in it"
    times = [index for index, _ in call.held_until]
    remembered = {*call.failures, *call.crashes, *call.streams}.difference(times)
    assert all((call.id, index) in somewhere for index in remembered), f"{call.id}: remembers inputs that have ended"
    assert all(index >= call.tail for index in times), f"{call.id}: inputs at hand have times of the tail"
    assert times == sorted(times, reverse=True), f"{call.id}: the times of the tail are not in order"
    if call.kind.is_async:
        assert call.pool.window.calls.get(call.id) is call, f"{call.id}: its pool does not know it"


def _check_places(state: EngineState, pool: Pool, somewhere: Places) -> None:
    """Assert that every input is in exactly one place, and that the counts say so."""
    before, counted = len(somewhere), 0
    for spans in pool.backlog.due_by_call():
        for span, following in pairwise(spans):
            assert span.last <= following.first, f"{span.call.id}/{following.first} waits behind what comes after it"
    if pool.backlog.count and pool.fleet.serving.batching is not None:
        oldest_at = min(span.queued_at for span in pool.backlog.due())
        assert pool.backlog.oldest_at == oldest_at, f"{pool.id}: the longest-waiting input is another"
    for span in pool.backlog.spans():
        assert span.first < span.last, f"{pool.id}: empty span"
        somewhere.update(zip(repeat(span.call.id), range(span.first, span.last), strict=False))
        counted += span.last - span.first
    assert counted == len(pool.backlog), f"{pool.id}: backlog count is off"
    due = sum(len(span) for span in pool.backlog.due())
    assert due == pool.backlog.count, f"{pool.id}: {due} inputs have their turns, of {pool.backlog.count} that may run"
    for container in pool.fleet.containers.values():
        for delivery in container.deliveries.values():
            assert delivery.open, f"{container.id}: empty delivery kept"
            assert delivery.revoked <= delivery.open, f"{container.id}: a revoked position is not open"
            for position in delivery.open - delivery.revoked:
                call, _, index = delivery.locate(position)
                somewhere.add((call.id, index))
                counted += 1
                assert call.id in state.calls, f"{call.id}: runs but is forgotten"
    assert len(somewhere) - before == counted, f"{pool.id}: an input is in two places"
    assert counted == len(pool.backlog) + pool.counts.running_total, f"{pool.id}: running count is off"


def _check_pool(state: EngineState, pool: Pool) -> None:
    window = pool.window
    in_store = window.stored_inputs + sum(call.stored for call in window.calls.values())
    assert pool.counts.pending_total == len(pool.backlog) + in_store, f"{pool.id}: pending count is off"
    assert min(window.stored_calls, window.stored_inputs) >= 0, f"{pool.id}: negative count of stored calls or inputs"
    for call in window.calls.values():
        assert state.calls.get(call.id) is call, f"{call.id}: spawned, in memory, and forgotten"
        needs_refill = call.stored and call.in_memory < state.settings.backlog_inputs_max // 2
        assert not needs_refill or call.id in window.needs_refill or call.loading, f"{call.id}: nobody reads on"
        is_exhausted = call.stored and not call.in_memory and not call.loading
        assert not is_exhausted or call.id in window.exhausted, f"{call.id}: nobody notes that nothing is in memory"
        assert not call.stored or call.id in window.tails, f"{call.id}: nobody knows of its tail"
    assert window.exhausted.keys() <= window.needs_refill.keys(), f"{pool.id}: exhausted, and not to be refilled"
    assert not any(call.loading for call in window.needs_refill.values()), f"{pool.id}: to be read, and being read"
    assert window.needs_refill.keys() | window.tails.keys() <= window.calls.keys(), f"{pool.id}: ended, and to be read"
    assert window.reads == sum(call.loading for call in window.calls.values()), f"{pool.id}: count of reads is off"
    _check_bytes(pool)
    is_put_off = pool.id in state.agenda.later
    is_woken = is_put_off or pool.timers.wake_at <= pool.timers.next_at
    assert is_woken, f"{pool.id}: nobody will wake for {pool.timers.at}"
    for container in pool.fleet.containers.values():
        assert state.containers[container.id] is container, f"{container.id}: not the one that is known"
        _check_container(pool, container)
    grouped = {**pool.fleet.starting, **pool.fleet.ready, **pool.fleet.standby}
    assert not grouped.keys() & pool.fleet.replaced.keys(), f"{pool.id}: replaced, and in service"
    assert pool.fleet.replaced.keys() <= pool.fleet.containers.keys(), f"{pool.id}: replaced, and gone"
    must_leave = pool.fleet.replaced or (pool.app.closing and pool.fleet.live)
    assert not must_leave or pool.id in state.agenda.later, f"{pool.id}: nobody tells containers that they must leave"
    assert not pool.fleet.standby or pool.is_rolling, f"{pool.id}: containers wait to take over from nobody"
    versions = {container.version for container in pool.fleet.ready.values()}
    assert versions <= {pool.fleet.serving_version}, f"{pool.id}: versions {versions} serve together"
    assert grouped.keys() <= pool.fleet.containers.keys(), f"{pool.id}: a container that is gone is still counted"
    assert pool.fleet.idle.keys() <= pool.fleet.ready.keys(), f"{pool.id}: idle, but not ready"
    _check_indexes(pool)
    if not pool.app.closing and not pool.is_rolling and not is_put_off:
        ceiling = min(pool.settings.max_containers or 10**9, state.settings.containers_max)
        surplus = [c.id for c in pool.fleet.idle.values() if pool.fleet.live > ceiling and not c.is_leaving]
        assert not surplus, f"{pool.id}: idle containers above the ceiling"


def _check_indexes(pool: Pool) -> None:
    """Assert that containers are found where their state and what they hold put them, and when they are due."""
    fleet, name = pool.fleet, pool.id
    loads = {c.id: c.load for c in fleet.ready.values() if c.is_held and c.load is not None}
    assert fleet.busy.loads() == loads, f"{name}: what containers carry is off"
    assert fleet.reclaiming == {c.id for c in fleet.ready.values() if c.reclaiming}, (
        f"{name}: what is taken back is off"
    )
    leaving = {c.id for c in fleet.containers.values() if c.was_told_to_leave}
    assert fleet.leaving.keys() == leaving, f"{name}: containers that leave are {sorted(leaving)}"
    for node, there in fleet.by_node.items():
        assert there, f"{name}: remembers node {node} for nothing"
    live = {c.id: c.place.node for group in (fleet.starting, fleet.ready, fleet.standby) for c in group.values()}
    by_node = {container_id: node for node, there in fleet.by_node.items() for container_id in there}
    assert by_node == live, f"{name}: the nodes of containers are off"
    sample = fleet.sample(10**9)
    assert {c.id for c in sample} == fleet.ready.keys() and len(sample) == len(fleet.ready), (
        f"{name}: the roster is off"
    )
    requested = [container.requested_at for container in fleet.starting.values()]
    assert requested == sorted(requested), f"{name}: starts are not in the order of their requests"
    assert fleet.checked_in == sum(not c.is_starting for c in fleet.containers.values()), f"{name}: miscounted"
    retired = (c for c in fleet.containers.values() if c.id not in fleet.ready)
    finishing = sum(c.running for c in retired if c.is_finishing)
    assert fleet.finishing_inputs == finishing, f"{name}: {finishing} inputs are being finished elsewhere"
    watched = {timer: pool.timers.watched(timer) for timer in Timer}
    for container in fleet.containers.values():
        if not container.is_killed:
            _check_deadlines(container, watched)


def _check_deadlines(container: Container, watched: dict[Timer, dict[str, float]]) -> None:
    """Assert that a container is looked at when its inputs, its start or its end may be over their time."""
    name = container.id
    assert not container.deliveries or name in watched[Timer.TIMEOUT], f"{name}: nobody ends its inputs"
    if container.is_starting:
        expires = container.requested_at + container.spec.startup_timeout_s
        assert watched[Timer.START].get(name, inf) <= expires, f"{name}: nobody gives up on its start"
    assert watched[Timer.RESIST].get(name, inf) <= container.resist_until, f"{name}: may run what was cancelled"
    assert watched[Timer.DRAIN].get(name, inf) <= container.drain_until, f"{name}: may stay for ever"


def _check_bytes(pool: Pool) -> None:
    """Assert that the payload of spawned calls in memory is counted."""
    segments: dict[int, Segment] = {}
    for span in pool.backlog.spans():
        if span.call.kind.is_async:
            segments[id(span.segment)] = span.segment
    for container in pool.fleet.containers.values():
        for delivery in container.deliveries.values():
            for position in delivery.open - delivery.revoked:
                call, segment, _ = delivery.locate(position)
                if call.kind.is_async:
                    segments[id(segment)] = segment
    size = sum(len(segment.items.payload) for segment in segments.values())
    counted = pool.window.bytes_in_memory
    assert counted == size, f"{pool.id}: {size} bytes in memory, counted as {counted}"


def _check_container(pool: Pool, container: Container) -> None:
    state, name = container.state, container.id
    deliveries = container.deliveries.values()
    assert container.holds == sum(len(delivery.open) for delivery in deliveries), f"{name}: holds something else"
    wanted = sum(len(delivery.open - delivery.revoked) for delivery in deliveries)
    assert container.executing == wanted, f"{name}: {wanted} of its inputs are still wanted"
    assert container.slots_used == _slots_used(container), f"{name}: {_slots_used(container)} slots are in use"
    for delivery in deliveries:
        of_calls = all(part.call.deliveries.get(delivery.id) is delivery for part in delivery.parts)
        assert of_calls, f"{name}: a call does not know where its inputs are"
    if name in pool.fleet.starting:
        assert container.is_starting, f"{name}: starts, but is {state}"
    if name in pool.fleet.ready:
        assert state in (ContainerState.READY, ContainerState.LEAVING), f"{name}: listed ready, but is {state}"
        assert (name in pool.fleet.idle) is (not container.is_held), f"{name}: idle or not?"
    # Inputs that are revoked but still run keep their slot until the container answers.
    assert container.slots_used <= container.spec.concurrency.max_inputs, f"{name}: slots overspent"
    if container.exclusive:
        inputs = sum(len(delivery.open) - len(delivery.revoked) for delivery in container.deliveries.values())
        assert inputs <= 1, f"{name}: a suspect has company"
    if container.spec.batching:
        for delivery in container.deliveries.values():
            size = sum(part.count for part in delivery.parts)
            assert size <= container.spec.batch_size, f"{name}: batch over size"
    if container.spec.single_use:
        assert container.served <= container.spec.batch_size, f"{name}: used twice"


def _slots_used(container: Container) -> int:
    """Count the slots in use anew: a serial queue uses one, a batch one, parallel inputs one each."""
    modes = [delivery.mode for delivery in container.deliveries.values()]
    parallel = (DeliveryMode.PARALLEL, DeliveryMode.LEASE)
    inputs = sum(len(delivery.open) for delivery in container.deliveries.values() if delivery.mode in parallel)
    return inputs + modes.count(DeliveryMode.BATCH) + (DeliveryMode.SERIAL in modes) + len(container.leases)


def _check_room(state: EngineState) -> None:
    """Assert that it is known who waits for room, and who could make some."""
    starved = {pool.id for pool in state.blocked.starved}
    for pool in state.blocked:
        assert pool.id in state.pools, f"{pool.id}: gone, and blocked"
        if pool.id not in state.agenda.later:
            assert pool.scaling.blocked_reason, f"{pool.id}: blocked for no reason"
            assert (pool.id in starved) is (not pool.fleet.live), f"{pool.id}: has it a container, or not?"
    assert all(pool_id in state.blocked for pool_id in state.blocked.paced), "waits for a look, and is not blocked"
    for pool in state.pools.values():
        if pool.id not in state.agenda.later and not pool.app.closing:
            assert (pool.id in state.crowded) is pool.is_crowded, (
                f"{pool.id}: could its floor be on more nodes, or not?"
            )
    assert state.crowded.keys() <= state.pools.keys(), "a pool that is gone could be on more nodes"
    spare = state.spare.numbers()
    assert spare.keys() <= state.pools.keys(), "a pool that is gone has containers to spare"
    for pool in state.pools.values():
        if pool.id not in state.agenda.later:
            longest_idle = pool.longest_spare
            since = None if longest_idle is None else longest_idle.idle_since
            assert spare.get(pool.id) == since, f"{pool.id}: idle since {since}, noted as {spare.get(pool.id)}"
    leaving = {container.id for container in state.containers.values() if container.was_told_to_leave}
    assert state.leaving == leaving, "the index of containers that leave is off"


def _check_order_of_nodes(state: EngineState) -> None:
    nodes = state.nodes
    assert nodes.draining == {known.node.name: known for known in nodes.values() if known.is_draining}, (
        "the index of nodes that drain is off"
    )
    assert not any(known.is_draining for known in nodes.vanished.values()), "a node that is gone drains"
    for known in nodes.draining.values():
        is_left = any(not container.is_cut_short for container in known.containers.values())
        is_due = known.node.name in nodes.evictions.times()
        assert not is_left or is_due or known.drain_until == inf, f"{known.node.name}: nobody interrupts what is left"
    assert all(known.containers for known in nodes.vanished.values()), "a node is remembered for nothing"
    in_service = [known for known in nodes.values() if not known.is_draining]
    free = {
        known.node.name: (
            known.room.cpu_capacity - known.cpu_used,
            known.room.memory_capacity - known.memory_used,
        )
        for known in in_service
    }
    for (has_gpus, readiness), index in nodes.rooms.items():
        names = {k.node.name for k in in_service if bool(k.node.gpus) is has_gpus and k.readiness is readiness}
        _check_index(index, {name: free[name] for name in names})
    with_free_gpus = {known.node.name for known in in_service if known.has_free_gpu}
    _check_index(nodes.with_free_gpus, {name: free[name] for name in with_free_gpus})


def _check_index(index: RoomIndex, free: dict[str, tuple[float, int]]) -> None:
    assert index.free() == free, "what is free on nodes is off"
    cores = [cores for cores, _ in index.free().values()]
    assert cores == sorted(cores), "the nodes are out of order"
    for wanted in {memory for _, memory in free.values()}:
        found = {name for name, (_, memory) in free.items() if memory >= wanted}
        assert set(index.fullest_first(-inf, wanted)) == found, "a node with enough memory is not found"


def _check_demand(state: EngineState) -> None:
    lacks = state.demand.of_pools()
    assert lacks.keys() <= {pool.id for pool in state.blocked}, "a pool lacks something, and waits for nothing"
    assert all(lack.count > 0 for lack in lacks.values()), "a pool lacks nothing, which is noted"
    sums = Counter[Resources]()
    for lack in lacks.values():
        sums[lack.resources] += lack.count
    assert state.demand.sums() == sums, "the sums of what is lacking are off"
    nodes = state.nodes
    empty = {name for name, known in nodes.by_name.items() if not known.containers and not known.is_draining}
    assert nodes.emptied | nodes.idle.times().keys() == empty, "the nodes that are empty are off"


def _check_node(state: EngineState, known: KnownNode) -> None:
    name = known.node.name
    here = [c for c in state.containers.values() if c.place.node == name]
    assert known.containers == {c.id: c for c in here}, f"the containers of {name} are off"
    gpus = Counter(gpu for container in here for gpu in container.place.gpus)
    assert all(count == 1 for count in gpus.values()), f"a GPU of {name} is given twice"
    starting = sum(container.is_starting for container in here)
    assert known.starting == starting, f"{starting} containers start on {name}, not {known.starting}"
    assert min(known.fresh, known.unjudged) >= 0, f"{name}: negative count of unproven containers"
    assert set(gpus) == known.gpus_used, f"GPU accounting of {name} is off"
    cpu = sum(container.spec.resources.cpu for container in here)
    assert abs(cpu - known.cpu_used) < 1e-6, f"cpu accounting of {name} is off"
    assert cpu <= known.node.cpu * state.settings.cpu_overcommit + 1e-6, f"{name} is overfull"
    memory = sum(container.spec.resources.memory_bytes for container in here)
    assert memory == known.memory_used, f"memory accounting of {name} is off"
    assert memory <= known.node.memory_bytes * state.settings.memory_overcommit, f"{name}: memory is overfull"
