"""Every event and every message has one row in a table of the engine."""

from __future__ import annotations

from typing import get_args

import pytest

from swell.config import Settings
from swell.engine import events as e
from swell.engine.client_messages import client_routes
from swell.engine.container_messages import container_routes
from swell.engine.engine import Engine
from swell.engine.routing import handlers, plain, route
from swell.engine.state.engine_state import EngineState
from swell.engine.wiring import Rules
from swell.wire.leases import Announce
from swell.wire.messages import Unwatch


def rules() -> Rules:
    return Rules(EngineState(Settings(), ""))


def test_every_event_has_a_handler() -> None:
    assert set(Engine(Settings())._handlers) == set(get_args(e.Event))


def test_no_message_is_both_a_clients_and_a_containers_but_that_of_whoever_is_first() -> None:
    assert {row.kind for row in client_routes(rules())} & set(container_routes(rules())) == {Announce}


def test_what_is_answered_by_its_number_has_one() -> None:
    for row in client_routes(rules()):
        if row.refused_while_stopping or row.reads_only or row.wakes_function:
            assert "request" in row.kind.__struct_fields__, row.kind
        if row.wakes_function:
            assert "function_id" in row.kind.__struct_fields__, row.kind


def test_a_type_with_two_rows_is_refused() -> None:
    def forget(client: int, message: Unwatch) -> None: ...

    some = rules()
    row = route(Unwatch, plain(forget))
    with pytest.raises(AssertionError, match="Unwatch has two rows"):
        handlers([row, row], EngineState(Settings(), ""), some.variants)
