"""The latest observations: a short past of every function, for charts.

The server is observed once a second while a browser watches, else now and then, so that there is a past to show. This
module must not know HTTP, or what a chart looks like.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from swell.errors import Error
from swell.wire.histogram import Times, quantile
from swell.wire.stats import DecisionRow, FunctionMeasures, Observation

__all__ = ["FunctionPast", "History", "Quantiles", "Sample", "quantiles"]

log = logging.getLogger("swell.edge")

EVERY_S: Final = 1.0  #: while a browser watches
SELDOM_S: Final = 5.0  #: while none does
SAMPLES_MAX: Final = 900  #: a quarter of an hour of one sample a second
DECISIONS_MAX: Final = 200
SHARES: Final = (0.5, 0.9, 0.99)


class Quantiles(NamedTuple):
    """Seconds below which half, nine tenths and ninety-nine hundredths of the times lie."""

    p50: float
    p90: float
    p99: float


class Sample(NamedTuple):
    """One function at one moment; times and rate are those since the sample before."""

    at: float
    pending: int
    running: int
    plan: int
    requested: int
    observed: int
    wait: Quantiles | None
    run: Quantiles | None
    rate: float  #: inputs that ended, per second


class FunctionPast:
    """The past of one function."""

    def __init__(self) -> None:
        self.samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self.decisions: deque[DecisionRow] = deque(maxlen=DECISIONS_MAX)
        self._before: FunctionMeasures | None = None

    def learn(self, at: float, now: FunctionMeasures) -> Sample:
        """Add an observation; return its sample."""
        before, row = self._before, now.row
        sample = Sample(
            at=at,
            pending=row.pending,
            running=row.running,
            plan=row.plan,
            requested=now.requested,
            observed=now.observed,
            wait=quantiles(_between(None if before is None else before.counted.wait, now.counted.wait)),
            run=quantiles(_between(None if before is None else before.counted.run, now.counted.run)),
            rate=self._rate(at, now),
        )
        self._before = now
        self.samples.append(sample)
        self.decisions.extend(now.decisions)
        return sample

    def _rate(self, at: float, now: FunctionMeasures) -> float:
        if self._before is None or not self.samples:
            return 0.0
        ended = sum(now.counted.ended.values()) - sum(self._before.counted.ended.values())
        return max(0, ended) / max(1e-3, at - self.samples[-1].at)


def _between(before: Times | None, now: Times) -> list[int]:
    if before is None:
        return now.counts
    return [max(0, count - former) for count, former in zip(now.counts, before.counts, strict=True)]


def quantiles(counts: Sequence[int]) -> Quantiles | None:
    """Return quantiles of times counted in classes of `BOUNDS_S`, as if each were filled evenly; None if empty."""
    total = sum(counts)
    if not total:
        return None
    return Quantiles(*(quantile(counts, total * share) for share in SHARES))


class History:
    """Observes the server, and keeps the latest samples.

    Args:
        observe: Returns an observation, with the decisions since a time.
    """

    def __init__(self, observe: Callable[[float], Awaitable[Observation]]) -> None:
        self.functions: dict[str, FunctionPast] = {}  #: by id
        self.latest: Observation | None = None
        self._observe = observe
        self._watching = 0
        self._looked_at = 0.0
        self._wake = asyncio.Event()
        self._fresh = asyncio.Event()

    async def run(self) -> None:
        """Observe until cancelled."""
        while True:
            try:
                self._learn(await self._observe(self._looked_at))
            except Error as error:  # the server ends, or is slow; the edge learns it by its own connection
                log.info("the server could not be observed: %s", error)
            self._wake.clear()
            try:
                async with asyncio.timeout(EVERY_S if self._watching else SELDOM_S):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _learn(self, observation: Observation) -> None:
        known = self.functions
        self.functions = {each.row.function_id: FunctionPast() for each in observation.functions} | {
            each.row.function_id: known[each.row.function_id]
            for each in observation.functions
            if each.row.function_id in known
        }
        for each in observation.functions:
            self.functions[each.row.function_id].learn(observation.at, each)
        self._looked_at = observation.at
        self.latest = observation
        fresh, self._fresh = self._fresh, asyncio.Event()
        fresh.set()

    async def watch(self) -> AsyncIterator[Observation]:
        """Yield observations as they are made, the first at once."""
        self._watching += 1
        self._wake.set()  # nobody watched: the latest observation may be some seconds old
        try:
            while True:
                await self._fresh.wait()
                assert self.latest is not None
                yield self.latest
        finally:
            self._watching -= 1
