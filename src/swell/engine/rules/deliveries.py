"""What all that end inputs of a delivery share: the outcome they make of it.

This module must not know why an input ends.
"""

from __future__ import annotations

from swell.engine.rules.results import Outcome
from swell.engine.state.container import Delivery
from swell.model import OutputStatus

__all__ = ["outcome_in"]


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
