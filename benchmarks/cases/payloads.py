"""Large arguments: NumPy arrays of 1 MiB through `map`."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec

from benchmarks import pools
from benchmarks.bare import copied_files
from benchmarks.case import Case, Measured, timed
from benchmarks.work import echo, size

ARRAY_BYTES = 1 << 20


def measure(kind: type[pools.Pool], quick: bool) -> Measured:
    import numpy

    count = 100 if quick else 500
    arrays = [numpy.full(ARRAY_BYTES, i % 251, dtype=numpy.uint8) for i in range(count)]
    with kind(size, echo) as pool:
        pool.map(size, arrays[:20])
        pool.map(echo, arrays[:20])
        there, sizes = timed(lambda: pool.map(size, arrays))
        back, echoes = timed(lambda: pool.map(echo, arrays[:100]))
    assert sizes == [ARRAY_BYTES] * count
    assert all((one == two).all() for one, two in zip(arrays, echoes, strict=False))
    return Measured(count * ARRAY_BYTES / there / 1e9, {"there and back GB/s": 2 * 100 * ARRAY_BYTES / back / 1e9})


CASE = Case(
    name="payloads",
    title="1 MiB NumPy arrays as arguments of map",
    unit="GB/s",
    contestants={
        **{
            kind.label: partial(measure, kind)
            for kind in pools.ALL
            if find_spec("numpy") and kind.installed() and kind not in (pools.ChunkedProcessPool, pools.Huey)
        },
        **({"bare files in memory": copied_files} if find_spec("numpy") else {}),
    },
    higher_is_better=True,
    target="at least 1.5 GB/s",
    floor="each array written to a file in memory and read from it, by one process in turn",
    bare="bare files in memory",
    meets=lambda values: values["swell"] >= 1.5,
)
