"""The engine's invariants, checked from outside: what does not hold raises AssertionError.

Used by tests, and after every simulated event. Nothing here may change the engine.
"""

from __future__ import annotations

from collections import Counter

from swell.engine.call import Call
from swell.engine.ledger import Ledger
from swell.engine.pool import Pool
from swell.states import ContainerState

__all__ = ["check"]


def check(ledger: Ledger) -> None:
    """Assert everything that must hold between two events."""
    for pool in ledger.pools.values():
        _check_pool(ledger, pool)
    for call in ledger.calls.values():
        _check_call(call)
    for known in ledger.nodes.values():
        here = [c for c in ledger.containers.values() if c.place.node == known.node.name]
        gpus = Counter(gpu for container in here for gpu in container.place.gpus)
        assert all(count == 1 for count in gpus.values()), f"a GPU of {known.node.name} is given twice"
        assert set(gpus) == known.gpus_used, f"GPU accounting of {known.node.name} is off"
        cpu = sum(container.pool.spec.resources.cpu for container in here)
        assert abs(cpu - known.cpu_used) < 1e-6, f"cpu accounting of {known.node.name} is off"
        assert cpu <= known.node.cpu * ledger.settings.cpu_overcommit + 1e-6, f"{known.node.name} is overfull"


def _check_call(call: Call) -> None:
    assert call.accepted == call.pending + call.running + call.done, f"{call.id}: inputs lost or counted twice"
    assert min(call.pending, call.running, call.done) >= 0, f"{call.id}: negative count"
    assert not call.finished, f"{call.id}: finished but not forgotten"


def _check_pool(ledger: Ledger, pool: Pool) -> None:
    where: Counter[tuple[str, int]] = Counter()
    spans = pool.backlog.spans()
    for span in spans:
        assert len(span), f"{pool.id}: empty span"
        where.update((span.call.id, index) for index in range(span.first, span.last))
    assert len(pool.backlog) == sum(len(span) for span in spans), f"{pool.id}: backlog count is off"
    assert sum(pool.pending.values()) == len(pool.backlog), f"{pool.id}: pending count is off"
    running = 0
    for container in pool.containers.values():
        _check_container(pool, container.id)
        for delivery in container.deliveries.values():
            assert delivery.open, f"{container.id}: empty delivery kept"
            assert delivery.void <= delivery.open, f"{container.id}: void position is not open"
            live = delivery.open - delivery.void
            running += len(live)
            for position in live:
                call, _, index = delivery.locate(position)
                where[call.id, index] += 1
                assert call.id in ledger.calls, f"{call.id}: runs but is forgotten"
    assert all(count == 1 for count in where.values()), f"{pool.id}: an input is in two places"
    assert running == pool.running_total, f"{pool.id}: running count is off"
    assert pool.wake_at <= pool.next_deadline, f"{pool.id}: nobody will wake for {pool.deadlines}"
    ceiling = min(pool.settings.max_containers or 10**9, ledger.settings.containers_max)
    idle_surplus = [c for c in pool.idle.values() if pool.live > ceiling and not c.leaving]
    assert not idle_surplus or pool.app.closing, f"{pool.id}: idle containers above the ceiling"


def _check_container(pool: Pool, container_id: str) -> None:
    container = pool.containers[container_id]
    assert (container.state is ContainerState.READY and container_id in pool.ready) or (
        container_id not in pool.ready
    ), f"{container_id}: listed ready but {container.state}"
    concurrency = pool.spec.concurrency
    # Inputs that are void but still run may briefly share a container with their successors' deliveries, never a slot.
    assert container.slots_used <= max(concurrency.max_inputs, 1), f"{container_id}: slots overspent"
    if pool.spec.batching:
        for delivery in container.deliveries.values():
            size = sum(part.count for part in delivery.parts)
            assert size <= pool.spec.batching.max_batch_size, f"{container_id}: batch over size"
    if pool.spec.single_use:
        assert container.served <= pool.batch_size, f"{container_id}: used twice"
