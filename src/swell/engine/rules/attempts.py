"""One attempt after another: failed inputs are retried by their policy, inputs that were not finished are requeued.

A retry counts against the policy of its function and waits for its delay. A requeue costs nothing and goes to the front
of its call's queue, where it was taken from. This module must not know why an attempt has failed.
"""

from __future__ import annotations

from collections.abc import Iterable

from swell.engine.rules.deliveries import outcome_in
from swell.engine.rules.results import ResultPublisher
from swell.engine.state.call import Call
from swell.engine.state.container import Delivery
from swell.engine.state.engine_state import EngineState
from swell.engine.state.history import EventKind
from swell.engine.state.span import Segment, Span
from swell.engine.state.timers import Timer
from swell.model import CallKind, DeliveryMode, OutputStatus
from swell.policy.retry import retry_delay
from swell.records import AttemptRecord

__all__ = ["Attempts"]

RETRYABLE = (OutputStatus.FAILURE, OutputStatus.TIMEOUT, OutputStatus.OUT_OF_MEMORY)
SERIAL, DIRECT = DeliveryMode.SERIAL, DeliveryMode.DIRECT
#: Parallel inputs share a container with many; only after so many crashes is one made to run alone.
ALONE_AFTER = 3


class Attempts:
    """Has inputs run again."""

    def __init__(self, state: EngineState, results: ResultPublisher) -> None:
        self._state = state
        self._results = results

    def fail(self, delivery: Delivery, position: int, status: OutputStatus, text: str, now: float) -> None:
        """End an attempt that the engine itself judges to have failed: retry the input or tell its caller."""
        call, segment, index = delivery.locate(position)
        if not self.retry(call, segment, index, status, now):
            ended = outcome_in(delivery, index, status, text.encode())
            self._results.end(call, segment, [ended], now)

    def retry(self, call: Call, segment: Segment, index: int, status: OutputStatus, now: float) -> bool:
        """Delay a failed input for another attempt if its policy allows one; True if so."""
        app = call.pool.app
        if status not in RETRYABLE or call.cancelled or (app.closing and not app.suspended):
            return False
        if call.kind is CallKind.WEB:
            return False
        failures = call.count_failure(index)
        delay = retry_delay(call.pool.spec.retry, failures, self._state.settings.retry_delay_min_s)
        if delay is None:
            call.forget_failures(index)
            return False
        span = Span(call, segment, index, index + 1, queued_at=now)
        call.add_pending(1)
        call.pool.backlog.delay(span, now + delay)
        call.pool.timers.arm(Timer.RETRY, now + delay)
        call.history.note(now, EventKind.RETRIED, index, 1, detail=now + delay)
        call.pool.measures.count_retry()
        self.record(call, index, now + delay)
        return True

    def record(self, call: Call, index: int, not_before: float) -> None:
        """Write down the failures and crashes of an input that runs again, if it is of a spawned call."""
        if call.kind.is_async:
            failures, crashes = call.failures.get(index, 0), call.crashes.get(index, 0)
            self._state.persist(AttemptRecord(call.id, index, failures, crashes, not_before))

    def requeue(
        self,
        delivery: Delivery,
        positions: Iterable[int],
        now: float,
        *,
        suspected: bool = False,
        lost: str = "",
        alone_after: int = ALONE_AFTER,
    ) -> None:
        """Put inputs of a delivery back in front of their calls' queues, in order; it costs them no attempt.

        Args:
            delivery: which has them.
            positions: which of them.
            now: the time.
            suspected: one of them may have killed its container.
            lost: what became of the container, if it is gone; otherwise it has given them back.
            alone_after: crashes after which a suspect of several that ran at once has to run alone.
        """
        back = sorted(positions)
        delivery.close(back)
        runs: list[tuple[Call, Segment, int, int, bool]] = []  # with first, last, alone
        is_serial = delivery.mode is SERIAL or (delivery.mode is DIRECT and delivery.container.is_serial)
        alone_after = min(alone_after, self._state.settings.poison_crashes_max)
        for position in back:
            call, segment, index = delivery.locate(position)
            call.add_running(-1)
            call.add_pending(1)
            alone = suspected and (is_serial or call.crashes.get(index, 0) >= alone_after)
            last = runs[-1] if runs else None
            if last is not None and last[1] is segment and last[3] == index and not (alone or last[4]):
                runs[-1] = (call, segment, last[2], index + 1, False)
            else:
                runs.append((call, segment, index, index + 1, alone))
        what = EventKind.LOST if lost else EventKind.RECLAIMED
        for call, segment, first, upto, alone in runs:
            if lost:
                call.pool.measures.count_lost(upto - first)
            call.history.note(now, what, first, upto - first, delivery.container.id, detail=lost)
            if call.cancelled:
                self._end_cancelled(delivery, call, segment, range(first, upto), now)
            else:
                call.pool.backlog.put_back(Span(call, segment, first, upto, queued_at=now, alone=alone))
        delivery.container.close(delivery, now)

    def _end_cancelled(self, delivery: Delivery, call: Call, segment: Segment, indexes: range, now: float) -> None:
        """End inputs that would run again, were their call not being cancelled."""
        call.add_pending(-len(indexes))
        why = self._state.cancellations[call.id].why
        ended = [outcome_in(delivery, index, OutputStatus.TERMINATED, why) for index in indexes]
        self._results.end(call, segment, ended, now)
