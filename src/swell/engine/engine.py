"""The engine: events in, effects out, in one deterministic step each.

`handle` and `tick` change only the engine and return effects, in order. The same events at the same times give the same
effects, byte for byte. Every step ends with `_finish`: the pools that it marked dirty are dispatched and scaled. If
they are too many for one step, the rest is put off to ticks that are due at once (see `state.agenda`).

Three tables route: events by `_event_handlers` here, messages by `client_messages` and `container_messages`. Nothing
here reads a clock, draws a random number or performs I/O.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from swell.config import Settings
from swell.engine.client_messages import ClientMessages
from swell.engine.container_messages import ContainerMessages
from swell.engine.events import (
    CallLoaded,
    CallsLoaded,
    ClientGone,
    ClientLags,
    ClientMessage,
    ContainerExited,
    ContainerMessage,
    ContainerStarted,
    DeploymentRead,
    Effect,
    Event,
    NodeDrains,
    NodesObserved,
    ShutdownRequested,
    SpansLoaded,
    StateRestored,
    StoreTroubled,
    TraceRead,
)
from swell.engine.rules.unchanged import answer
from swell.engine.state.check import check
from swell.engine.state.engine_state import EngineState
from swell.engine.state.pool import Pool
from swell.engine.state.timers import Timer
from swell.engine.views.snapshot import SnapshotView
from swell.engine.views.stats import StatsView
from swell.engine.wiring import Rules

__all__ = ["Engine"]


class Engine:
    """Decides about apps, calls, inputs and containers; its state is the only truth about them."""

    def __init__(self, settings: Settings, seed: str = "") -> None:
        self.state = EngineState(settings, seed)
        rules = self._rules = Rules(self.state)
        self.snapshot = SnapshotView(self.state)
        self.stats = StatsView(self.state)
        self._clients = ClientMessages(self.state, rules)
        self._containers = ContainerMessages(self.state, rules)
        self._handlers = self._event_handlers()
        self._wakes: list[tuple[float, str]] = []
        self._timer_handlers: dict[Timer, Callable[[Pool, float], None]] = {
            Timer.WORK: rules.dispatcher.check_work,
            Timer.LATE: rules.dispatcher.check_late,
            Timer.TIMEOUT: rules.timeouts.check_inputs,
            Timer.START: rules.containers.check_starts,
            Timer.DRAIN: rules.containers.check_drains,
            Timer.RESIST: rules.timeouts.check_revoked,
            Timer.SCHEDULE: rules.schedules.check,
            Timer.LEASE: rules.call_leases.check,
            # These only have the pool dispatched and scaled again, which follows every timer.
            Timer.RETRY: lambda pool, now: None,
            Timer.BATCH: lambda pool, now: None,
            Timer.BURST: lambda pool, now: None,
            Timer.IDLE: lambda pool, now: None,
            Timer.GROW: lambda pool, now: None,
            Timer.PUT_AWAY: lambda pool, now: None,
            Timer.RECALL: lambda pool, now: None,
        }

    def _event_handlers(self) -> dict[type[Event], Callable[[Any, float], None]]:
        pager, deployments = self._rules.pager, self._rules.deployments
        return {
            ClientMessage: self._clients.handle,
            ClientGone: self._client_gone,
            ClientLags: lambda event, _: self._rules.admission.lags(event.client, event.is_lagging),
            ContainerMessage: self._containers.handle,
            ContainerStarted: self._container_started,
            ContainerExited: self._container_exited,
            NodeDrains: self._rules.draining.told,
            NodesObserved: self._rules.nodes.observed,
            ShutdownRequested: self._shut_down,
            StateRestored: lambda event, now: deployments.restore(event.state, now),
            CallLoaded: lambda event, now: self._rules.lookups.answer(
                event, self._clients.handle_later, self._rules.calls.begin, now
            ),
            CallsLoaded: pager.calls_loaded,
            SpansLoaded: pager.spans_loaded,
            DeploymentRead: deployments.read,
            TraceRead: self._trace_read,
            StoreTroubled: self._store_troubled,
        }

    # ------------------------------------------------------------ the interface

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Handle an event and return its effects."""
        self.state.agenda.begin()
        self._handlers[type(event)](event, now)
        return self._finish(now)

    def tick(self, now: float) -> list[Effect]:
        """Handle the timers that are due, and look at pools that were put off. If there are many: some of them."""
        state, wakes = self.state, self._wakes
        state.agenda.begin_tick()
        for _ in range(state.agenda.sweep_max):
            if not wakes or wakes[0][0] > now:
                break
            _, pool_id = heapq.heappop(wakes)
            pool = state.pools.get(pool_id)
            if pool is None:
                continue
            for timer in pool.timers.due(now):
                pool.timers.disarm(timer)
                self._timer_handlers[timer](pool, now)
            state.mark_dirty(pool)
        self._rules.cancelling.go_on(now)
        self._rules.draining.evict(now)
        self._rules.nodes.poll(now)
        return self._finish(now)

    def next_deadline(self) -> float:
        """Return when the next timer is due; infinity if none is armed, 0 if something was put off."""
        if self.state.agenda.later or self.state.cancellations:
            return 0.0
        pools = self._wakes[0][0] if self._wakes else float("inf")
        rules = self._rules
        return min(pools, rules.nodes.poll_at, rules.draining.evict_at, rules.elastic.due_at)

    def validate(self) -> None:
        """Raise AssertionError if the engine's state contradicts itself. For tests and the simulator."""
        check(self.state)

    # ------------------------------------------------------------ events

    def _client_gone(self, event: ClientGone, now: float) -> None:
        rules, client = self._rules, event.client
        rules.admission.client_gone(client, now)
        rules.container_requests.client_gone(client, now)
        rules.call_leases.client_gone(client, now)
        rules.web.client_gone(client)
        rules.apps.client_gone(client, now)

    def _container_started(self, event: ContainerStarted, now: float) -> None:
        container = self.state.containers.get(event.container_id)
        if container is not None:
            container.begin_start()

    def _container_exited(self, event: ContainerExited, now: float) -> None:
        container = self.state.containers.get(event.container_id)
        if container is not None:
            self._rules.containers.gone(container, event.reason, now, event.excess)
            self._rules.apps.end_if_empty(container.pool.app)

    def _shut_down(self, event: ShutdownRequested, now: float) -> None:
        """Stop every app. Durable ones go on with the next server."""
        self.state.begin_stopping()
        apps = self._rules.apps
        for app in list(self.state.apps.values()):
            end = apps.suspend if app.kind.is_durable else apps.stop
            end(app, now, event.reason)

    def _trace_read(self, event: TraceRead, now: float) -> None:
        answer(self.state, event.client, event.request, lambda: self._rules.questions.tell_stored_story(event))

    def _store_troubled(self, event: StoreTroubled, now: float) -> None:
        self.state.note_store_trouble(event.why)

    # ------------------------------------------------------------ after every step

    def _finish(self, now: float) -> list[Effect]:
        """Dispatch and scale the pools that changed, and note when their next timers are due. Too many are put off."""
        state, rules = self.state, self._rules
        while (pool := state.agenda.take()) is not None:
            state.note_changed(pool.app)
            rules.dispatcher.release(pool, now)
            rules.scaler.scale(pool, now)
            if not pool.app.closing:
                rules.dispatcher.dispatch(pool, now)
            if pool.leases.wants_look:
                rules.call_leases.settle(pool, now)
            state.note_spare(pool)
            if pool.window.has_calls:
                rules.pager.refill(pool)
            if pool.variant is not None and rules.variants.put_away_if_idle(pool, now):
                continue  # it is put away
            if pool.is_retired:
                rules.deployments.remove_if_drained(pool, now)
            elif pool.app.may_end_idle:
                rules.apps.end_if_idle(pool.app, now)
            at = pool.timers.sooner_wake()
            if at is not None:
                heapq.heappush(self._wakes, (at, pool.id))
        if rules.elastic.is_on:
            rules.elastic.settle(now)
        if state.edges.routes_changed and state.edges.take_routes_changed():
            rules.web.tell_routes()
        return state.take_effects()
