"""How many inputs a slot may hold: run-ahead, by guided self-scheduling under a bound on time.

A slot that holds only the input it executes idles for a round trip after each; in one that holds too many, inputs wait
though other slots are idle. The compromise: as many inputs as are worth a few milliseconds of work by the measured
service time, and never more than a fair share of what is left (Polychronopoulos and Kuck, "Guided self-scheduling",
1987). While the service time is unknown a slot gets one input. This module must not know containers, calls or payloads.
"""

from __future__ import annotations

__all__ = ["SPAN_MAX", "learn_service", "run_ahead", "span_size"]

SPAN_MAX = 1_000  #: inputs in one delivery; bounds a message, and what is lost with a container
GRAIN_S = 0.001  #: work worth one round trip
SERVICE_MIN_S = 1e-6  #: faster than any Python call; keeps divisions finite


def learn_service(estimate_s: float | None, observed_s: float, count: int) -> float:
    """Fold the mean service time of `count` inputs into the estimate, on a scale of ratios.

    A busy host makes one quick input in a few hundred look a thousand times slower: as one factor among many it shifts
    a geometric mean by little, where an arithmetic one would follow it. Work that has really become slow moves the
    estimate from 10 µs past 5 ms, where nothing is run ahead any more, within five inputs.
    """
    observed_s = max(observed_s, SERVICE_MIN_S)
    if estimate_s is None:
        return observed_s
    weight = 0.2 if count < 16 else 0.5
    return estimate_s ** (1 - weight) * observed_s**weight


def run_ahead(service_s: float | None, run_ahead_s: float) -> int:
    """Return how many inputs one slot may hold in all, the one it executes included (at least 1)."""
    if service_s is None:
        return 1
    return max(1, min(SPAN_MAX, int(run_ahead_s / max(service_s, SERVICE_MIN_S))))


def span_size(*, backlog: int, slots: int, holds: int, hold_max: int, service_s: float | None) -> int:
    """Return how many inputs to hand now to a slot that `holds` some already; 0 if it is better to wait.

    A fair share of the backlog, but at least what is worth a round trip: spread thinly over many slots, quick inputs
    would cost more to send than to execute.

    Examples: 500 inputs of 10 µs wait, 2 slots, an empty slot may hold 500: it gets ceil(500 / 4) = 125. With 50 slots
    the fair share is 5, but 1 ms of work is 100 inputs, so five slots get 100 each and the others none.
    A slot that still holds more than half of its maximum gets nothing, and so does one for which there is little:
    inputs that come in a trickle would otherwise leave in ever smaller spans.
    """
    if holds and (hold_max <= 1 or holds > hold_max // 2):
        return 0
    fair = -(-backlog // (2 * max(1, slots)))
    grain = int(GRAIN_S / max(service_s, SERVICE_MIN_S)) if service_s is not None else 1
    size = min(hold_max - holds, max(fair, grain), backlog)
    if not holds:
        return max(1, size)
    return size if size > grain // 2 else 0
