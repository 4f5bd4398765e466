"""Crashes: containers that die or cannot start, and inputs that kill them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import ModuleType

import pytest
from faults_app import (
    DiesInEnter,
    EntersAtSecond,
    FailsToEnter,
    Odd,
    always_interrupts,
    app,
    async_interrupts,
    dies_among,
    dies_at_first,
    dies_for,
    interrupts_on_a_thread,
    leaves,
    leaves_at_first,
    pid,
    preempted,
)

import swell
from swell.exception import InternalFailure


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> None:
    run_app(app, retry_delay_min_s=0.05, start_backoff_s=0.05, poison_crashes_max=3, start_failures_max=3)


# ---------------------------------------------------------------- a container dies


@pytest.mark.nodes
@pytest.mark.parametrize("how", ["exit", "kill", "segfault", "interrupt"])
def test_an_input_whose_container_dies_runs_again_at_no_cost(board: ModuleType, how: str) -> None:
    assert dies_at_first.remote(1, 2, how) == (1, 2)  # it has no retries


def test_an_idle_container_that_dies_is_replaced() -> None:
    first = pid.remote()
    os.kill(first, signal.SIGKILL)
    assert pid.remote() != first


@pytest.mark.nodes
def test_an_input_that_kills_again_and_again_ends_with_a_clear_error(board: ModuleType) -> None:
    with pytest.raises(InternalFailure, match=r"running in 3 containers when they died.*poison_crashes_max = 3"):
        dies_for.remote(0, 0)
    assert len(board.notes("attempt-0")) == 3


def test_the_neighbours_of_such_an_input_are_not_harmed(board: ModuleType) -> None:
    results = list(dies_for.map(range(300), kwargs={"poison": 137}, return_exceptions=True))
    assert [x for x, result in enumerate(results) if result != x] == [137]
    assert isinstance(results[137], InternalFailure)


def test_nor_are_those_that_run_beside_it(board: ModuleType) -> None:
    results = list(dies_among.map(range(12), kwargs={"poison": 5}, return_exceptions=True))
    assert [x for x, result in enumerate(results) if result != x] == [5]
    assert isinstance(results[5], InternalFailure)


# ---------------------------------------------------------------- what user code raises


def test_system_exit_is_the_inputs_failure_and_the_container_lives(board: ModuleType) -> None:
    for code in (0, 3):
        with pytest.raises(SystemExit) as caught:
            leaves.remote(code)
        assert caught.value.code == code
    assert len(set(board.notes("leaves"))) == 1


def test_system_exit_is_retried_like_any_failure(board: ModuleType) -> None:
    assert leaves_at_first.remote(1) == 1


def test_keyboard_interrupt_ends_the_container_and_the_input_runs_again(board: ModuleType) -> None:
    assert async_interrupts.remote(1) == 1
    assert interrupts_on_a_thread.remote(2) == 2


def test_keyboard_interrupt_for_ever_ends_with_a_clear_error(board: ModuleType) -> None:
    with pytest.raises(InternalFailure, match="poison_crashes_max = 3"):
        always_interrupts.remote(1)
    assert len(board.notes("attempt-1")) == 3


@pytest.mark.nodes
def test_a_rehearsed_preemption_sends_the_input_elsewhere(board: ModuleType) -> None:
    assert preempted.remote(1) == 1
    assert len(board.notes("attempt-1")) == 2


# ---------------------------------------------------------------- a container cannot start


def test_a_start_that_fails_now_and_then_costs_no_input_anything(board: ModuleType) -> None:
    assert EntersAtSecond().run.remote() == "ran"


@pytest.mark.nodes
def test_starts_that_keep_failing_end_with_the_original_exception(board: ModuleType) -> None:
    with pytest.raises(Odd, match="cannot enter") as caught:
        FailsToEnter(pool="one").run.remote()
    assert caught.value.number == 7
    assert len(board.notes("attempt-enter-one")) == 3
    assert "exit" not in board.notes()


def test_all_inputs_that_wait_hear_of_it(board: ModuleType) -> None:
    results = list(FailsToEnter(pool="two").run.starmap([()] * 5, return_exceptions=True))
    assert [type(result) for result in results] == [Odd] * 5


def test_a_container_that_dies_at_its_start_is_a_failed_start(board: ModuleType) -> None:
    with pytest.raises(swell.exception.RemoteError, match="exited with code 5"):
        DiesInEnter().run.remote()
