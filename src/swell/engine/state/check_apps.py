"""The invariants of apps and of what is known by app or by client: calls, containers, variants, leases.

Nothing here may change the engine.
"""

from __future__ import annotations

from swell.engine.state.call_lease import NOBODY
from swell.engine.state.engine_state import EngineState
from swell.engine.state.pool import Pool
from swell.engine.state.variant import Variant
from swell.model import AutoscalerSettings, DeliveryMode
from swell.states import ContainerState

__all__ = ["check_apps"]


def check_apps(state: EngineState) -> None:
    """Assert what must hold of apps and clients between two events."""
    _check_apps(state)
    _check_clients(state)
    _check_variants(state)
    _check_leases(state)


def _check_apps(state: EngineState) -> None:
    """Assert that what apps know of their pools and calls is so."""
    calls = [call.id for app in state.apps.values() for call in app.calls.values() if call.pool.app is app]
    assert sorted(calls) == sorted(state.calls), "the calls of apps are off"
    for app in state.apps.values():
        containers = sum(len(pool.fleet.containers) for pool in app.pools.values())
        assert app.containers == containers, f"{app.id}: {containers} containers, counted as {app.containers}"
        assert app.has_calls is not all(pool.is_empty for pool in app.pools.values()), (
            f"{app.id}: has it calls, or not?"
        )
        pinned = [pool for pool in app.pools.values() if pool.is_pinned and pool.variant is None]
        ids = {(pool.version, pool.spec.name): pool.id for pool in pinned}
        known = {(version, name): pool_id for version, of in app.pinned_ids.items() for name, pool_id in of.items()}
        assert known == ids, f"{app.id}: the index of its pinned functions is off"
    declared = [pool for pool in state.pools.values() if pool.variant is None and not pool.is_pinned]
    web = {pool.id for pool in declared if pool.web_methods}
    assert web <= state.edges.web_pools.keys() <= {pool.id for pool in declared}, (
        "the index of functions with routes is off"
    )


def _check_clients(state: EngineState) -> None:
    """Assert that each client is known with all that ends with it, or waits for it."""
    clients = state.clients
    for index in (clients.calls_of, clients.apps_of, clients.leases_of):
        assert all(index.values()), "a client that nothing concerns is kept"
    for client, calls in clients.calls_of.items():
        for call in calls.values():
            assert state.calls.get(call.id) is call, f"{call.id}: has ended, and client {client} keeps it"
            is_its = client == call.client or client in call.watching
            assert is_its, f"{call.id}: does not concern client {client}"
    for call in state.calls.values():
        if call.id in state.cancellations:
            continue  # it is about to end, perhaps because its client is gone
        concerned = {*call.watching, *(() if call.kind.is_async or call.client == NOBODY else (call.client,))}
        assert all(call.id in clients.calls_of.get(client, ()) for client in concerned), (
            f"{call.id}: goes on after its clients"
        )
    apps = {(app.owner, app.id) for app in state.apps.values() if app.owner is not None}
    apps |= {(client, app.id) for app in state.apps.values() for client, _ in app.closers}
    assert {(client, app_id) for client, of in clients.apps_of.items() for app_id in of} == apps, (
        "apps by client are off"
    )
    leases = {(lease.client, call_id) for call_id, lease in state.leases.items()}
    known = {(client, call_id) for client, of in clients.leases_of.items() for call_id in of}
    assert known == leases, "leases by client are off"


def _check_variants(state: EngineState) -> None:
    """Assert that each variant is either a pool or put away, that public ones are few, and that idle ones will go."""
    dormant = {function_id: app for app in state.apps.values() for function_id in app.dormant}
    assert state.dormant == dormant, "the index of variants that are put away is off"
    for app in state.apps.values():
        both = app.dormant.keys() & state.pools.keys()
        assert not both, f"{both}: put away, and a pool"
        for record in app.dormant.values():
            kept = not record.is_public or record.override != AutoscalerSettings()
            assert record.changes and kept, f"{record.function_id}: kept, though a request would make it again"
    for base_id, public in state.public_variants.items():
        assert public.pools, f"{base_id}: an empty group of public variants is kept"
        assert len(public.pools) <= state.settings.web_variants_max, f"{base_id}: {len(public.pools)} public variants"
        assert public.idle.keys() <= public.pools.keys(), f"{base_id}: idle, and not public"
        since = [pool.variant.idle_at or 0.0 for pool in public.idle.values() if pool.variant is not None]
        assert since == sorted(since), f"{base_id}: the idle ones are not in order: {since}"
        for pool in public.pools.values():
            assert state.pools.get(pool.id) is pool, f"{pool.id}: public, and no pool"
            is_its = pool.variant is not None and pool.variant.base_id == base_id and pool.variant.is_public
            assert is_its, f"{pool.id}: counted for another function"
    for pool in state.pools.values():
        if pool.variant is not None:
            _check_variant(state, pool, pool.variant)


def _check_variant(state: EngineState, pool: Pool, variant: Variant) -> None:
    public = state.public_variants.get(variant.base_id)
    is_counted = public is not None and pool.id in public.pools
    assert is_counted is variant.is_public, f"{pool.id}: is it public, or not?"
    if pool.app.closing or pool.id in state.agenda.later:
        return  # it is not looked at any more, or was put off
    is_idle = pool.is_idle and not pool.is_retired
    assert is_idle is (variant.idle_at is not None), f"{pool.id}: is it idle, or not?"
    if public is not None and is_counted:
        assert (is_idle and pool.makes_room) is (pool.id in public.idle), f"{pool.id}: could it make room, or not?"
    if variant.idle_at is not None:
        until = variant.idle_at + (pool.settings.scaledown_window or 0)
        assert pool.timers.next_at <= until, f"{pool.id}: idle, and no deadline puts it away"


def _check_leases(state: EngineState) -> None:
    for call_id, (delivery, position, client) in state.leases.items():
        assert delivery.container.deliveries.get(delivery.id) is delivery, f"{call_id}: leased of what is gone"
        assert position in delivery.open, f"{call_id}: leased, and its slot is free"
        assert delivery.locate(position)[0].client == client, f"{call_id}: leased to another client"
    leased = [
        delivery
        for container in state.containers.values()
        for delivery in container.deliveries.values()
        if delivery.mode is DeliveryMode.LEASE
    ]
    assert len(state.leases) == sum(len(delivery.open) for delivery in leased), "a lease that nobody can end"
    for delivery in leased:
        name = delivery.container.id
        assert delivery.container.state is not ContainerState.DRAINING, (
            f"{name}: told to leave while requests are on their way to it"
        )
