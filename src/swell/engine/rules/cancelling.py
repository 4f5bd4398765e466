"""Calls that are cancelled: all that waits ends at once, and what runs is stopped, some of it in each event.

    cancel ──▶ what waits ends ──▶ deliveries that run are revoked, the latest first ──▶ the call ends
                                      └─ too many for this event: the rest in ticks, which are due at once

A call may run in ten thousands of containers, and a client that leaves may have many calls: to stop all of them in one
event would keep every other one waiting for a second. Until its turn comes, an input runs on and may end as it will,
but it does not run again. This module must not know who cancels a call, or why.
"""

from __future__ import annotations

from swell.engine.rules.completion import Completion
from swell.engine.rules.deliveries import outcome_in
from swell.engine.rules.results import ResultPublisher
from swell.engine.state.call import Call
from swell.engine.state.cancellation import Cancellation
from swell.engine.state.container import Delivery
from swell.engine.state.engine_state import EngineState
from swell.engine.state.timers import Timer
from swell.model import OutputStatus

__all__ = ["Cancelling"]


class Cancelling:
    """Ends every unfinished input of a call as TERMINATED."""

    def __init__(self, state: EngineState, completion: Completion, results: ResultPublisher) -> None:
        self._state = state
        self._completion = completion
        self._results = results

    def cancel(self, call: Call, now: float, *, terminate_containers: bool = False, why: str) -> None:
        """Cancel a call, unless it was before.

        Args:
            call: which one.
            now: the time.
            terminate_containers: what it runs in gets no grace to stop it.
            why: what its inputs end with, in words.
        """
        if call.cancelled:
            return
        call.cancel()
        cancellation = Cancellation(call, why, terminate_containers=terminate_containers)
        self._state.begin_cancellation(cancellation)
        self._results.end_pending(call, OutputStatus.TERMINATED, cancellation.why, now)
        self.go_on(now)

    def go_on(self, now: float) -> None:
        """Stop some of what cancelled calls run, the call first that was cancelled first."""
        state = self._state
        while state.cancellations:
            cancellation = next(iter(state.cancellations.values()))
            while (delivery := cancellation.last) is not None:
                if state.agenda.is_spent:
                    return
                cancellation.pass_on()
                self._stop(cancellation, delivery, now)
            call = cancellation.call
            state.end_cancellation(cancellation)
            self._results.end_if_finished(call, now)
            if call.pool.id in state.pools:
                state.mark_dirty(call.pool)

    def _stop(self, cancellation: Cancellation, delivery: Delivery, now: float) -> None:
        call = cancellation.call
        positions = [p for p in delivery.positions_of(call) if p in delivery.open and p not in delivery.revoked]
        if not positions:
            return
        indexes = [delivery.locate(position)[1:] for position in positions]
        self._state.agenda.spend()
        self._completion.revoke(delivery, positions, now=now)
        for segment, index in indexes:
            ended = outcome_in(delivery, index, OutputStatus.TERMINATED, cancellation.why)
            self._results.end(call, segment, [ended], now)
        if cancellation.terminates_containers:
            delivery.container.must_yield(now)
            call.pool.timers.watch(Timer.RESIST, delivery.container.id, now)
