"""The lifecycles: what the tables allow, and what they must never allow."""

from __future__ import annotations

from enum import Enum
from itertools import product

import pytest

from swell.model import OutputStatus
from swell.states import (
    CONTAINER_STEPS,
    ENDS_AS,
    INPUT_STEPS,
    ContainerState,
    IllegalStep,
    InputState,
    is_final,
    step,
)

ENDS = {ContainerState.STOPPED, ContainerState.FAILED, ContainerState.LOST}


def reachable(steps: dict[Enum, frozenset[Enum]], start: Enum) -> set[Enum]:
    found, to_visit = {start}, [start]
    while to_visit:
        fresh = steps[to_visit.pop()] - found
        found |= fresh
        to_visit.extend(fresh)
    return found


@pytest.mark.parametrize(
    ("steps", "start"), [(INPUT_STEPS, InputState.PENDING), (CONTAINER_STEPS, ContainerState.REQUESTED)]
)
def test_every_state_is_in_the_table_and_can_be_reached(steps: dict, start: Enum) -> None:
    assert set(steps) == set(type(start))
    assert reachable(steps, start) == set(type(start))


@pytest.mark.parametrize(
    ("steps", "start"), [(INPUT_STEPS, InputState.PENDING), (CONTAINER_STEPS, ContainerState.REQUESTED)]
)
def test_from_every_state_there_is_an_end(steps: dict, start: Enum) -> None:
    ends = {state for state, following in steps.items() if not following}
    assert all(reachable(steps, state) & ends for state in steps)


def test_a_container_that_ended_stays_ended() -> None:
    for end, then in product(ENDS, ContainerState):
        with pytest.raises(IllegalStep):
            step(end, then)


def test_a_usual_life() -> None:
    state = ContainerState.REQUESTED
    for then in (ContainerState.STARTING, ContainerState.READY, ContainerState.DRAINING, ContainerState.STOPPED):
        state = step(state, then)
    assert state is ContainerState.STOPPED


def test_an_illegal_step_says_which() -> None:
    with pytest.raises(IllegalStep, match="a container cannot go from draining to ready"):
        step(ContainerState.DRAINING, ContainerState.READY)
    with pytest.raises(IllegalStep, match="an input cannot go from failed to pending"):
        step(InputState.FAILED, InputState.PENDING)


def test_every_output_ends_its_input() -> None:
    assert set(ENDS_AS) == set(OutputStatus)
    assert all(is_final(state) for state in ENDS_AS.values())


def test_an_input_is_tried_again_only_from_running() -> None:
    assert {state for state, then in INPUT_STEPS.items() if InputState.PENDING in then} == {InputState.RUNNING}
