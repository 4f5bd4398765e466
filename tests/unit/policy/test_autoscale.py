"""How many containers, and why. Every row of numbers below can be checked by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swell.model import AutoscalerSettings
from swell.policy.autoscale import PoolView, decide, effective


def view(backlog: int = 0, running: int = 0, **fields: Any) -> PoolView:
    settings = AutoscalerSettings(
        fields.pop("low", 0), fields.pop("high", None), fields.pop("buffer", 0), fields.pop("window", 60)
    )
    values: dict[str, Any] = {
        "containers_max": 4_000,
        "capacity": 1,
        "requested": 0,
        "observed": 0,
        "service_s": None,
        "start_s": None,
    }
    return PoolView(settings=settings, backlog=backlog, running=running, **(values | fields))


@pytest.mark.parametrize(
    ("backlog", "running", "fields", "containers"),
    [
        (0, 0, {}, 0),
        (1, 0, {}, 1),
        (5, 0, {}, 5),
        (3, 2, {}, 5),
        (5, 0, {"capacity": 4}, 2),
        (8, 0, {"capacity": 4}, 2),
        (9, 0, {"capacity": 4}, 3),
        (0, 0, {"low": 3}, 3),
        (1, 0, {"low": 3}, 3),
        (7, 0, {"low": 3}, 7),
        (7, 0, {"high": 4}, 4),
        (5, 0, {"buffer": 2}, 7),
        (5, 0, {"buffer": 2, "high": 6}, 6),
        (0, 0, {"buffer": 2}, 0),
        (0, 1, {"buffer": 2}, 3),
        (9_000, 0, {}, 4_000),
        (9_000, 0, {"high": 8_000}, 4_000),
        (1, 0, {"low": 3, "containers_max": 2}, 2),
        (0, 0, {"low": 3, "containers_max": 2}, 2),
    ],
)
def test_the_plan(backlog: int, running: int, fields: dict[str, Any], containers: int) -> None:
    assert decide(view(backlog, running, **fields)).containers == containers


def test_what_will_be_done_before_a_container_could_start_is_no_reason_to_start_one() -> None:
    warm = {"observed": 2, "service_s": 0.001, "start_s": 1.0}
    assert decide(view(500, 2, **warm)).containers == 2, "half a second's work, and a start takes a second"
    assert decide(view(8_000, 2, **warm)).containers == 8, "eight seconds' work keeps eight containers busy for one"


def test_the_first_container_is_always_worth_its_start() -> None:
    assert decide(view(1, 0, observed=0, service_s=0.001, start_s=10.0)).containers == 1


def test_what_is_there_or_asked_for_is_never_counted_as_useless() -> None:
    assert decide(view(50, 0, observed=3, requested=4, service_s=0.001, start_s=1.0)).containers == 7


def test_single_use_containers_are_worth_nothing_to_the_next_input() -> None:
    quick = {"observed": 2, "service_s": 0.001, "start_s": 1.0}
    assert decide(view(50, 0, single_use=True, **quick)).containers == 50


def test_the_reason_is_in_words() -> None:
    assert decide(view()).reason == "idle"
    assert decide(view(low=2)).reason == "idle: the floor is 2"
    assert decide(view(7, high=4)).reason == "7 inputs at 1 per container; max_containers is 4"
    assert decide(view(7, buffer=1)).reason == "7 inputs at 1 per container, 1 in reserve"
    text = decide(view(50, 0, observed=1, service_s=0.002, start_s=1.5)).reason
    assert text == "50 inputs of about 2 ms are done before more containers (1.5 s to start) could help"
    text = decide(view(5_000, 0, observed=1, service_s=0.022, start_s=0.414)).reason
    assert text == "5000 inputs of about 22 ms are done before more containers (414 ms to start) could help"


@given(
    backlog=st.integers(0, 10_000),
    running=st.integers(0, 1_000),
    low=st.integers(0, 20),
    spread=st.integers(0, 50),
    buffer=st.integers(0, 10),
    capacity=st.integers(1, 100),
    observed=st.integers(0, 50),
    service_s=st.none() | st.floats(1e-6, 100),
    start_s=st.none() | st.floats(1e-3, 100),
)
def test_the_plan_is_within_bounds_and_grows_with_the_work(
    backlog: int, running: int, low: int, spread: int, buffer: int, capacity: int, **measured: Any
) -> None:
    high = max(1, low + spread)
    given_view = view(backlog, running, low=low, high=high, buffer=buffer, capacity=capacity, **measured)
    more = view(backlog + 1, running, low=low, high=high, buffer=buffer, capacity=capacity, **measured)
    plan = decide(given_view).containers
    assert low <= plan <= high
    assert plan >= (1 if backlog + running else 0)
    assert decide(more).containers >= plan


def test_layers_of_settings() -> None:
    static = AutoscalerSettings(min_containers=2, max_containers=10)
    assert effective(AutoscalerSettings(), AutoscalerSettings(), 60) == AutoscalerSettings(0, None, 0, 60)
    assert effective(static, AutoscalerSettings(), 60) == AutoscalerSettings(2, 10, 0, 60)
    assert effective(static, AutoscalerSettings(min_containers=4), 60) == AutoscalerSettings(4, 10, 0, 60)
    assert effective(static, AutoscalerSettings(min_containers=0), 60) == AutoscalerSettings(0, 10, 0, 60)
