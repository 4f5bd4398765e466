"""One container's life as the engine decides it: started, checked in, drained, interrupted, killed, and gone.

This module must not know how many containers there should be, or inputs one by one; `losses` settles the inputs that
a lost container held.
"""

from __future__ import annotations

from itertools import chain, islice
from math import inf

from swell.engine.events import KillContainer, StartContainer
from swell.engine.rules.losses import Losses
from swell.engine.rules.results import ResultPublisher
from swell.engine.state.call_lease import CallLease
from swell.engine.state.container import Container
from swell.engine.state.engine_state import EngineState
from swell.engine.state.pool import Pool
from swell.engine.state.timers import Timer
from swell.escaping import one_line
from swell.model import MemoryExcess, OutputStatus
from swell.policy.leasing import may_lease
from swell.policy.placement import Place
from swell.records import ContainerRecord
from swell.states import ContainerState
from swell.wire.leases import RecallLease
from swell.wire.messages import Drain, Interrupt, Ready

__all__ = ["Containers"]

WHY_MAX = 300  #: characters of the reason of a failed start that are kept


class Containers:
    """Starts containers and ends them."""

    def __init__(self, state: EngineState, losses: Losses, results: ResultPublisher) -> None:
        self._state = state
        self._losses = losses
        self._results = results

    # ------------------------------------------------------------ starting

    def start(self, pool: Pool, place: Place, now: float) -> None:
        """Have the backend start a container of a pool on a node."""
        state, app = self._state, pool.app
        container = Container(state.mint_container_id(), pool, place, now)
        state.agenda.spend()
        pool.fleet.add(container)
        state.add_container(container)
        pool.timers.watch(Timer.START, container.id, now + pool.spec.startup_timeout_s)
        state.emit(
            StartContainer(
                container_id=container.id,
                app_id=app.id,
                function_id=pool.id,
                function_ids=app.pinned_ids.get(pool.version, {}) if pool.is_pinned else app.function_ids,
                spec=pool.spec,
                environment=pool.deployment.environment,
                version=pool.version,
                node=place.node,
                gpus=place.gpus,
            )
        )

    def ready(self, container: Container, message: Ready, now: float) -> None:
        """A container has checked in."""
        if not container.check_in(now, takes_calls=message.takes_calls and may_lease(container.spec)):
            return
        pool = container.pool
        took = now - container.requested_at
        pool.estimates.learn_start(took)
        pool.measures.start.add(took)
        pool.start_backoff.succeeded()
        pool.fleet.check_in(container)
        self._state.note_check_in(container)
        self._state.mark_dirty(pool)
        self._state.room_came()  # a node takes so many at a time that are starting

    def check_starts(self, pool: Pool, now: float) -> None:
        """Give up on containers that take longer than the startup timeout."""
        for container_id in pool.timers.take_due(Timer.START, now):
            container = pool.fleet.containers.get(container_id)
            if container is None or not container.is_starting or container.is_killed:
                continue
            text = f"not ready within startup_timeout = {container.spec.startup_timeout_s:g} s"
            if container.startup_failure is None:
                container.fail_start(text)
            self.kill(container, text, its_fault=True)

    # ------------------------------------------------------------ ending

    def drain(self, container: Container, now: float) -> None:
        """Let a container finish what it has started, run its exit hooks and leave."""
        state = self._state
        container.pool.fleet.retire(container)
        if container.is_starting:
            # User code has not run to an end yet: there is nothing to be graceful about.
            self.kill(container, "stopped before it was ready")
            return
        if container.state not in (ContainerState.READY, ContainerState.LEAVING):
            return  # it was told to leave, or is being killed
        if container.is_leased:
            self.leave(container, now)  # it would refuse requests on their way to it: it is told after the last one
            return
        state.agenda.spend()
        container.drain(now + state.settings.exit_grace_s)
        self._recall_leases(container, now)
        container.pool.timers.watch(Timer.DRAIN, container.id, container.drain_until)
        state.note_leaving(container)
        state.mark_dirty(container.pool)
        state.send_to_container(container, Drain(state.settings.exit_grace_s))

    def leave(self, container: Container, now: float) -> None:
        """Give a container no more inputs, also by way of call leases; it is told to leave when it has none."""
        container.leave()
        for lease in self._recall_leases(container, now):
            self._state.send_to_container(container, RecallLease(lease.id))

    def _recall_leases(self, container: Container, now: float) -> list[CallLease]:
        """Recall the call leases of a container that is to leave: a Drain or an Interrupt says as much to it."""
        recalled = [lease for lease in container.leases.values() if lease.is_open]
        for lease in recalled:
            lease.recall(now)
            container.pool.measures.count_recalled()
        return recalled

    def let_go(self, pool: Pool, now: float) -> None:
        """Let the containers of a pool leave that is to have none; of very many, some now and the rest in ticks."""
        fleet, agenda = pool.fleet, self._state.agenda
        self.end_replaced(pool, now)
        stay = chain(fleet.ready.values(), fleet.starting.values(), fleet.standby.values())
        for container in list(islice(stay, max(0, agenda.changes_left))):
            self.drain(container, now)
        if fleet.live:
            agenda.put_off(pool)

    def end_replaced(self, pool: Pool, now: float) -> None:
        """Tell containers to leave that a new version has replaced; if they are very many, the rest in ticks."""
        replaced, agenda = pool.fleet.replaced, self._state.agenda
        while replaced:
            if agenda.is_spent:
                agenda.put_off(pool)
                return
            container, reason = next(iter(replaced.values()))
            if reason:
                self.interrupt(container, reason, now)
            else:
                self.drain(container, now)

    def interrupt(self, container: Container, reason: str, now: float, *, within_s: float = inf) -> None:
        """Stop what a container runs, which runs again elsewhere; it may run its exit hooks and must leave.

        Args:
            container: it.
            reason: why, in words.
            now: the time.
            within_s: how long its exit hooks may take, if that is less than the settings say.
        """
        container.pool.fleet.retire(container)
        if container.is_killed:
            return
        self._state.agenda.spend()
        grace_s = min(self._state.settings.exit_grace_s, within_s)
        container.interrupt(reason, now + grace_s)
        self._recall_leases(container, now)
        container.pool.timers.watch(Timer.DRAIN, container.id, container.drain_until)
        self._state.note_leaving(container)
        self._state.mark_dirty(container.pool)
        self._state.send_to_container(container, Interrupt(grace_s))

    def kill(self, container: Container, reason: str, *, its_fault: bool = False) -> None:
        """Have a container killed. Its inputs are not blamed for its death, unless it is its own fault."""
        if container.is_killed:
            return
        self._state.agenda.spend()
        container.kill("" if its_fault else reason)
        if not container.is_starting:
            container.pool.fleet.retire(container)  # a start that is given up counts until it is gone, and failed
            self._state.mark_dirty(container.pool)
        self._state.emit(KillContainer(container.id, reason))

    def check_drains(self, pool: Pool, now: float) -> None:
        """Kill containers that have not left within their grace."""
        for container_id in pool.timers.take_due(Timer.DRAIN, now):
            container = pool.fleet.leaving.get(container_id)
            if container is None or container.is_killed:
                continue
            if now >= container.drain_until:
                if not container.running or container.is_cut_short or self._state.is_stopping:
                    self.kill(container, "did not leave within its grace")
                    continue
                # It finishes what it has started, for which it has all the time of its function; the grace is for what
                # comes after that.
                container.extend_drain(now + self._state.settings.exit_grace_s)
            pool.timers.watch(Timer.DRAIN, container_id, container.drain_until)

    # ------------------------------------------------------------ gone

    def gone(self, container: Container, reason: str, now: float, excess: MemoryExcess | None = None) -> None:
        """Take in that a container's process has ended (or was never made): free what it took, count a failed start.

        Args:
            container: it.
            reason: how it ended, in words.
            now: the time.
            excess: the memory it used, if it was killed for that.
        """
        state, pool = self._state, container.pool
        has_node = container.place.node in state.nodes.by_name
        container.end()
        self._losses.lost(container, reason, now, excess)
        state.forget_over(pool)
        pool.fleet.remove(container)
        pool.timers.forget(container.id)
        state.remove_container(container)
        self._remember(container, reason if excess is not None else container.crash_expected or reason, now)
        if container.state is ContainerState.LOST:
            pool.measures.count_lost_container()
        elif container.state is ContainerState.FAILED:
            pool.measures.count_failed_container()
            if has_node:  # else it is the node that failed: others are tried, as often as there are
                self._start_failed(pool, *(container.startup_failure or (f"the container ended: {reason}", b"")), now)
        state.room_came()  # first: the room may have been made for one of them
        state.mark_dirty(pool)

    def _remember(self, container: Container, reason: str, now: float) -> None:
        pool = container.pool
        record = ContainerRecord(
            container_id=container.id,
            app_id=pool.app.id,
            function_id=pool.id,
            function_name=pool.spec.name,
            requested_at=container.requested_at,
            ended_at=now,
            reason=reason,
            ready_at=container.ready_at,
            served=container.served,
            state=container.shown_as,
            version=container.version,
        )
        self._state.histories.keep_container(record)
        if pool.app.kind.is_durable:
            self._state.persist(record)

    def _start_failed(self, pool: Pool, text: str, payload: bytes, now: float) -> None:
        state = self._state
        pool.start_backoff.failed(f"{one_line(text):.{WHY_MAX}}", now, state.settings.start_backoff_s)
        if pool.start_backoff.failures >= state.settings.start_failures_max and not pool.app.kind.is_durable:
            # An ephemeral app's user is watching: tell them what is wrong instead of trying for ever.
            self._results.fail_pending(pool, OutputStatus.INIT_FAILURE, payload or text.encode(), now)
        elif pool.is_down:
            # Whoever waits for a response does not wait for a person who mends the app. Starts go on, after pauses.
            self._results.fail_requests(pool, OutputStatus.INIT_FAILURE, text.encode(), now)
