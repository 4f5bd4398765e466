"""An app's life by its own verbs."""

from __future__ import annotations

import pytest

from swell.engine.state.app import App
from swell.model import AppKind, Deployment, Environment
from swell.states import AppState, IllegalStep

VERSION = Deployment("ap", 1, (), Environment("/py", "/", ()))


def app(kind: AppKind = AppKind.EPHEMERAL) -> App:
    return App("shop", kind, 7, VERSION, 0.0)


def test_one_that_retires_takes_calls_until_it_is_stopped() -> None:
    retiring = app()
    assert not retiring.may_end_idle
    retiring.retire()
    retiring.retire()
    assert (retiring.closing, retiring.is_retiring, retiring.may_end_idle) == (False, True, True)
    retiring.stop()
    assert (retiring.closing, retiring.is_retiring, retiring.suspended) == (True, False, False)
    retiring.end()
    assert retiring.state is AppState.ENDED


def test_one_that_is_suspended_is_closing_and_cannot_be_stopped() -> None:
    durable = app(AppKind.DEPLOYED)
    durable.suspend()
    assert (durable.closing, durable.suspended) == (True, True)
    with pytest.raises(IllegalStep, match="an app cannot go from suspended to stopping"):
        durable.stop()


def test_it_forgets_the_client_that_ran_it_and_those_that_wait_for_its_end() -> None:
    detached = app(AppKind.DETACHED)
    detached.answer_at_end(7, 1)
    detached.answer_at_end(8, 2)
    assert not detached.remove_client(8)
    assert detached.owner == 7
    assert detached.remove_client(7)
    assert (detached.owner, detached.closers, detached.may_end_idle) == (None, [], True)
