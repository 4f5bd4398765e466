"""One input at a time, waited for: what a blocking `remote()` costs when its container is up."""

from __future__ import annotations

import itertools
from functools import partial

from benchmarks import pools
from benchmarks.bare import relayed_call
from benchmarks.case import Case, Measured, latency
from benchmarks.work import increment


def measure(kind: type[pools.Pool], quick: bool) -> Measured:
    numbers = itertools.count()
    with kind(increment) as pool:
        return latency(lambda: pool.call(increment, next(numbers)), count=300 if quick else 2_000)


CASE = Case(
    name="round-trip",
    title="warm blocking remote(), p50",
    unit="µs",
    contestants={
        **{
            kind.label: partial(measure, kind)
            for kind in pools.ALL
            if kind.installed() and kind is not pools.ChunkedProcessPool
        },
        "bare relay": relayed_call,
    },
    target="no slower than ProcessPoolExecutor's submit().result()",
    floor="four messages and four wake-ups over three processes",
    bare="bare relay",
    meets=lambda values: values["swell"] <= values["ProcessPoolExecutor"],
)
