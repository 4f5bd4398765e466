"""10,000 inputs that wait 100 ms each, a thousand at a time in one container: how close to the ideal second."""

from __future__ import annotations

import asyncio

from benchmarks.case import Case, Measured, timed
from benchmarks.work import nap

SLOTS = 1_000
NAP_S = 0.1


def _naps(quick: bool) -> list[float]:
    return [NAP_S] * (2_000 if quick else 10_000)


def _measured(took: float, inputs: int) -> Measured:
    ideal = inputs / SLOTS * NAP_S
    return Measured(took / ideal, {"seconds": took, "ideal s": ideal})


def swell_concurrent(quick: bool) -> Measured:
    import swell

    app = swell.App("bench")
    function = app.function(min_containers=1, max_containers=1)(swell.concurrent(max_inputs=SLOTS)(nap))
    naps = _naps(quick)
    with app.run():
        function.remote(0.0)
        took, results = timed(lambda: list(function.map(naps)))
    assert results == naps
    return _measured(took, len(naps))


def bare_semaphore(quick: bool) -> Measured:
    """The least it could cost: one event loop, no other process."""
    naps = _naps(quick)

    async def all_of_them() -> list[float]:
        slots = asyncio.Semaphore(SLOTS)

        async def one(seconds: float) -> float:
            async with slots:
                return await nap(seconds)

        return await asyncio.gather(*map(one, naps))

    took, results = timed(lambda: asyncio.run(all_of_them()))
    assert results == naps
    return _measured(took, len(naps))


CASE = Case(
    name="concurrency",
    title="10,000 async inputs of 100 ms through @concurrent(max_inputs=1000), time over ideal",
    unit="× ideal",
    contestants={"swell": swell_concurrent, "bare asyncio semaphore": bare_semaphore},
    target="at most 1.3 times the ideal",
    floor="the same waits on one event loop, in one process",
    bare="bare asyncio semaphore",
    meets=lambda values: values["swell"] <= 1.3,
)
