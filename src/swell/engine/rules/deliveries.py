"""What all that end inputs of a delivery share: the outcome they make of it, and what follows when it is empty.

This module must not know why an input ends.
"""

from __future__ import annotations

from swell.engine.rules.results import Outcome
from swell.engine.state.container import Delivery
from swell.engine.state.engine_state import EngineState
from swell.model import OutputStatus

__all__ = ["close_if_empty", "outcome_in"]


def outcome_in(
    delivery: Delivery, index: int, status: OutputStatus, payload: bytes, *, has_blob: bool = False
) -> Outcome:
    """Return the outcome of an input that has ended in the container of its delivery."""
    return Outcome(
        index=index,
        status=status,
        payload=payload,
        has_blob=has_blob,
        delivered_at=delivery.at,
        container_id=delivery.container.id,
    )


def close_if_empty(state: EngineState, delivery: Delivery, now: float) -> None:
    """Forget a delivery without open positions. If its container holds nothing now, it may make room for others."""
    if delivery.container.close(delivery, now):
        for pool in state.blocked.values():
            if not pool.fleet.live:
                state.mark_dirty(pool)  # what is idle now may make room for it
