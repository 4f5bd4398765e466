"""Containers to plans: starts and stops what the autoscaler wants, within what the nodes can hold and bear.

This module must not know inputs one by one; what a lost container held is the business of `losses`.
"""

from __future__ import annotations

from msgspec.structs import replace

from swell.engine.events import KillContainer, LookAtNodes, NodesObserved, StartContainer
from swell.engine.rules.losses import Losses
from swell.engine.rules.results import ResultPublisher
from swell.engine.state.container import Container
from swell.engine.state.engine_state import EngineState
from swell.engine.state.node import KnownNode
from swell.engine.state.pool import Pool
from swell.engine.state.timers import Timer
from swell.model import MemoryExcess, OutputStatus
from swell.policy import autoscale, pace
from swell.policy.placement import Place, find_place
from swell.records import ContainerRecord
from swell.states import ContainerState
from swell.wire.messages import Drain, Interrupt

__all__ = ["Scaler"]


class Scaler:
    """Keeps the number of containers of each pool at its plan."""

    def __init__(self, state: EngineState, losses: Losses, results: ResultPublisher) -> None:
        self._state = state
        self._losses = losses
        self._results = results
        self._look_due = 0.0
        self._look_wanted = False
        self._look_every = pace.LOOK_EVERY_S
        self._looked_in_vain = False  #: nothing was started since the last look

    # ------------------------------------------------------------ towards the plan

    def scale(self, pool: Pool, now: float) -> None:
        """Reconsider the plan and start or stop containers accordingly."""
        if pool.app.closing:
            return
        if pool.fleet.standby and not pool.fleet.ready:
            pool.take_over()
        if pool.is_rolling:
            self._roll(pool, now)
        else:
            self._settle_size(pool, now)
        pool.scaling.note(now, pool.fleet.live)

    def _settle_size(self, pool: Pool, now: float) -> None:
        outstanding = pool.backlog.count + pool.running_to_size_for
        if -(-outstanding // pool.capacity) == len(pool.fleet.ready) == pool.fleet.live and not self._has_bounds(pool):
            # The common case on a warm pool: it is exactly as large as it needs to be, and no bound says otherwise.
            why = f"{outstanding} inputs fit the containers that are ready" if outstanding else "idle"
            pool.scaling.decide(autoscale.Plan(len(pool.fleet.ready), why))
            self._end_hunger(pool)
            return
        pool.scaling.decide(autoscale.decide(self._view(pool, len(pool.fleet.ready))))
        live = pool.fleet.live
        if live < pool.scaling.plan.containers:
            self._grow(pool, pool.scaling.plan.containers - live, now)
        else:
            self._end_hunger(pool)
            self._shrink(pool, now)

    def _roll(self, pool: Pool, now: float) -> None:
        """Bring up containers of the new version; when there are enough of them, they take over together."""
        plan = autoscale.decide(self._view(pool, len(pool.fleet.standby)))
        pool.scaling.decide(autoscale.Plan(plan.containers, f"version {pool.version} takes over: {plan.reason}"))
        missing = plan.containers - len(pool.fleet.starting) - len(pool.fleet.standby)
        if missing > 0:
            self._grow(pool, min(missing, self._ceiling(pool) - pool.fleet.live), now, replacing=True)
            if not pool.fleet.starting and not pool.fleet.standby and self._must_make_place(pool):
                # No replacement fits beside what is there: one of these makes place for it.
                self.drain(next(iter(pool.fleet.idle.values() or pool.fleet.ready.values())), now)
                self._state.mark_dirty(pool)
                return
        else:
            self._end_hunger(pool)
        enough = min(plan.containers, len(pool.fleet.ready))
        if pool.scaling.blocked_reason and not pool.fleet.starting:
            enough = min(enough, len(pool.fleet.standby) or 1)  # no more are coming for now
        if len(pool.fleet.standby) >= enough:
            for container in pool.take_over():
                self.drain(container, now)
            self._state.mark_dirty(pool)

    def _must_make_place(self, pool: Pool) -> bool:
        """Tell whether a replacement can only come when one of the former containers has gone."""
        if any(container.was_told_to_leave for container in pool.fleet.containers.values()):
            return False  # one is leaving
        is_capped = pool.fleet.live >= self._ceiling(pool)
        return is_capped or (bool(self._state.nodes) and not find_place(self._state.rooms(), pool.spec.resources))

    def _ceiling(self, pool: Pool) -> int:
        platforms = self._state.settings.containers_max
        return min(pool.settings.max_containers or platforms, platforms)

    def _has_bounds(self, pool: Pool) -> bool:
        settings = pool.settings
        return bool(settings.min_containers or settings.buffer_containers or settings.max_containers)

    def _view(self, pool: Pool, observed: int) -> autoscale.PoolView:
        settings = pool.settings
        if settings.buffer_containers and any(not other.fleet.live for other in self._state.blocked.values()):
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

    def _grow(self, pool: Pool, count: int, now: float, *, replacing: bool = False) -> None:
        state = self._state
        if now < pool.start_backoff.not_before:
            pool.scaling.block(f"starts pause after {pool.start_backoff.failures} failures in a row")
            pool.timers.arm(Timer.GROW, pool.start_backoff.not_before)
            return
        floor, reason = pool.settings.min_containers or 0, ""
        for _ in range(count):
            live = pool.fleet.live
            place = find_place(state.rooms(), pool.spec.resources)
            if place is None:
                if live == 0 and self._make_room(pool, now):
                    reason = "room is being made by stopping idle containers of other functions"
                else:
                    reason = "the nodes are full" if state.nodes else "no node is known yet"
                break
            known = state.nodes[place.node]
            is_demand = live >= max(1, floor) and not replacing
            reason = self._too_fast(known, is_demand=is_demand)
            if not reason and is_demand:
                reason = self._too_early(pool, known, now)
            if reason:
                self._want_look(now)
                break
            self._start(pool, place, now)
            if is_demand:
                known.count_start()
        pool.scaling.block(reason)
        if reason:
            state.mark_blocked(pool)
        else:
            state.unblock(pool)

    def _end_hunger(self, pool: Pool) -> None:
        pool.scaling.block("")
        self._state.unblock(pool)

    def _too_fast(self, known: KnownNode, *, is_demand: bool) -> str:
        """Return why the node should not start one more container at this moment; "" if it may."""
        starting = sum(
            container.is_starting and container.place.node == known.node.name
            for container in self._state.containers.values()
        )
        cores = known.node.cpu
        if is_demand:
            left = known.begin_pace().left
            if pace.saturated(known.busy_cores, cores) and not left:
                return (
                    f"containers keep {known.busy_cores:.1f} of {cores:g} cores busy; more would share the same cores"
                )
            return "" if left else "containers are started in growing bursts"
        if starting >= pace.starting_max(cores) and pace.saturated(known.busy_cores, cores):
            return f"{starting} containers are starting and keep {known.busy_cores:.1f} of {cores:g} cores busy"
        if starting >= pace.starting_max(cores) * 4:
            return f"{starting} containers are starting"
        return ""

    @staticmethod
    def _too_early(pool: Pool, known: KnownNode, now: float) -> str:
        """Return why to wait for a pool's first containers: nobody knows yet how long starts and inputs take."""
        if pool.estimates.start_s is not None:
            return ""
        starting = [each.requested_at for each in pool.fleet.containers.values() if each.is_starting]
        if len(starting) < pace.first_burst(known.node.cpu) or now > min(starting) + pace.FIRST_PATIENCE_S:
            return ""
        return "waiting to see how long the first containers take to start"

    def _start(self, pool: Pool, place: Place, now: float) -> None:
        state = self._state
        container = Container(state.mint_container_id(), pool, place, now)
        pool.fleet.add(container)
        self._looked_in_vain = False
        state.add_container(container)
        pool.timers.arm(Timer.START, now + pool.spec.startup_timeout_s)
        app = pool.app
        state.emit(
            StartContainer(
                container.id,
                app.id,
                pool.id,
                app.function_ids if not pool.is_pinned else self._pinned_ids(pool),
                pool.spec,
                pool.deployment.environment,
                pool.version,
                place.node,
                place.gpus,
            )
        )

    def _pinned_ids(self, pool: Pool) -> dict[str, str]:
        """Return the ids of the functions of a pinned pool's own version: its code calls those."""
        return {
            other.spec.name: other.id
            for other in pool.app.pools.values()
            if other.is_pinned and other.version == pool.version and other.variant is None
        }

    def _shrink(self, pool: Pool, now: float) -> None:
        """Stop idle containers: at once what is over the ceiling, after the window what is over the plan."""
        idle = list(pool.fleet.idle.values())
        if not idle:
            return
        ceiling = self._ceiling(pool)
        window = pool.settings.scaledown_window or 0
        surplus = pool.fleet.live - pool.scaling.plan.containers
        for container in idle:
            if surplus <= 0:
                return
            expires = container.idle_since + window
            if pool.fleet.live > ceiling or now >= expires:
                self.drain(container, now)
                surplus -= 1
            else:
                pool.timers.arm(Timer.IDLE, expires)
                return

    def _make_room(self, pool: Pool, now: float) -> bool:
        """Stop the longest idle container of another pool so that this one can have its first; True if one leaves."""
        state = self._state
        idle = [
            container
            for other in state.pools.values()
            if other is not pool and not other.backlog.count and other.fleet.live > (other.settings.min_containers or 0)
            for container in other.fleet.idle.values()
        ]
        if any(container.was_told_to_leave for container in state.containers.values()):
            return True
        if not idle:
            return False
        self.drain(min(idle, key=lambda container: (container.idle_since, container.id)), now)
        return True

    # ------------------------------------------------------------ one container's life

    def ready(self, container: Container, now: float) -> None:
        """A container has checked in."""
        if not container.check_in(now):
            return
        pool = container.pool
        took = now - container.requested_at
        pool.estimates.learn_start(took)
        pool.measures.start.add(took)
        pool.start_backoff.succeeded()
        pool.fleet.check_in(container)
        self._state.mark_dirty(pool)
        self._touch_starved()

    def drain(self, container: Container, now: float) -> None:
        """Let a container finish what it has started, run its exit hooks and leave."""
        state = self._state
        container.pool.fleet.retire(container)
        if container.is_starting:
            # Nothing of the user's has run to the end: there is nothing to be graceful about.
            self.kill(container, "stopped before it was ready")
            return
        if container.state not in (ContainerState.READY, ContainerState.LEAVING):
            return  # it was told to leave, or is being killed
        if container.is_leased:
            container.leave()  # it would refuse requests that are on their way to it: it is told after the last one
            return
        container.drain(now + state.settings.exit_grace_s)
        container.pool.timers.arm(Timer.DRAIN, container.drain_until)
        state.mark_dirty(container.pool)
        state.send_to_container(container, Drain(state.settings.exit_grace_s))

    def interrupt(self, container: Container, reason: str, now: float) -> None:
        """Have a container leave at once, but for its exit hooks; what it runs is run again elsewhere."""
        container.pool.fleet.retire(container)
        if container.is_killed:
            return
        grace_s = self._state.settings.exit_grace_s
        container.interrupt(reason, now + grace_s)
        container.pool.timers.arm(Timer.DRAIN, container.drain_until)
        self._state.mark_dirty(container.pool)
        self._state.send_to_container(container, Interrupt(grace_s))

    def kill(self, container: Container, reason: str, *, its_fault: bool = False) -> None:
        """Have a container killed. Nobody is blamed for its death, unless it is its own fault."""
        if container.is_killed:
            return
        container.kill("" if its_fault else reason)
        if not container.is_starting:
            container.pool.fleet.retire(container)  # a start that is given up counts until it is gone, and failed
        self._state.emit(KillContainer(container.id, reason))

    def gone(self, container: Container, reason: str, now: float, excess: MemoryExcess | None = None) -> None:
        """A container's process is over (or was never made): return what it took, count it if it failed to start."""
        state, pool = self._state, container.pool
        container.end()
        self._losses.lost(container, reason, now, excess)
        pool.fleet.remove(container)
        state.remove_container(container)
        self._remember(container, reason if excess is not None else container.crash_expected or reason, now)
        pool.measures.containers_lost += container.state is ContainerState.LOST
        if container.state is ContainerState.FAILED:
            pool.measures.containers_failed += 1
            self._start_failed(pool, *(container.startup_failure or (f"the container ended: {reason}", b"")), now)
        self._touch_starved()  # first: the room may have been made for one of them
        state.mark_dirty(pool)

    def _remember(self, container: Container, reason: str, now: float) -> None:
        pool = container.pool
        record = ContainerRecord(
            container.id,
            pool.app.id,
            pool.id,
            pool.spec.name,
            container.requested_at,
            now,
            reason,
            container.ready_at,
            container.served,
            container.shown_as,
            container.version,
        )
        self._state.histories.keep_container(record)
        if pool.app.kind.is_lasting:
            self._state.persist(record)

    def _start_failed(self, pool: Pool, text: str, payload: bytes, now: float) -> None:
        state = self._state
        pool.start_backoff.failed(now, state.settings.start_backoff_s)
        if pool.start_backoff.failures >= state.settings.start_failures_max and not pool.app.kind.is_lasting:
            # An ephemeral app's user is watching: tell them what is wrong instead of trying for ever.
            self._results.fail_pending(pool, OutputStatus.INIT_FAILURE, payload or text.encode(), now)

    # ------------------------------------------------------------ time

    def check_starts(self, pool: Pool, now: float) -> None:
        """Give up on containers that take longer than the startup timeout."""
        limit = pool.spec.startup_timeout_s
        for container in list(pool.fleet.containers.values()):
            if container.is_starting and not container.is_killed:
                if now >= container.requested_at + limit:
                    text = f"not ready within startup_timeout = {limit:g} s"
                    if container.startup_failure is None:
                        container.fail_start(text)
                    self.kill(container, text, its_fault=True)
                else:
                    pool.timers.arm(Timer.START, container.requested_at + limit)

    def check_drains(self, pool: Pool, now: float) -> None:
        """Kill what has not left within its grace."""
        for container in list(pool.fleet.containers.values()):
            if not container.was_told_to_leave or container.is_killed:
                continue
            if now < container.drain_until:
                pool.timers.arm(Timer.DRAIN, container.drain_until)
            elif container.executing and not (container.is_cut_short or self._state.is_stopping):
                # It finishes what it has started, for which it has all the time of its function; the grace is for what
                # comes after that.
                container.extend_drain(now + self._state.settings.exit_grace_s)
                pool.timers.arm(Timer.DRAIN, container.drain_until)
            else:
                self.kill(container, "did not leave within its grace")

    # ------------------------------------------------------------ nodes

    def observed(self, event: NodesObserved, now: float) -> None:
        """Nodes were looked at."""
        self._state.observe_nodes(event.nodes)
        self._look_wanted = False
        self._look_every = pace.next_look(self._look_every, in_vain=self._looked_in_vain)
        self._looked_in_vain = True
        self._look_due = now + self._look_every
        self._touch_starved()

    def _want_look(self, now: float) -> None:
        if not self._look_wanted:
            self._look_wanted = True
            self._look_due = max(self._look_due, now)

    @property
    def look_at(self) -> float:
        """When the nodes should be looked at again; infinity if nobody waits for that."""
        return self._look_due if self._look_wanted else float("inf")

    def look(self, now: float) -> None:
        """Ask for a look at the nodes if it is time."""
        if now >= self.look_at:
            self._look_due = now + self._look_every
            self._state.emit(LookAtNodes())

    def _touch_starved(self) -> None:
        """Reconsider the pools that could not grow, first those that have nothing."""
        for pool in sorted(self._state.blocked.values(), key=lambda pool: pool.fleet.live > 0):
            self._state.mark_dirty(pool)
