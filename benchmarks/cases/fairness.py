"""One caller's single input beside another caller's long map on the same function: what the map adds to its latency."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from benchmarks import pools
from benchmarks.case import Case, Measured, percentile, timed
from benchmarks.work import exhaust_map, increment


def _inputs(quick: bool) -> int:
    return 20_000 if quick else 200_000


def _measured(alone: list[float], beside: list[float], inputs: int) -> Measured:
    before, during = percentile(alone, 0.5), percentile(beside, 0.5)
    details = {"alone ms": before, "p99 ms": percentile(beside, 0.99), "calls": len(beside), "map inputs": inputs}
    return Measured(during - before, details)


def _calls(one: Callable[[], Any], going_on: Callable[[], bool]) -> list[float]:
    """Call one input after another for as long as the map goes on; return the times in milliseconds."""
    times: list[float] = []
    while len(times) < 2_000 and (not times or going_on()):
        times.append(timed(one)[0] * 1e3)
    return times


def swell_fair(quick: bool) -> Measured:
    """The map's caller is a container, so that the two callers do not share one Python."""
    import swell

    app = swell.App("bench")
    function = app.function(min_containers=2, max_containers=2)(increment)
    caller = app.function(min_containers=1, max_containers=1)(exhaust_map)
    with app.run():
        caller.remote(function, 1_000)
        alone = [timed(lambda: function.remote(1))[0] * 1e3 for _ in range(200)]
        mapping = threading.Thread(target=caller.remote, args=(function, _inputs(quick)))
        mapping.start()
        function.remote(1)  # by now the map has begun
        beside = _calls(lambda: function.remote(1), mapping.is_alive)
        mapping.join()
    return _measured(alone, beside, _inputs(quick))


def process_pool(quick: bool) -> Measured:
    """Both callers are threads of one process: a process pool cannot be shared otherwise."""
    with pools.ProcessPool(increment) as pool:
        pool.map(increment, range(1_000))
        alone = [timed(lambda: pool.call(increment, 1))[0] * 1e3 for _ in range(200)]
        mapping = threading.Thread(target=pool.map, args=(increment, range(_inputs(quick))))
        mapping.start()
        beside = _calls(lambda: pool.call(increment, 1), mapping.is_alive)
        mapping.join()
    return _measured(alone, beside, _inputs(quick))


CASE = Case(
    name="fairness",
    title="what another caller's map of 200,000 adds to a remote() beside it, p50",
    unit="ms",
    contestants={"swell": swell_fair, "ProcessPoolExecutor": process_pool},
    target="a few milliseconds",
    floor="0: the call alone; what is under way, a few milliseconds of run-ahead, ends first",
    meets=lambda values: values["swell"] <= 5,
    rounds=1,
)
