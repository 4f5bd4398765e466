"""Call leases: which client may send its calls straight to which container, and until when.

A lease is granted when a call ends whose client wants one, nothing waits, and a container is free. It is recalled when
something waits, or when it is not used. Its slot is held until the container has closed it: what happens on it
meanwhile is the business of `direct_calls`. This module must not know what calls do, or how a container leaves.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from swell.engine.ids import derive_lease_id, derive_lease_token
from swell.engine.rules.containers import Containers
from swell.engine.state.call_lease import CallLease
from swell.engine.state.container import Container
from swell.engine.state.engine_state import EngineState
from swell.engine.state.pool import Pool
from swell.engine.state.timers import Timer
from swell.policy.leasing import HOLD_MIN_S, IDLE_MAX_S, is_worth_leasing, may_lease
from swell.states import LeaseState
from swell.wire.leases import LeaseGranted, OpenLease, RecallLease

__all__ = ["CallLeasing"]

TAKE_OVER_PATIENCE_S = 1.0  #: how long a new version waits for containers to close the leases of the former one
LOOKS_MAX = 8  #: idle containers that are looked at for one that takes calls


class CallLeasing:
    """Grants call leases and recalls them."""

    def __init__(self, state: EngineState, containers: Containers) -> None:
        self._state = state
        self._containers = containers

    # ------------------------------------------------------------ after each event

    def settle(self, pool: Pool, now: float) -> None:
        """Recall leases of a pool for what waits, grant those that may be granted, and forget those that are over."""
        leases = pool.leases
        if leases.over:
            self._state.forget_over(pool)
        if leases.open:
            self._recall_for_others(pool, now)
        if leases.wanted:
            self._grant(pool, leases.take_wanted(), now)

    def _recall_for_others(self, pool: Pool, now: float) -> None:
        """Recall as many leases as inputs wait, or as there are containers too many, but none that is too young.

        All, if their function's next version is on its way, or its calls have become slow.
        """
        leases = pool.leases
        if pool.is_rolling or not is_worth_leasing(pool.estimates.service_s):
            needed = len(leases.open)
        else:
            ceiling = min(pool.settings.max_containers or self._state.settings.containers_max, pool.fleet.live)
            # A recalled lease on which a call runs may be long in coming back: it is not what others wait for.
            coming = sum(not lease.deliveries for lease in leases.recalled.values())
            needed = max(pool.backlog.count, pool.fleet.live - ceiling) - coming
        while needed > 0 and leases.open:
            lease = next(iter(leases.open.values()))
            if now < lease.granted_at + HOLD_MIN_S:
                pool.timers.arm(Timer.RECALL, lease.granted_at + HOLD_MIN_S)
                return
            self._recall(lease, now)
            needed -= 1

    # ------------------------------------------------------------ granting

    def _grant(self, pool: Pool, wanted: Iterable[int], now: float) -> None:
        """Give free slots to clients that have just had an answer and want more, in the order of these answers."""
        state = self._state
        if not (state.settings.call_leases and self._may_grant(pool)):
            return
        for client in wanted:
            if client in state.clients.lagging:
                continue
            container = self._free(pool)
            if container is None:
                return
            self._begin(container, client, now)

    @staticmethod
    def _may_grant(pool: Pool) -> bool:
        fleet = pool.fleet
        if pool.backlog.count or pool.app.closing or pool.is_retired or pool.is_rolling or fleet.standby:
            return False
        is_too_large = fleet.live > (pool.settings.max_containers or fleet.live)
        return not is_too_large and may_lease(fleet.serving) and is_worth_leasing(pool.estimates.service_s)

    def _free(self, pool: Pool) -> Container | None:
        """Return an idle container that takes calls, the one that was used last; None if there is none."""
        idle, draining = pool.fleet.idle, self._state.nodes.draining
        for container_id in islice(reversed(idle), LOOKS_MAX):
            container = idle[container_id]
            if container.takes_calls and container.takes_inputs and container.place.node not in draining:
                return container
        return None

    def _begin(self, container: Container, client: int, now: float) -> None:
        state, pool = self._state, container.pool
        number = state.call_leases.next_number()
        lease = CallLease(derive_lease_id(state.seed, number), container, client, now)
        token = derive_lease_token(state.seed, number)
        state.call_leases.add(lease)
        container.lease(lease)
        pool.measures.count_granted()
        pool.timers.watch(Timer.LEASE, lease.id, now + IDLE_MAX_S)
        retry = container.spec.retry
        is_retried = retry is not None and retry.max_retries > 0
        state.send_to_container(container, OpenLease(lease.id, token))
        state.send_to_client(client, LeaseGranted(lease.id, token, pool.id, container.id, is_retried))

    # ------------------------------------------------------------ recalling

    def _recall(self, lease: CallLease, now: float) -> None:
        lease.recall(now)
        lease.container.pool.measures.count_recalled()
        self._state.send_to_container(lease.container, RecallLease(lease.id))

    def recall_all(self, pool: Pool, now: float) -> None:
        """Recall all leases of a pool."""
        for lease in list(pool.leases.open.values()):
            self._recall(lease, now)

    def are_at_rest(self, pool: Pool, now: float) -> bool:
        """Tell whether a new version may take over: no more calls begin on the former one, or that takes too long.

        A container that does not answer at once is in one call, or is stopped.
        """
        leases = pool.leases
        if not leases.may_begin_calls:
            return True
        self.recall_all(pool, now)
        until = min(lease.recalled_at or now for lease in leases.recalled.values()) + TAKE_OVER_PATIENCE_S
        if now >= until:
            return True
        pool.timers.arm(Timer.RECALL, until)
        return False

    def client_gone(self, client: int, now: float) -> None:
        """Recall the leases of a client that is gone."""
        for lease in self._state.call_leases.of(client):
            if lease.is_open:
                self._recall(lease, now)

    def check(self, pool: Pool, now: float) -> None:
        """Recall leases that are not used, and kill containers that do not close those that were recalled."""
        state = self._state
        for lease_id in pool.timers.take_due(Timer.LEASE, now):
            lease = state.call_leases.by_id.get(lease_id)
            if lease is None:
                continue
            if lease.is_open and not lease.deliveries and now >= lease.used_at + IDLE_MAX_S:
                self._recall(lease, now)
            if lease.is_open:
                pool.timers.watch(
                    Timer.LEASE, lease_id, max(lease.used_at, now if lease.deliveries else 0) + IDLE_MAX_S
                )
            elif lease.state is LeaseState.RECALLED and lease.recalled_at is not None:
                # A call that nobody could announce may have begun before, and has the time of its function.
                until = lease.recalled_at + lease.container.spec.timeout_s + state.settings.cancel_grace_s
                if now >= until:
                    self._containers.kill(lease.container, "it did not close a call lease that was recalled")
                else:
                    pool.timers.watch(Timer.LEASE, lease_id, until)
