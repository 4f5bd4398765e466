"""The short past of a function: what is kept of observations, and what is made of their counts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from swell.edge.admin import history as module
from swell.edge.admin.history import SAMPLES_MAX, FunctionPast, History, quantiles
from swell.errors import ServiceError
from swell.model import AutoscalerSettings
from swell.wire.histogram import BOUNDS_S, Times
from swell.wire.queries import FunctionRow
from swell.wire.stats import Counted, DecisionRow, FunctionMeasures, Observation

NONE = Times([0] * (len(BOUNDS_S) + 1), 0.0)


def counts(**classes: int) -> list[int]:
    found = [0] * (len(BOUNDS_S) + 1)
    for name, count in classes.items():
        found[int(name.removeprefix("c"))] = count
    return found


def measures(name: str = "f", *, ended: int = 0, wait: Times = NONE, decisions: Any = ()) -> FunctionMeasures:
    settings = AutoscalerSettings()
    row = FunctionRow(
        name=name,
        function_id=f"fu-{name}",
        version=1,
        settings=settings,
        starting=0,
        busy=1,
        idle=0,
        pending=5,
        running=2,
        done=ended,
        plan=3,
        reason="because",
    )
    counted = Counted(
        accepted=7,
        ended={1: ended},
        retried=0,
        lost=0,
        containers_failed=0,
        containers_lost=0,
        wait=wait,
        run=NONE,
        start=NONE,
    )
    return FunctionMeasures(
        app_id="ap-1",
        app_name="app",
        row=row,
        static=settings,
        override=settings,
        requested=3,
        observed=2,
        counted=counted,
        decisions=list(decisions),
    )


def observation(at: float, *functions: FunctionMeasures) -> Observation:
    return Observation(
        request=1,
        at=at,
        pid=1,
        version="0",
        started_at=0.0,
        address="unix:/x",
        nodes=[],
        apps=[],
        functions=list(functions),
        containers=[],
        calls=[],
    )


def test_nothing_has_no_quantiles() -> None:
    assert quantiles(counts()) is None


def test_quantiles_lie_within_their_class() -> None:
    found = quantiles(counts(c4=100))  # 5 to 10 ms
    assert found is not None
    assert found == pytest.approx((0.0075, 0.0095, 0.00995))


def test_what_took_longer_than_every_bound_counts_as_the_last() -> None:
    assert quantiles(counts(c18=1)) == (1_000.0, 1_000.0, 1_000.0)


def test_a_slow_hundredth_is_seen_at_the_end_only() -> None:
    found = quantiles(counts(c1=98, c10=2))
    assert found is not None
    assert found.p90 < 0.001
    assert found.p99 > 0.5


def test_a_sample_tells_what_happened_since_the_one_before() -> None:
    past = FunctionPast()
    past.learn(1.0, measures(ended=10, wait=Times(counts(c4=10), 0.1)))
    sample = past.learn(3.0, measures(ended=30, wait=Times(counts(c4=10, c10=5), 3.0)))
    assert sample.rate == pytest.approx(10.0)
    assert sample.wait is not None
    assert sample.wait.p50 > 0.5
    assert (sample.pending, sample.running, sample.plan, sample.requested, sample.observed) == (5, 2, 3, 3, 2)


def test_counts_that_began_anew_are_no_negative_numbers() -> None:
    past = FunctionPast()
    past.learn(1.0, measures(ended=10, wait=Times(counts(c4=10), 0.1)))
    sample = past.learn(2.0, measures(ended=1, wait=Times(counts(c4=1), 0.1)))
    assert (sample.rate, sample.wait) == (0.0, None)


def test_the_past_is_short() -> None:
    past = FunctionPast()
    for at in range(2 * SAMPLES_MAX):
        past.learn(float(at), measures(decisions=[DecisionRow(float(at), 1, 1, "why", "")]))
    assert len(past.samples) == SAMPLES_MAX
    assert past.samples[-1].at == 2 * SAMPLES_MAX - 1
    assert len(past.decisions) == 200


async def test_a_function_that_is_gone_is_forgotten_and_decisions_are_asked_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.01)
    asked: list[float] = []
    seen = [observation(1.0, measures("f"), measures("g")), observation(2.0, measures("g"))]

    async def observe(since: float) -> Observation:
        asked.append(since)
        return seen[len(asked) - 1]

    history = History(observe)
    task = asyncio.create_task(history.run())
    watching = history.watch()
    assert (await anext(watching)).at == 1.0
    assert (await anext(watching)).at == 2.0
    await watching.aclose()
    task.cancel()
    assert set(history.functions) == {"fu-g"}
    assert len(history.functions["fu-g"].samples) == 2
    assert asked[:2] == [0.0, 1.0]


async def test_a_server_that_does_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.01)
    calls = 0

    async def observe(since: float) -> Observation:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ServiceError("not now")
        return observation(5.0, measures())

    history = History(observe)
    task = asyncio.create_task(history.run())
    assert (await anext(history.watch())).at == 5.0
    task.cancel()
