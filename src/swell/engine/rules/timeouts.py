"""Inputs that run for too long, and revoked inputs that do not stop: what their containers pay for it.

An attempt ends when its function's timeout is over. Code on an event loop is cancelled and its container goes on;
synchronous code cannot be unwound safely, so its container is killed. Revoked inputs have `cancel_grace_s` to stop;
then their container is evicted. This module must not know how containers start and leave.
"""

from __future__ import annotations

from math import inf

from swell.engine.rules.attempts import Attempts
from swell.engine.rules.completion import Completion
from swell.engine.rules.containers import Containers
from swell.engine.state.container import Container, Delivery
from swell.engine.state.engine_state import EngineState
from swell.engine.state.pool import Pool
from swell.engine.state.timers import Timer
from swell.model import DeliveryMode, OutputStatus

__all__ = ["Timeouts"]

SERIAL, LEASE = DeliveryMode.SERIAL, DeliveryMode.LEASE


class Timeouts:
    """Ends attempts whose time is over, and evicts containers that hold on to revoked inputs."""

    def __init__(self, state: EngineState, completion: Completion, attempts: Attempts, containers: Containers) -> None:
        self._state = state
        self._completion = completion
        self._attempts = attempts
        self._containers = containers

    # ------------------------------------------------------------ inputs that run for too long

    def check_inputs(self, pool: Pool, now: float) -> None:
        """End attempts that have run for their function's timeout, and note when the next might have."""
        for container_id in pool.timers.take_due(Timer.TIMEOUT, now):
            container = pool.fleet.containers.get(container_id)
            if container is None or container.is_killed:
                continue
            limit = container.spec.timeout_s
            for delivery in list(container.deliveries.values()):
                expires = delivery.since + limit
                if now >= expires:
                    # What is left of it afterwards (the rest of a serial queue) begins now and has its own time.
                    expires = now + limit
                    self._time_out(container, delivery, now)
                pool.timers.watch(Timer.TIMEOUT, container_id, expires)
                if delivery.mode is SERIAL:
                    break  # the others wait in the container's queue: their time has not begun

    def _time_out(self, container: Container, delivery: Delivery, now: float) -> None:
        """End the attempts that a delivery has executed for as long as it may."""
        running = [min(delivery.open)] if delivery.mode is SERIAL else sorted(delivery.open)
        running = [position for position in running if position not in delivery.revoked]
        if not running:
            return
        text = f"ran longer than timeout = {container.spec.timeout_s:g} s"
        self._completion.revoke(delivery, running, now=now)
        for position in running:
            self._attempts.fail(delivery, position, OutputStatus.TIMEOUT, text, now)
        if delivery.mode is not LEASE and not container.is_async(delivery.parts[0].call.method):
            # Synchronous code cannot be unwound safely; what shares the container is run again elsewhere.
            self._containers.kill(container, text)

    # ------------------------------------------------------------ revoked inputs that do not stop

    def check_revoked(self, pool: Pool, now: float) -> None:
        """Evict containers that still run revoked inputs after their grace, and note when the next grace ends."""
        for container_id in pool.timers.take_due(Timer.RESIST, now):
            container = pool.fleet.containers.get(container_id)
            if container is None or container.resist_until == inf:
                continue
            if now < container.resist_until:
                pool.timers.watch(Timer.RESIST, container_id, container.resist_until)
                continue
            container.need_not_yield()
            if not any(delivery.revoked for delivery in container.deliveries.values()):
                continue
            if container.is_leased and container.executing:
                # Other requests run in it, which cannot be run again elsewhere: it takes no more, and is checked
                # again after another grace.
                self._containers.drain(container, now)
                container.must_yield(now + self._state.settings.cancel_grace_s)
                pool.timers.watch(Timer.RESIST, container_id, container.resist_until)
            else:
                self._evict(container, "a cancelled input would not stop", now)

    def _evict(self, container: Container, reason: str, now: float) -> None:
        """Interrupt a container whose code does not stop; kill it if its main thread is taken by that code."""
        if container.is_leased:
            self._containers.interrupt(container, reason, now)
            return
        method = next(iter(container.deliveries.values())).parts[0].call.method
        if container.spec.concurrency.max_inputs == 1 and not container.is_async(method):
            # That code has the main thread, where exit hooks would have to run.
            self._containers.kill(container, reason)
        else:
            self._containers.interrupt(container, reason, now)
