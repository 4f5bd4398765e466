"""The shape of the table that routes clients' messages: one row for each type, with its handler and its conditions.

The conditions of a row are composed with its handler when the table is built, so that a message costs one lookup, and
one without conditions nothing more. This module must not know any message or handler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from swell.engine.rules.lookups import stopping
from swell.engine.rules.unchanged import answer
from swell.engine.rules.variants import Variants
from swell.engine.state.engine_state import EngineState
from swell.errors import to_wire
from swell.wire.messages import Failed, Message

__all__ = ["Handler", "Route", "handlers", "plain", "route", "timed"]

M = TypeVar("M", bound=Message)

Handler = Callable[[int, Any, bytes, float], None]  #: gets client, message, payload and the time


class Route(NamedTuple):
    """How messages of one type are handled. `route` makes one, and checks that handler and type fit."""

    kind: type[Message]
    handle: Handler
    refused_while_stopping: str  #: why a server that is stopping refuses it; "" if it does not
    reads_only: bool  #: the handler changes nothing: a defect in it is an error of this one request
    wakes_function: bool  #: the variant that `function_id` names is brought back before, if it was put away


def route(
    kind: type[M],
    handle: Callable[[int, M, bytes, float], None],
    *,
    refused_while_stopping: str = "",
    reads_only: bool = False,
    wakes_function: bool = False,
) -> Route:
    """Return a row of the table. A message with a condition must have a `request`, by which a refusal is answered."""
    return Route(kind, handle, refused_while_stopping, reads_only, wakes_function)


def plain(handle: Callable[[int, M], None]) -> Callable[[int, M, bytes, float], None]:
    """Return a handler that gets neither the payload nor the time."""
    return lambda client, message, _payload, _now: handle(client, message)


def timed(handle: Callable[[int, M, float], None]) -> Callable[[int, M, bytes, float], None]:
    """Return a handler that gets the time, and no payload."""
    return lambda client, message, _payload, now: handle(client, message, now)


def handlers(routes: Iterable[Route], state: EngineState, variants: Variants) -> dict[type[Message], Handler]:
    """Return what handles each type of message, conditions included."""
    found: dict[type[Message], Handler] = {}
    for row in routes:
        assert row.kind not in found, f"{row.kind.__name__} has two rows"
        handle = row.handle
        if row.reads_only:
            handle = _reading(handle, state)
        if row.wakes_function:
            handle = _awake(handle, variants)
        if row.refused_while_stopping:
            handle = _until_stopping(handle, state, row.refused_while_stopping)
        found[row.kind] = handle
    return found


def _reading(handle: Handler, state: EngineState) -> Handler:
    def read(client: int, message: Any, payload: bytes, now: float) -> None:
        answer(state, client, message.request, lambda: handle(client, message, payload, now))

    return read


def _awake(handle: Handler, variants: Variants) -> Handler:
    def wake(client: int, message: Any, payload: bytes, now: float) -> None:
        if variants.wake(client, message.request, message.function_id, now):
            handle(client, message, payload, now)

    return wake


def _until_stopping(handle: Handler, state: EngineState, why: str) -> Handler:
    def refuse_or_handle(client: int, message: Any, payload: bytes, now: float) -> None:
        if state.is_stopping:
            state.send_to_client(client, Failed(message.request, *to_wire(stopping(why))))
        else:
            handle(client, message, payload, now)

    return refuse_or_handle
