"""Containers that are gone with inputs in them: which inputs are blamed, and which just run again.

An input that was alone in its container when that died is known to have done it; of several nobody knows. So blame
only counts: a suspect runs again, in the end alone, and the next crash has one suspect. Inputs that the container had
not begun are never blamed. This module must not know how a container's end was noticed.
"""

from __future__ import annotations

from swell.engine.rules.attempts import Attempts
from swell.engine.rules.deliveries import outcome_in
from swell.engine.rules.leases import Leases
from swell.engine.rules.results import ResultPublisher
from swell.engine.state.call_lease import LeaseEnd
from swell.engine.state.container import Container, Delivery
from swell.engine.state.engine_state import EngineState
from swell.engine.state.history import EventKind
from swell.model import DeliveryMode, MemoryExcess, OutputStatus, Resources

__all__ = ["Losses"]

INTERNAL_FAILURE, OUT_OF_MEMORY = OutputStatus.INTERNAL_FAILURE, OutputStatus.OUT_OF_MEMORY
SERIAL, LEASE = DeliveryMode.SERIAL, DeliveryMode.LEASE


class Losses:
    """Ends, blames or requeues the inputs of containers that are gone."""

    def __init__(self, state: EngineState, results: ResultPublisher, attempts: Attempts, leases: Leases) -> None:
        self._state = state
        self._results = results
        self._attempts = attempts
        self._leases = leases

    def lost(self, container: Container, reason: str, now: float, excess: MemoryExcess | None = None) -> None:
        """Settle the inputs of a container that is gone: blame or requeue those it had started, requeue the rest.

        Args:
            container: the one that is gone.
            reason: why it is gone, in words.
            now: the time.
            excess: the memory for which it was killed, if it was killed for that.
        """
        held = list(container.deliveries.values())
        was_alone = container.holds + container.vacant_leases == 1
        for delivery in reversed(held):
            if delivery.mode is LEASE:
                status = INTERNAL_FAILURE if excess is None else OUT_OF_MEMORY
                self._leases.break_off(delivery, status, reason, now)
            else:
                self.settle(delivery, reason, now, excess, was_alone=was_alone, is_head=delivery is held[0])
        for lease in container.leases.values():  # what was on them and not announced is told by clients that see it
            self._state.call_leases.remember_end(lease.id, LeaseEnd(lease, reason, excess, was_alone))
        container.drop_deliveries()

    def settle(
        self,
        delivery: Delivery,
        reason: str,
        now: float,
        excess: MemoryExcess | None,
        *,
        was_alone: bool,
        is_head: bool,
    ) -> None:
        """Settle the inputs of a delivery whose container is gone.

        Args:
            delivery: it.
            reason: why the container is gone, in words.
            now: the time.
            excess: the memory for which it was killed, if it was killed for that.
            was_alone: nothing else was in the container.
            is_head: it is the delivery that the container executed, if it executes one after another.
        """
        if excess is not None:
            self._outgrown(delivery, excess, now, was_alone=was_alone, is_head=is_head, lost=reason)
            return
        limit, container = self._state.settings.poison_crashes_max, delivery.container
        positions = sorted(delivery.open - delivery.revoked)
        blamed = [] if container.crash_expected else _suspects(delivery, positions, is_head=is_head)
        for position in blamed:
            call, segment, index = delivery.locate(position)
            crashes = call.count_crash(index)
            # Only an input that was alone when its container died is known to have done it.
            if crashes >= limit and was_alone:
                positions.remove(position)
                call.add_running(-1)
                text = (
                    f"input {index} was running in {crashes} containers when they died (the last: {reason}); it is "
                    f"not tried again (poison_crashes_max = {limit})"
                )
                ended = outcome_in(delivery, index, INTERNAL_FAILURE, text.encode())
                self._results.end(call, segment, [ended], now)
                delivery.close((position,))
            else:
                self._attempts.record(call, index, 0.0)
        suspicious = bool(blamed) or (is_head and not container.crash_expected)
        self._attempts.requeue(delivery, positions, now, suspected=suspicious, lost=reason)

    def _outgrown(
        self, delivery: Delivery, excess: MemoryExcess, now: float, *, was_alone: bool, is_head: bool, lost: str
    ) -> None:
        """Judge inputs whose container used more memory than it may.

        Running one again would use as much again, so an input that had the container alone has failed, as if it had
        raised. Of several, nobody knows how much each used, or whether all of them would fit one by one: each runs
        again by itself at no cost, after which there is one suspect. Of a serial queue only the head has begun.
        """
        positions = sorted(delivery.open - delivery.revoked)
        if was_alone and positions:
            [position] = positions
            call, _, index = delivery.locate(position)
            call.add_running(-1)
            delivery.close((position,))
            call.history.note(now, EventKind.OUTGREW, index, 1, delivery.container.id, detail=str(excess))
            text = _describe_excess(excess, delivery.container.spec.resources)
            self._attempts.fail(delivery, position, OUT_OF_MEMORY, f"input {index}: {text}", now)
            positions = []
        may_be_guilty = is_head or delivery.mode is not SERIAL
        self._attempts.requeue(delivery, positions, now, suspected=may_be_guilty, lost=lost, alone_after=0)


def _suspects(delivery: Delivery, positions: list[int], *, is_head: bool) -> list[int]:
    """Return the running inputs that may have killed the container.

    Of a serial queue only the first delivery has started, and within a longer one nobody knows how far it came: its
    inputs are re-run alone, so that the next crash has one suspect. Parallel inputs and batches are all suspects.
    """
    if delivery.mode is SERIAL:
        return list(positions) if is_head and len(positions) == 1 else []
    return list(positions)


def _describe_excess(excess: MemoryExcess, resources: Resources) -> str:
    request, limit = resources.memory_bytes >> 20, excess.limit_bytes >> 20
    return (
        f"its container {excess}. It asked for memory=({request}, {limit}), which is (request, limit): "
        "raise the limit, or use less"
    )
