"""Many inputs that do as good as nothing: what is measured is the cost of an input."""

from __future__ import annotations

from functools import partial

from benchmarks import pools
from benchmarks.bare import piped_map
from benchmarks.case import Case, Measured, timed
from benchmarks.work import increment


def measure(kind: type[pools.Pool], quick: bool) -> Measured:
    count = kind.inputs_max // 10 if quick else kind.inputs_max
    with kind(increment) as pool:
        pool.map(increment, range(1_000))
        took, results = timed(lambda: pool.map(increment, range(count)))
    assert results == list(range(1, count + 1))
    return Measured(count / took, {"inputs": count})


CASE = Case(
    name="noop-map",
    title="map of no-op inputs, 2 containers",
    unit="inputs/s",
    contestants={
        **{kind.label: partial(measure, kind) for kind in pools.ALL if kind.installed()},
        "bare pipes": piped_map,
    },
    higher_is_better=True,
    target="at least 200,000 inputs/s, and 30 times ProcessPoolExecutor",
    floor="arguments and results pickled one by one, a hundred in a message, two processes",
    bare="bare pipes",
    meets=lambda values: values["swell"] >= max(200_000, 30 * values["ProcessPoolExecutor"]),
)
