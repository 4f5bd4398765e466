"""Plans to containers: how many a pool should have by the autoscaler's plan, and which are started or stopped for that.

    plan ──▶ grow: a place on a node ──▶ that node's pace ──▶ start, or the pool is blocked, with the reason
        └──▶ shrink: idle containers, after their scaledown window
        ├──▶ roll: containers of a new version stand by, until there are enough of them to take over
        └──▶ move: containers on nodes that drain are replaced elsewhere, then leave

A blocked pool is reconsidered when room may have come: a container is gone or idle, or the nodes were observed. This
module must not know inputs one by one, or how a container starts and ends.
"""

from __future__ import annotations

from itertools import islice
from math import inf

from msgspec.structs import replace

from swell.engine.rules.call_leases import CallLeasing
from swell.engine.rules.containers import Containers
from swell.engine.rules.draining import Draining
from swell.engine.rules.nodes import Nodes, Wait
from swell.engine.rules.placing import Placing
from swell.engine.state.container import Container
from swell.engine.state.engine_state import EngineState
from swell.engine.state.pool import Pool
from swell.engine.state.timers import Timer
from swell.policy import autoscale
from swell.policy.placement import LOOKS_MAX, Leaver, first_to_leave

__all__ = ["Scaler"]


class Scaler:
    """Keeps the number of containers of each pool at its plan."""

    def __init__(
        self,
        state: EngineState,
        *,
        containers: Containers,
        nodes: Nodes,
        placing: Placing,
        draining: Draining,
        leasing: CallLeasing,
    ) -> None:
        self._state = state
        self._containers = containers
        self._nodes = nodes
        self._placing = placing
        self._draining = draining
        self._leasing = leasing

    def scale(self, pool: Pool, now: float) -> None:
        """Reconsider the plan and start or stop containers accordingly."""
        if pool.app.closing:
            self._containers.let_go(pool, now)
            return
        self._containers.end_replaced(pool, now)
        if pool.fleet.standby and not pool.fleet.ready:
            pool.take_over()
        if self._state.nodes.draining and not self._draining.give_up_starts(pool, now):
            return  # it was put off
        if pool.is_rolling:
            self._roll(pool, now)
        elif moving := self._draining.count(pool):
            self._move(pool, moving, now)
        else:
            self._adjust(pool, now)
            if pool.is_crowded:
                self._spread_floor(pool, now)
        pool.scaling.note(now, pool.fleet)
        self._state.note_crowded(pool)

    # ------------------------------------------------------------ the plan

    def _adjust(self, pool: Pool, now: float) -> None:
        outstanding = pool.backlog.count + pool.running_to_size_for
        if -(-outstanding // pool.capacity) == len(pool.fleet.ready) == pool.fleet.live and not _has_bounds(pool):
            # The common case on a warm pool: it is exactly as large as it needs to be, and no bound says otherwise.
            why = f"{outstanding} inputs fit the containers that are ready" if outstanding else "idle"
            pool.scaling.decide(autoscale.Plan(len(pool.fleet.ready), why))
            self._unblock(pool)
            return
        pool.scaling.decide(autoscale.decide(self._view(pool, len(pool.fleet.ready))))
        live = pool.fleet.live
        if live < pool.scaling.plan.containers:
            self._grow(pool, pool.scaling.plan.containers - live, now)
        else:
            self._unblock(pool)
            self._shrink(pool, now)

    def _view(self, pool: Pool, observed: int) -> autoscale.PoolView:
        settings = pool.settings
        if settings.buffer_containers and self._state.blocked.has_starved:
            # Room is being made for a function that has no container at all: nothing may be started just in reserve.
            settings = replace(settings, buffer_containers=0)
        return autoscale.PoolView(
            settings=settings,
            containers_max=self._state.settings.containers_max,
            capacity=pool.capacity,
            backlog=pool.backlog.count,
            running=pool.running_to_size_for,
            requested=len(pool.fleet.starting),
            observed=observed,
            service_s=pool.estimates.slowest_service_s,
            start_s=pool.estimates.start_s,
            single_use=pool.spec.single_use,
        )

    def _ceiling(self, pool: Pool) -> int:
        platforms = self._state.settings.containers_max
        return min(pool.settings.max_containers or platforms, platforms)

    # ------------------------------------------------------------ growing

    def _grow(self, pool: Pool, count: int, now: float, *, replacing: bool = False) -> None:
        """Start so many containers, or note why not all of them. If they are many, the rest is started in ticks."""
        state = self._state
        if now < pool.start_backoff.not_before:
            pool.scaling.block(f"starts pause after {pool.start_backoff.failures} failures in a row")
            pool.timers.arm(Timer.GROW, pool.start_backoff.not_before)
            state.unblock(pool)  # neither room nor a node's pace is what it waits for
            return
        live, wait = pool.fleet.live, None
        for _ in range(count):
            if state.agenda.is_spent:
                state.agenda.put_off(pool)  # blocked or not, as it was
                return
            wait = self._start_one(pool, now, replacing=replacing)
            if wait is not None:
                break
        if wait is None:
            pool.scaling.block("")
            state.unblock(pool)
        else:
            pool.scaling.block(wait.reason, brief_from=now if wait.is_brief else inf)
            grown = pool.fleet.live - live
            state.block(pool, wait.lacks, count - grown, is_paced=wait.is_paced, has_grown=grown > 0)

    def _start_one(self, pool: Pool, now: float, *, replacing: bool) -> Wait | None:
        """Start a container; return why that is impossible now, None if it is not."""
        state, live = self._state, pool.fleet.live
        place = self._placing.find_place(pool)
        if place is None:
            if live == 0 and state.nodes.has_service and self._make_room(pool, now):
                return Wait("room is being made by stopping idle containers of other functions", is_paced=False)
            wants = pool.spec.resources
            return Wait(self._placing.why_full(wants), is_paced=False, lacks=wants)
        known = state.nodes[place.node]
        is_demand = live >= max(1, pool.settings.min_containers or 0) and not replacing
        wait = self._nodes.why_not_now(pool, known, now, is_demand=is_demand)
        if wait is not None:
            return wait
        self._containers.start(pool, place, now)
        self._nodes.note_start()
        return None

    def _make_room(self, pool: Pool, now: float) -> bool:
        """Stop the longest idle container of another pool so that this one can have its first; True if one leaves."""
        state = self._state
        while not state.leaving:
            pool_id = state.spare.first
            if pool_id is None:
                return False
            other = state.pools[pool_id]
            longest_idle = other.longest_spare
            if longest_idle is None or longest_idle.idle_since != state.spare.least:
                state.note_spare(other)  # it has changed in this event, and was not looked at since
            else:
                self._containers.drain(longest_idle, now)
        return True

    def _unblock(self, pool: Pool) -> None:
        if pool.scaling.blocked_reason:  # as no pool is blocked without a reason
            pool.scaling.block("")
            self._state.unblock(pool)

    def _spread_floor(self, pool: Pool, now: float) -> None:
        """Start containers of a floor on nodes that came after the others; these leave when they are idle."""
        state, fleet = self._state, pool.fleet
        if now < pool.start_backoff.not_before:
            return
        while pool.is_crowded and len(fleet.by_node) < len(state.nodes.by_name) and fleet.live < self._ceiling(pool):
            place = self._placing.find_apart(pool)
            if place is None or self._nodes.why_not_now(pool, state.nodes[place.node], now, is_demand=False):
                return
            if state.agenda.is_spent:
                state.agenda.put_off(pool)
                return
            self._containers.start(pool, place, now)
            self._nodes.note_start()

    # ------------------------------------------------------------ shrinking

    def _shrink(self, pool: Pool, now: float) -> None:
        """Stop idle containers: at once above the ceiling, after the scaledown window above the plan."""
        fleet, agenda = pool.fleet, self._state.agenda
        while fleet.idle and fleet.live > pool.scaling.plan.containers:
            leaver = self._first_to_leave(pool, now)
            if leaver is None:
                return
            if agenda.is_spent:
                agenda.put_off(pool)
                return
            self._containers.drain(leaver, now)

    def _first_to_leave(self, pool: Pool, now: float) -> Container | None:
        """Return which of the containers that have been idle for longest leaves; None if none may, yet."""
        fleet, nodes = pool.fleet, self._state.nodes
        is_too_large, window = fleet.live > self._ceiling(pool), pool.settings.scaledown_window or 0
        if not is_too_large and len(fleet.ready) <= (pool.settings.min_containers or 0):
            return None  # it is needed until one that starts is ready
        leavers: list[Leaver] = []
        for container in islice(fleet.idle.values(), LOOKS_MAX):
            if not is_too_large and now < container.idle_since + window:
                pool.timers.arm(Timer.IDLE, container.idle_since + window)
                break
            if len(fleet.by_node) == 1:
                return container
            beside = len(fleet.by_node[container.place.node])
            wastes_gpus = not pool.spec.resources.gpu and nodes.has_gpus(container)
            leavers.append(Leaver(container.id, beside, nodes.crowd(container), wastes_gpus))
        # A floor that is spread stays so, if that is a matter of a few more containers.
        floor = 0 if is_too_large or len(leavers) == LOOKS_MAX else pool.settings.min_containers or 0
        placement = pool.spec.placement
        found = first_to_leave(leavers, placement=placement, nodes=len(fleet.by_node), floor=floor)
        return None if found is None else fleet.idle[found.container_id]

    # ------------------------------------------------------------ nodes that drain

    def _move(self, pool: Pool, moving: int, now: float) -> None:
        """Start containers elsewhere for those on nodes that drain, and let these go as others are ready.

        What the plan wants beyond these is started when they have gone.
        """
        fleet = pool.fleet
        serving = len(fleet.ready) - moving  # elsewhere
        plan = autoscale.decide(self._view(pool, serving))
        pool.scaling.decide(autoscale.Plan(plan.containers, f"containers leave nodes that drain: {plan.reason}"))
        missing = min(plan.containers - len(fleet.starting) - serving, moving)
        if missing > 0:
            self._grow(pool, min(missing, self._ceiling(pool) - fleet.live), now, replacing=True)
        else:
            self._unblock(pool)
        needed = max(0, plan.containers - serving)  # until others are ready
        if needed > len(fleet.starting):
            if self._placing.find_place(pool) is None:
                needed = len(fleet.starting)  # nothing can come for the others, whose work has to wait
            elif fleet.live >= self._ceiling(pool) and not fleet.starting:
                needed -= 1  # it makes room for its replacement
        if needed < moving:
            self._draining.let_go(pool, moving - needed, now)
            self._state.mark_dirty(pool)

    # ------------------------------------------------------------ a new version

    def _roll(self, pool: Pool, now: float) -> None:
        """Start containers of the new version; when enough of them stand by, they take over together."""
        fleet = pool.fleet
        plan = autoscale.decide(self._view(pool, len(fleet.standby)))
        pool.scaling.decide(autoscale.Plan(plan.containers, f"version {pool.version} takes over: {plan.reason}"))
        missing = plan.containers - len(fleet.starting) - len(fleet.standby)
        if missing > 0:
            self._grow(pool, min(missing, self._ceiling(pool) - fleet.live), now, replacing=True)
            if not fleet.starting and not fleet.standby and self._needs_a_former_place(pool):
                # No replacement fits beside the former containers: one of them makes room for it.
                self._containers.drain(next(iter(fleet.idle.values() or fleet.ready.values())), now)
                self._state.mark_dirty(pool)
                return
        else:
            self._unblock(pool)
        enough = min(plan.containers, len(fleet.ready))
        if pool.scaling.blocked_reason and not fleet.starting:
            enough = min(enough, len(fleet.standby) or 1)  # no more are coming for now
        if len(fleet.standby) >= enough and self._leasing.are_at_rest(pool, now):
            pool.take_over()
            self._containers.end_replaced(pool, now)
            self._state.mark_dirty(pool)

    def _needs_a_former_place(self, pool: Pool) -> bool:
        """Tell whether a replacement can only come when one of the former containers has gone."""
        if pool.fleet.leaving or pool.fleet.replaced:
            return False  # one is leaving
        is_capped = pool.fleet.live >= self._ceiling(pool)
        return is_capped or (bool(self._state.nodes) and self._placing.find_place(pool) is None)


def _has_bounds(pool: Pool) -> bool:
    settings = pool.settings
    return bool(settings.min_containers or settings.buffer_containers or settings.max_containers)
