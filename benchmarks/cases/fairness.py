"""One caller's single input beside another caller's long map on the same function: what the map adds to its latency."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

from benchmarks import pools
from benchmarks.case import Case, Measured, percentile, timed
from benchmarks.work import increment


def measure(kind: type[pools.Pool], quick: bool) -> Measured:
    inputs = 20_000 if quick else 200_000
    with kind(increment) as pool:

        def one() -> float:
            return timed(lambda: pool.call(increment, 1))[0] * 1e3

        pool.map(increment, range(1_000))
        alone = percentile([one() for _ in range(200)], 0.5)
        beside = _while_mapping(pool, inputs, one)
    details = {"alone ms": alone, "p99 ms": percentile(beside, 0.99), "calls": len(beside), "map inputs": inputs}
    return Measured(percentile(beside, 0.5) - alone, details)


def _while_mapping(pool: pools.Pool, inputs: int, one: Any) -> list[float]:
    """Call one input after another for as long as the map runs in another thread."""
    mapping = threading.Thread(target=pool.map, args=(increment, range(inputs)))
    mapping.start()
    times = [one()]
    while mapping.is_alive() and len(times) < 2_000:
        times.append(one())
    mapping.join()
    return times


CASE = Case(
    name="fairness",
    title="what a 200,000-input map adds to a remote() beside it, p50",
    unit="ms",
    contestants={kind.label: partial(measure, kind) for kind in (pools.Swell, pools.ProcessPool)},
    target="a few milliseconds",
    meets=lambda values: values["swell"] <= 5,
    rounds=1,
)
