"""Inputs to slots: which container gets which inputs now, and which must give some back.

This module must not know how results are handled or how many containers there should be.
"""

from __future__ import annotations

import math

from swell.engine.rules.leases import Leases
from swell.engine.state.container import Container, Delivery
from swell.engine.state.engine_state import EngineState
from swell.engine.state.history import EventKind
from swell.engine.state.pool import Pool
from swell.engine.state.span import Part
from swell.engine.state.timers import Timer
from swell.items import concat
from swell.model import CallKind, DeliveryMode
from swell.policy.batching import batch_due_at, batch_size_now
from swell.policy.sizing import span_size
from swell.wire.messages import Deliver, Reclaim

__all__ = ["Dispatcher"]

SERIAL, PARALLEL = DeliveryMode.SERIAL, DeliveryMode.PARALLEL
BATCH, LEASE = DeliveryMode.BATCH, DeliveryMode.LEASE
#: Work worth taking back from a busy container for an idle one; less is done sooner than it is moved.
RECLAIM_WORTH_S = 0.002
#: Slack before an estimate counts as wrong: a busy host keeps a process waiting for this long now and then.
PATIENCE_S = 0.010
#: How long inputs wait for a container that is starting rather than fill those that are there beyond their target.
START_PATIENCE_S = 1.0
#: Containers of which the median age of an input is taken.
AGES_MAX = 64


