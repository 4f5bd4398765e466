"""The states of an exchange, and the events that take it from one to another: a table, as h11 has one for each peer.

                     HEAD        SWITCH   REDIRECT  RESUME   LEFT       END
    WAITING          RESPONDING  TUNNEL   PARKED    -        ABANDONED  CLOSED
    PARKED           -           -        -         WAITING  ABANDONED  CLOSED
    RESPONDING       -           -        -         -        ABANDONED  CLOSED
    TUNNEL           -           -        -         -        ABANDONED  CLOSED
    ABANDONED        -           -        -         -        CLOSED     CLOSED
    CLOSED           -           -        -         -        CLOSED     CLOSED

A dash is a defect, and raises: a second head, for one, would be read as the response to the client's next request. This
module must not know clients, containers or bytes.
"""

from __future__ import annotations

from enum import IntEnum  # hashed in C: a request looks up its state a few times
from typing import Final

from swell.states import IllegalStep

__all__ = ["OPEN_STATES", "ExchangeEvent", "ExchangeState", "next_state"]


class ExchangeState(IntEnum):
    """What the client of an exchange may still get."""

    WAITING = 1  #: it is connected, and has got nothing of the response
    PARKED = 2  #: it was redirected and is not back; what comes of the response is kept for it
    RESPONDING = 3  #: it has the head of the response, and the body follows
    TUNNEL = 4  #: the protocol was switched: bytes pass in both directions
    ABANDONED = 5  #: it has left; the container has to notice before the slot is free
    CLOSED = 6  #: it got a whole response, an error, or a broken connection


class ExchangeEvent(IntEnum):
    """What happens to an exchange."""

    HEAD = 1  #: the head of the response is sent to the client
    SWITCH = 2  #: the same, and it agrees to another protocol
    REDIRECT = 3  #: the client is told to come back
    RESUME = 4  #: it is back
    LEFT = 5  #: it has left, or did not come back in time
    END = 6  #: the response is complete, or is replaced by an error, or is broken off


_S, _E = ExchangeState, ExchangeEvent
_END: Final = {_E.LEFT: _S.ABANDONED, _E.END: _S.CLOSED}
_OVER: Final = {_E.LEFT: _S.CLOSED, _E.END: _S.CLOSED}

_TABLE: Final[dict[ExchangeState, dict[ExchangeEvent, ExchangeState]]] = {
    _S.WAITING: {_E.HEAD: _S.RESPONDING, _E.SWITCH: _S.TUNNEL, _E.REDIRECT: _S.PARKED, **_END},
    _S.PARKED: {_E.RESUME: _S.WAITING, **_END},
    _S.RESPONDING: _END,
    _S.TUNNEL: _END,
    _S.ABANDONED: _OVER,
    _S.CLOSED: _OVER,
}

#: The states in which a response is wanted.
OPEN_STATES: Final = frozenset((_S.WAITING, _S.PARKED, _S.RESPONDING, _S.TUNNEL))


def next_state(state: ExchangeState, event: ExchangeEvent) -> ExchangeState:
    """Return the state after an event.

    Raises:
        IllegalStep: the event cannot happen in this state: a defect.
    """
    following = _TABLE[state].get(event)
    if following is None:
        raise IllegalStep(f"an exchange that is {state.name} has no event {event.name}")
    return following
