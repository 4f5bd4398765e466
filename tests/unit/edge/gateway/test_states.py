"""What may follow on what in an exchange."""

from __future__ import annotations

import pytest

from swell.edge.gateway import states
from swell.edge.gateway.states import OPEN_STATES, ExchangeEvent, ExchangeState, next_state
from swell.states import IllegalStep

EACH = [(state, event) for state in ExchangeState for event in ExchangeEvent]


def after(state: ExchangeState, event: ExchangeEvent) -> ExchangeState | None:
    try:
        return next_state(state, event)
    except IllegalStep:
        return None


def test_the_table_is_the_one_that_is_documented() -> None:
    lines = [line.split() for line in (states.__doc__ or "").splitlines() if line.startswith("    ")]
    events = [ExchangeEvent[name] for name in lines[0]]
    assert set(events) == set(ExchangeEvent)
    documented = {
        (ExchangeState[state], event): None if name == "-" else ExchangeState[name]
        for state, *names in lines[1:]
        for event, name in zip(events, names, strict=True)
    }
    assert documented == {(state, event): after(state, event) for state, event in EACH}


def test_a_client_gets_one_head() -> None:
    for event in (ExchangeEvent.HEAD, ExchangeEvent.SWITCH):
        assert [state for state in ExchangeState if after(state, event)] == [ExchangeState.WAITING]


def test_who_is_not_back_gets_nothing() -> None:
    assert after(ExchangeState.PARKED, ExchangeEvent.HEAD) is None


def test_an_exchange_can_end_in_every_state_and_is_never_wanted_again() -> None:
    for state, event in EACH:
        following = after(state, event)
        if state not in OPEN_STATES:
            assert following not in OPEN_STATES
        if event is ExchangeEvent.END:
            assert following is ExchangeState.CLOSED


def test_a_defect_says_what_was_to_happen_when() -> None:
    with pytest.raises(IllegalStep, match="an exchange that is RESPONDING has no event HEAD"):
        next_state(ExchangeState.RESPONDING, ExchangeEvent.HEAD)
