"""Pools grow with demand and shrink without it, within settings that can be changed while they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pools_app as p
import pytest
from patience import patience, wait_until

import swell
from swell.exception import InvalidError
from swell.sdk.autoscaler import FunctionAutoscalerSettings, FunctionStats

PATIENCE_S = patience(60.0)
Pool = swell.Function[[str], str]


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> swell.App:
    return run_app(p.app)


def until(function: swell.Function[..., Any], is_so: Callable[[FunctionStats], bool]) -> FunctionStats:
    """Wait until the numbers of a pool are as they should be."""
    seen: list[FunctionStats] = []

    def is_now() -> bool:
        seen[:] = [function.get_current_stats()]
        return is_so(seen[0])

    wait_until(is_now, lambda: seen[0])
    return seen[0]


def containers(n: int) -> Callable[[FunctionStats], bool]:
    return lambda stats: stats.num_total_runners == n


@pytest.fixture
def call(board: ModuleType) -> Iterator[Callable[..., list[Any]]]:
    """Make calls that end with the test: `call(function, n)` returns once they are made."""
    made: list[Any] = []
    with ThreadPoolExecutor(64) as threads:

        def begin(function: Pool, n: int) -> list[Any]:
            several = [threads.submit(function.remote, "end") for _ in range(n)]
            made.extend(several)
            return several

        yield begin
        board.give("end")
        for one in made:
            one.result()


# ---------------------------------------------------------------- growing and shrinking


def test_a_pool_grows_from_zero_with_its_inputs_and_back(call: Callable[..., Any], board: ModuleType) -> None:
    assert p.plain.get_current_stats() == FunctionStats(0, 0, 0, 0)
    calls = call(p.plain, 5)
    full = FunctionStats(backlog=0, num_total_runners=5, num_running_inputs=5, input_headroom=0)
    until(p.plain, lambda stats: stats == full)
    board.give("end")
    assert len({one.result() for one in calls}) == 5
    until(p.plain, lambda stats: stats.input_headroom == 5)  # idle ones are kept
    until(p.plain, containers(0))  # for a while


@pytest.mark.nodes
def test_the_floor_is_there_without_inputs_and_stays() -> None:
    until(p.floored, lambda stats: stats == FunctionStats(0, 2, 0, 2))
    p.naps.remote(2.5)  # longer than the window
    assert p.floored.get_current_stats() == FunctionStats(0, 2, 0, 2)


def test_the_ceiling_holds_and_the_rest_waits(call: Callable[..., Any], board: ModuleType) -> None:
    calls = call(p.capped, 10)
    full = FunctionStats(backlog=7, num_total_runners=3, num_running_inputs=3, input_headroom=0)
    until(p.capped, lambda stats: stats == full)
    board.give("end")
    assert len({one.result() for one in calls}) <= 3


def test_the_buffer_is_there_while_there_are_inputs(call: Callable[..., Any], board: ModuleType) -> None:
    assert p.buffered.get_current_stats().num_total_runners == 0
    call(p.buffered, 1)
    until(p.buffered, lambda stats: stats == FunctionStats(0, 3, 1, 2))
    call(p.buffered, 1)
    until(p.buffered, lambda stats: stats == FunctionStats(0, 4, 2, 2))
    call(p.buffered, 1)
    until(p.buffered, lambda stats: stats == FunctionStats(0, 4, 3, 1))  # never above the ceiling
    board.give("end")
    until(p.buffered, containers(0))


def test_slots_of_concurrent_containers_are_filled(call: Callable[..., Any]) -> None:
    call(p.wide, 10)
    full = FunctionStats(backlog=2, num_total_runners=2, num_running_inputs=8, input_headroom=0)
    until(p.wide, lambda stats: stats == full)


def test_the_container_used_last_is_used_next() -> None:
    assert len({p.async_naps.remote(0) for _ in range(10)}) == 1


@pytest.mark.nodes
def test_a_single_use_container_serves_one_input(board: ModuleType) -> None:
    board.give("end")
    assert len({p.once.remote("end") for _ in range(3)}) == 3
    assert len(set(p.once.map(["end"] * 8))) == 8
    assert len(set(p.once_capped.map(["end"] * 3))) == 3  # one after the other


# ---------------------------------------------------------------- changing settings


def test_what_is_not_given_is_kept() -> None:
    assert p.updated.update_autoscaler() == FunctionAutoscalerSettings(0, 10, 60, 0)
    assert p.updated.update_autoscaler(min_containers=1, max_containers=9) == FunctionAutoscalerSettings(1, 9, 60, 0)
    assert p.updated.update_autoscaler(scaledown_window=30) == FunctionAutoscalerSettings(1, 9, 30, 0)
    assert p.updated.update_autoscaler(min_containers=2, max_containers=None) == FunctionAutoscalerSettings(2, 9, 30, 0)
    assert p.updated.autoscaler.update(buffer_containers=1) == FunctionAutoscalerSettings(2, 9, 30, 1)
    assert p.updated.autoscaler.settings() == FunctionAutoscalerSettings(2, 9, 30, 1)
    until(p.updated, containers(2))


def test_none_resets_in_the_newer_form() -> None:
    assert p.reset.autoscaler.settings().max_containers == 10
    assert p.reset.autoscaler.update(min_containers=3, max_containers=4).max_containers == 4
    now = p.reset.autoscaler.update(min_containers=None, max_containers=None)
    assert (now.min_containers, now.max_containers) == (0, None)


@pytest.mark.parametrize(
    "settings",
    [
        {"min_containers": 11},
        {"min_containers": -1},
        {"max_containers": 0},
        {"max_containers": -5},
        {"buffer_containers": -1},
        {"scaledown_window": 1},
        {"scaledown_window": 3_601},
        {"min_containers": 1.5},
        {"max_containers": "many"},
        {"min_containers": 5, "max_containers": 4},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused_and_nothing_changes(settings: dict[str, Any]) -> None:
    before = p.capped.autoscaler.settings()
    for update in (p.capped.update_autoscaler, p.capped.autoscaler.update):
        with pytest.raises(InvalidError, match="nothing was changed"):
            update(**settings)
    assert p.capped.autoscaler.settings() == before


async def test_every_form_has_an_aio() -> None:
    settings = await p.capped.autoscaler.settings.aio()
    assert settings == await p.capped.update_autoscaler.aio()
    assert settings == await p.capped.autoscaler.update.aio(max_containers=3)
    assert isinstance(await p.capped.get_current_stats.aio(), FunctionStats)


def test_a_raised_floor_takes_effect_at_once_and_a_lowered_one_lets_containers_go() -> None:
    p.raised.update_autoscaler(min_containers=3)
    until(p.raised, lambda stats: stats == FunctionStats(0, 3, 0, 3))
    p.raised.update_autoscaler(min_containers=1)
    until(p.raised, containers(1))
    p.raised.autoscaler.update(min_containers=None)
    until(p.raised, containers(0))


def test_a_raised_ceiling_takes_effect_on_what_waits_and_running_containers_stay(
    call: Callable[..., Any], board: ModuleType
) -> None:
    calls = call(p.reshaped, 4)
    until(p.reshaped, lambda stats: stats.num_running_inputs == 1)
    p.reshaped.update_autoscaler(max_containers=4)
    until(p.reshaped, lambda stats: stats.num_running_inputs == 4)
    p.reshaped.update_autoscaler(max_containers=1)
    assert p.reshaped.get_current_stats().num_running_inputs == 4  # nothing that runs is stopped
    board.give("end")
    assert len({one.result() for one in calls}) == 4


@pytest.mark.nodes
def test_a_container_can_change_another_pool() -> None:
    assert p.updates_another.remote(p.other).max_containers == 7
    assert p.other.autoscaler.settings().max_containers == 7