class Dispatcher:
    """Hands the backlog of a pool to its containers."""

    def __init__(self, state: EngineState, leases: Leases) -> None:
        self._state = state
        self._leases = leases

    def release(self, pool: Pool, now: float) -> None:
        """Queue the inputs whose retry is due. Before the pool is scaled: it may have no container."""
        pool.backlog.release(now)
        if pool.backlog.delayed_until is not None:
            pool.timers.arm(Timer.RETRY, pool.backlog.delayed_until)

    def dispatch(self, pool: Pool, now: float) -> None:
        """Place as many waiting inputs as the pool's slots allow."""
        if pool.fleet.serving.batching is not None:
            self._batches(pool, now)
        elif pool.is_serial:
            self._serial(pool, now)
        else:
            self._parallel(pool, now)
        if pool.backlog.count and pool.counts.running_total and Timer.WORK not in pool.timers.at:
            pool.timers.arm(Timer.WORK, now + 2 * (pool.estimates.service_s or 0.0) + PATIENCE_S)

    # ------------------------------------------------------------ one input at a time

    def _serial(self, pool: Pool, now: float) -> None:
        """Give idle containers inputs, the one used last first, so that surplus ones grow idle; then run ahead."""
        backlog, fleet = pool.backlog, pool.fleet
        if not backlog.count:
            self._rebalance(pool)
            return
        while (container := fleet.latest_idle) is not None:
            # One that was overdue and has returned all may still have to read what it has returned, which can be much.
            size = 1 if container.stalled else self._span_size(pool, 0)
            self._deliver(container, SERIAL, backlog.take(size), now)
            if not backlog.count:
                return
        if pool.hold_max == 1:
            return
        # The emptiest first, each once. When that one has enough, or has had its turn, all others hold no less.
        given: set[str] = set()
        while not backlog.next_is_alone and (container := fleet.busy.emptiest()) is not None:
            size = self._span_size(pool, container.holds)
            if not size or container.id in given:
                return
            given.add(container.id)
            self._deliver(container, SERIAL, backlog.take(size), now)
            if not backlog.count:
                return

    @staticmethod
    def _span_size(pool: Pool, holds: int) -> int:
        return span_size(
            backlog=pool.backlog.count,
            slots=len(pool.fleet.ready),
            holds=holds,
            hold_max=pool.hold_max,
            service_s=pool.estimates.service_s,
        )

    def _rebalance(self, pool: Pool) -> None:
        """When a slot is idle and nothing waits, take unstarted inputs back from the container that holds most."""
        fleet, service_s = pool.fleet, pool.estimates.service_s
        if pool.hold_max == 1 or service_s is None or len(fleet.reclaiming) >= len(fleet.idle):
            return
        victim = fleet.busy.fullest()
        if victim is not None and (victim.holds - 1) * service_s > RECLAIM_WORTH_S:
            self._reclaim(victim)

    # ------------------------------------------------------------ several at a time

    def _parallel(self, pool: Pool, now: float) -> None:
        backlog, is_single_use = pool.backlog, pool.fleet.serving.single_use
        for limit in self._limits(pool, now):
            while backlog.count and (container := _with_room(pool, limit)) is not None:
                room = 1 if is_single_use else (container.own_slots or limit) - container.slots_used
                self._deliver(container, PARALLEL, backlog.take(room), now)

    def _batches(self, pool: Pool, now: float) -> None:
        backlog, batching = pool.backlog, pool.fleet.serving.batching
        assert batching is not None
        for limit in self._limits(pool, now):
            while backlog.count and (container := _with_room(pool, limit)) is not None:
                oldest_at = backlog.oldest_at
                size = batch_size_now(batching, queued=backlog.count, oldest_at=oldest_at, now=now)
                if not size:
                    pool.timers.arm(Timer.BATCH, batch_due_at(batching, oldest_at))
                    return
                self._deliver(container, BATCH, backlog.take(size), now)

    def _limits(self, pool: Pool, now: float) -> tuple[int, ...]:
        """Return how many slots of each container to use: what dispatch aims at, then the most if the pool cannot grow.

        A pool that grows, or is about to, is waited for, but only as long as a start should take: a fuller container is
        better than one that is not ready for a minute.
        """
        concurrency = pool.fleet.serving.concurrency
        target, most = concurrency.target_inputs, concurrency.max_inputs
        if target == most:
            return (target,)
        awaited = pool.fleet.first_starting
        if awaited is not None and now < awaited.requested_at + START_PATIENCE_S:
            pool.timers.arm(Timer.BURST, awaited.requested_at + START_PATIENCE_S)
            return (target,)
        scaling = pool.scaling
        if pool.fleet.live >= scaling.plan.containers:
            return (target, most)
        if scaling.brief_since <= now < scaling.brief_since + START_PATIENCE_S:
            pool.timers.arm(Timer.BURST, scaling.brief_since + START_PATIENCE_S)
            return (target,)
        return (target, most) if scaling.blocked_reason else (target,)

    # ------------------------------------------------------------ deliveries

    def _deliver(self, container: Container, mode: DeliveryMode, parts: list[Part], now: float) -> None:
        state, pool = self._state, container.pool
        if parts[0].call.kind is CallKind.WEB:
            mode = LEASE
        delivery = Delivery(state.next_delivery(), container, mode, parts, now)
        for part in parts:
            pool.measures.wait.add(now - part.queued_at, part.count)
            call = part.call
            call.add_pending(-part.count)
            call.add_running(part.count)
            call.deliver(delivery)
            call.history.note(now, EventKind.DELIVERED, part.first, part.count, container.id)
            if call.stored:
                pool.window.note_refill(call)
        container.give(delivery, exclusive=parts[0].alone)
        if mode is LEASE:
            self._leases.begin(delivery)
        else:
            state.send_to_container(container, *_as_message(delivery))
        pool.timers.watch(Timer.TIMEOUT, container.id, now + container.spec.timeout_s)
        if mode is SERIAL and pool.estimates.service_s is not None and container.holds > 1:
            container.expect_done(now + 2 * container.holds * pool.estimates.service_s + PATIENCE_S)
            pool.timers.watch(Timer.LATE, container.id, container.work_due)
        if pool.fleet.serving.single_use:
            container.leave()

    # ------------------------------------------------------------ what takes longer than estimated

    def check_late(self, pool: Pool, now: float) -> None:
        """Take back what waits in containers that should have done all that they hold by now."""
        for container_id in pool.timers.take_due(Timer.LATE, now):
            container = pool.fleet.ready.get(container_id)
            if container is None or container.holds <= 1 or container.work_due == math.inf:
                continue
            if now < container.work_due:
                pool.timers.watch(Timer.LATE, container_id, container.work_due)
            elif next(iter(container.deliveries.values())).mode is SERIAL:
                container.stall()
                self._reclaim(container)

    def check_work(self, pool: Pool, now: float) -> None:
        """Note for how long inputs run, if that is longer than estimated: most of them, or of a sample of containers.

        One container that is late says little on a busy host. When most are, the work has changed.
        """
        heads = (next(iter(each.deliveries.values()), None) for each in pool.fleet.sample(AGES_MAX))
        ages = sorted(now - head.since for head in heads if head is not None)
        expected = 2 * (pool.estimates.service_s or 0.0) + PATIENCE_S
        median = ages[len(ages) // 2] if ages else 0.0
        overdue_s = median if median > expected else 0.0
        pool.estimates.note_overdue(overdue_s)
        if pool.backlog.count and pool.counts.running_total:
            pool.timers.arm(Timer.WORK, now + max(expected, overdue_s))

    def _reclaim(self, container: Container) -> None:
        if container.reclaiming:
            return
        container.begin_reclaim()
        for delivery in container.deliveries.values():
            self._state.send_to_container(container, Reclaim(delivery.id))


def _with_room(pool: Pool, limit: int) -> Container | None:
    """Return the fullest container with a free slot under a limit; None if all are full.

    The fullest, so that surplus ones grow idle. An input that must be alone gets one that is idle.
    """
    fleet = pool.fleet
    container = None if pool.backlog.next_is_alone else fleet.busy.fullest(below=limit)
    return fleet.latest_idle if container is None else container


def _as_message(delivery: Delivery) -> tuple[Deliver, bytes | memoryview]:
    """Return the message and payload that carry a delivery; one part is sent on without being copied."""
    kept = list(dict.fromkeys(part.call.id for part in delivery.parts if part.call.kind.is_async))
    traces = {part.call.id: part.call.trace for part in delivery.parts if part.call.trace}
    pieces = [part.segment.cut(part.first, part.count) for part in delivery.parts]
    items = pieces[0] if len(pieces) == 1 else concat(pieces)
    message = Deliver(
        delivery=delivery.id,
        mode=delivery.mode,
        method=delivery.parts[0].call.method,
        parts=[(part.call.id, part.first, part.count) for part in delivery.parts],
        ends=items.ends,
        blobs=items.blobs,
        base=items.base,
        kept=kept,
        traces=traces,
    )
    return message, items.payload
