"""The invariants of call leases, as `check` asserts them. Nothing here may change the engine."""

from __future__ import annotations

from swell.engine.state.call_lease import CallLease
from swell.engine.state.engine_state import EngineState
from swell.engine.state.pool import Pool
from swell.engine.state.timers import Timer
from swell.model import DeliveryMode
from swell.states import ContainerState, LeaseState

__all__ = ["check_call_leases"]

_READY = ContainerState.READY


def check_call_leases(state: EngineState) -> None:
    """Assert that each lease holds one slot, is found where it is looked for, and has an end."""
    held = {lease.id: lease for container in state.containers.values() for lease in container.leases.values()}
    over = {lease.id for pool in state.pools.values() if pool.id in state.agenda.later for lease in pool.leases.over}
    assert held.keys() | over == state.call_leases.by_id.keys(), "a lease is nobody's, or is not known"
    by_client = {lease.id: lease for mine in state.call_leases.by_client.values() for lease in mine.values()}
    assert by_client == state.call_leases.by_id, "a client's leases are off"
    for lease in held.values():
        _check_lease(lease)
    for pool in state.pools.values():
        _check_pool(state, pool)


def _check_lease(lease: CallLease) -> None:
    container, name = lease.container, lease.id
    assert lease.state is not LeaseState.ENDED, f"{name}: over, and holds a slot"
    assert lease.state is not LeaseState.CLOSED or lease.deliveries, f"{name}: closed, and holds a slot for nothing"
    assert not lease.is_open or container.state is _READY or container.is_killed, f"{name}: of a {container.state}"
    for number, delivery in lease.deliveries.items():
        assert container.deliveries.get(number) is delivery, f"{name}: has a call that is not in its container"
        assert delivery.mode is DeliveryMode.DIRECT and delivery.lease is lease, f"{name}: has a call of another"


def _check_pool(state: EngineState, pool: Pool) -> None:
    leases, name = pool.leases, pool.id
    if pool.id not in state.agenda.later:
        assert not leases.over, f"{name}: leases are over, and not forgotten"
        assert not leases.wanted, f"{name}: nobody looks at who wants a lease"
    mine = [lease for container in pool.fleet.containers.values() for lease in container.leases.values()]
    for group, which in ((leases.open, LeaseState.OPEN), (leases.recalled, LeaseState.RECALLED)):
        assert group.keys() == {lease.id for lease in mine if lease.state is which}, (
            f"{name}: {which.value} ones are off"
        )
    vacant = sum(not lease.deliveries for lease in mine)
    assert leases.vacant == vacant, f"{name}: {vacant} leases without a call, counted as {leases.vacant}"
    for container in pool.fleet.containers.values():
        vacant = sum(not lease.deliveries for lease in container.leases.values())
        assert container.vacant_leases == vacant, f"{container.id}: {vacant} leases without a call"
        for delivery in container.deliveries.values():
            is_direct = delivery.mode is DeliveryMode.DIRECT
            assert is_direct is (delivery.lease is not None), f"{container.id}: a direct call without a lease"
    watched = pool.timers.watched(Timer.LEASE)
    for lease in mine:
        if lease.may_begin_calls and not lease.container.is_killed:
            assert lease.id in watched, f"{lease.id}: nobody ends it"
