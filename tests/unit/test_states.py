"""The lifecycles: what the tables allow, and what they must never allow."""

from __future__ import annotations

from enum import Enum
from itertools import product

import pytest

from swell.model import OutputStatus
from swell.states import (
    APP_STEPS,
    CONTAINER_STEPS,
    ENDS_AS,
    INPUT_STEPS,
    LEASE_STEPS,
    SHOWN_AS,
    AppState,
    ContainerState,
    IllegalStep,
    InputState,
    LeaseState,
    is_final,
    step,
)

LIFECYCLES = [
    (INPUT_STEPS, InputState.PENDING),
    (CONTAINER_STEPS, ContainerState.REQUESTED),
    (APP_STEPS, AppState.RUNNING),
    (LEASE_STEPS, LeaseState.OPEN),
]
ENDS = {ContainerState.STOPPED, ContainerState.FAILED, ContainerState.LOST}


def reachable(steps: dict[Enum, frozenset[Enum]], start: Enum) -> set[Enum]:
    found, to_visit = {start}, [start]
    while to_visit:
        fresh = steps[to_visit.pop()] - found
        found |= fresh
        to_visit.extend(fresh)
    return found


@pytest.mark.parametrize(("steps", "start"), LIFECYCLES)
def test_every_state_is_in_the_table_and_can_be_reached(steps: dict, start: Enum) -> None:
    assert set(steps) == set(type(start))
    assert reachable(steps, start) == set(type(start))


@pytest.mark.parametrize(("steps", "start"), LIFECYCLES)
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
    with pytest.raises(IllegalStep, match="an app cannot go from stopping to running"):
        step(AppState.STOPPING, AppState.RUNNING)


def test_people_see_the_names_they_know_and_what_is_being_killed_as_it_was_before() -> None:
    known = {"requested", "starting", "ready", "draining", "stopped", "failed", "lost"}
    assert set(SHOWN_AS.values()) == known
    assert set(ContainerState) - set(SHOWN_AS) == {ContainerState.ABANDONED, ContainerState.KILLED}


def test_a_container_that_was_told_to_leave_is_never_lost() -> None:
    """Whatever it does then, the engine wanted its end: no input and no code is blamed."""
    for told in (ContainerState.DRAINING, ContainerState.INTERRUPTED):
        assert ContainerState.LOST not in CONTAINER_STEPS[told]


def test_every_output_ends_its_input() -> None:
    assert set(ENDS_AS) == set(OutputStatus)
    assert all(is_final(state) for state in ENDS_AS.values())


def test_an_input_is_tried_again_only_from_running() -> None:
    assert {state for state, then in INPUT_STEPS.items() if InputState.PENDING in then} == {InputState.RUNNING}
