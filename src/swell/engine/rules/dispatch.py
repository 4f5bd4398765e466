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
        backlog = pool.backlog
        if not backlog.count:
            self._rebalance(pool, now)
            return
        # The most recently used first, so that surplus containers grow idle.
        for container in list(reversed(pool.fleet.idle.values())):
            size = self._span_size(pool, 0)
            self._deliver(container, SERIAL, backlog.take(size), now)
            if not backlog.count:
                return
        if pool.hold_max == 1:
            return
        for container in self._available(pool):
            if backlog.next_is_alone:
                return
            size = self._span_size(pool, container.holds)
            if not size or container.reclaiming or container.stalled:
                continue
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

    def _rebalance(self, pool: Pool, now: float) -> None:
        """When a slot is idle and nothing waits, take unstarted inputs back from the container that holds most."""
        fleet, service_s = pool.fleet, pool.estimates.service_s
        if pool.hold_max == 1 or service_s is None or not 0 < len(fleet.idle) < len(fleet.ready):
            return
        victim = max(fleet.ready.values(), key=lambda container: container.holds)
        if (victim.holds - 1) * service_s > RECLAIM_WORTH_S:
            self._reclaim(victim)

    # ------------------------------------------------------------ several at a time

    def _parallel(self, pool: Pool, now: float) -> None:
        for limit in self._limits(pool, now):
            while self._fill(pool, limit, now):
                pass

    def _fill(self, pool: Pool, limit: int, now: float) -> bool:
        """Fill containers up to a limit; True if one that was passed because of a suspect may have a turn now."""
        backlog, passed, placed = pool.backlog, False, False
        for container in self._available(pool):
            while backlog.count and not container.exclusive:
                slots = container.own_slots or limit
                room = (1 - container.served if pool.fleet.serving.single_use else slots) - container.slots_used
                if room <= 0:
                    break
                if backlog.next_is_alone and container.deliveries:
                    passed = True
                    break
                self._deliver(container, PARALLEL, backlog.take(room), now)
                placed = passed
        return placed

    def _batches(self, pool: Pool, now: float) -> None:
        for limit in self._limits(pool, now):
            while self._fill_with_batches(pool, limit, now):
                pass

    def _fill_with_batches(self, pool: Pool, limit: int, now: float) -> bool:
        """Fill containers up to a limit; True if one that was passed because of a suspect may have a turn now."""
        backlog, batching, passed, placed = pool.backlog, pool.fleet.serving.batching, False, False
        assert batching is not None
        for container in self._available(pool):
            slots = container.own_slots or limit
            while backlog.count and container.takes_inputs and container.slots_used < slots:
                oldest_at = backlog.oldest_at
                size = batch_size_now(batching, queued=backlog.count, oldest_at=oldest_at, now=now)
                if not size:
                    pool.timers.arm(Timer.BATCH, batch_due_at(batching, oldest_at))
                    return False
                if backlog.next_is_alone and container.deliveries:
                    passed = True
                    break
                self._deliver(container, BATCH, backlog.take(size), now)
                placed = passed
        return placed

    def _limits(self, pool: Pool, now: float) -> tuple[int, ...]:
        """Return how many slots of each container to use: what dispatch aims at, then the most if the pool cannot grow.

        A pool that is growing is waited for, but only as long as a start should take: a fuller container is better than
        one that is not ready for a minute.
        """
        concurrency = pool.fleet.serving.concurrency
        target, most = concurrency.target_inputs, concurrency.max_inputs
        if target == most:
            return (target,)
        waited_for = min((container.requested_at for container in pool.fleet.starting.values()), default=-math.inf)
        if now < waited_for + START_PATIENCE_S:
            pool.timers.arm(Timer.BURST, waited_for + START_PATIENCE_S)
            return (target,)
        if pool.fleet.live >= pool.scaling.plan.containers or pool.scaling.blocked_reason:
            return (target, most)
        return (target,)

    # ------------------------------------------------------------ deliveries

    def _available(self, pool: Pool) -> list[Container]:
        """Containers that may be given inputs, most recently used first, so that surplus ones grow idle."""
        return [container for container in reversed(pool.fleet.ready.values()) if container.takes_inputs]

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
            call.history.note(now, EventKind.DELIVERED, part.first, part.count, container.id)
            if call.stored:
                pool.window.note_refill(call)
        container.give(delivery, exclusive=parts[0].alone)
        pool.fleet.mark_busy(container)
        if mode is LEASE:
            self._leases.begin(delivery)
        else:
            state.send_to_container(container, *_as_message(delivery))
        pool.timers.arm(Timer.TIMEOUT, now + container.spec.timeout_s)
        if mode is SERIAL and pool.estimates.service_s is not None and container.holds > 1:
            container.expect_done(now + 2 * container.holds * pool.estimates.service_s + PATIENCE_S)
            pool.timers.arm(Timer.WORK, container.work_due)
        if pool.fleet.serving.single_use:
            container.leave()

    def check_work(self, pool: Pool, now: float) -> None:
        """Look at what takes longer than estimated: take back what waits behind it, and note how long it takes.

        One container that is late says little on a busy host. When most are, the work has changed.
        """
        ages: list[float] = []
        for container in pool.fleet.ready.values():
            oldest = next(iter(container.deliveries.values()), None)
            if oldest is None:
                continue
            ages.append(now - oldest.since)
            if container.holds > 1 and oldest.mode is SERIAL:
                if now >= container.work_due:
                    container.stall()
                    self._reclaim(container)
                else:
                    pool.timers.arm(Timer.WORK, container.work_due)
        expected = 2 * (pool.estimates.service_s or 0.0) + PATIENCE_S
        median = sorted(ages)[len(ages) // 2] if ages else 0.0
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
