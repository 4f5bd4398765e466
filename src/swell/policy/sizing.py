"""How many inputs a slot may hold: run-ahead, by guided self-scheduling under a bound on time.

A slot that holds only the input it executes idles for a round trip after each; one that holds too many makes others
wait behind it. The compromise: as many inputs as are worth a few milliseconds of work by the measured service time, and
never more than a fair share of what is left (Polychronopoulos and Kuck, "Guided self-scheduling", 1987). While the
service time is unknown a slot gets one input. This module must not know containers, calls or payloads.
"""

from __future__ import annotations

__all__ = ["SPAN_MAX", "learn_service", "run_ahead", "span_size"]

SPAN_MAX = 1_000  #: inputs in one delivery; bounds the size of a message and of what one loss puts at stake
SERVICE_MIN_S = 1e-6  #: faster than any Python call, keeps divisions finite


def learn_service(estimate_s: float | None, observed_s: float, count: int) -> float:
    """Fold the mean service time of `count` inputs into the estimate: the more inputs, the more it weighs.

    A single input says little (a busy host stalls one now and then), but one that takes a thousand times as long as
    expected still moves the estimate far enough to stop running ahead.
    """
    observed_s = max(observed_s, SERVICE_MIN_S)
    if estimate_s is None:
        return observed_s
    weight = 0.2 if count < 16 else 0.5
    return (1 - weight) * estimate_s + weight * observed_s


def run_ahead(service_s: float | None, run_ahead_s: float) -> int:
    """Return how many inputs one slot may hold in all, the one it executes included (at least 1)."""
    if service_s is None:
        return 1
    return max(1, min(SPAN_MAX, int(run_ahead_s / max(service_s, SERVICE_MIN_S))))


def span_size(*, backlog: int, slots: int, holds: int, hold_max: int) -> int:
    """Return how many inputs to hand now to a slot that `holds` some already; 0 if it is better to wait.

    Example: 500 inputs wait, 2 slots, an empty slot may hold 1,000: it gets ceil(500 / 4) = 125.
    A slot that still holds more than half of what it may is left alone, so that spans stay long.
    """
    if holds and holds > hold_max // 2:
        return 0
    if holds and hold_max <= 1:
        return 0
    fair = -(-backlog // (2 * max(1, slots)))
    return max(1 if not holds else 0, min(hold_max - holds, fair))
