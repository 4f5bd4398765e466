"""The table of what containers may send to the engine, on their data channels.

This module must not know how a message is handled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from swell.engine.events import ContainerMessage
from swell.engine.rules.completion import ProtocolError
from swell.engine.state.container import Container
from swell.engine.state.engine_state import EngineState
from swell.engine.wiring import Rules
from swell.states import ContainerState
from swell.wire.leases import Abandoned, Announce, DirectReport, LeaseClosed
from swell.wire.messages import Completed, Leaving, Message, Ready, Resize, Returned, StartFailed, Yielded

__all__ = ["ContainerMessages", "container_routes"]

_LEAVING = ContainerState.LEAVING  # bound once: a lookup in an enum would cost each message

Handler = Callable[[Container, Any, bytes, float], None]


class ContainerMessages:
    """Hands each message of a container to its handler."""

    def __init__(self, state: EngineState, rules: Rules) -> None:
        self._state = state
        self._containers = rules.containers
        self._requests = rules.container_requests
        self._handlers = container_routes(rules)

    def handle(self, event: ContainerMessage, now: float) -> None:
        """Handle a message. One that breaks the protocol is killed; messages of one that is gone are ignored."""
        container, message = self._state.containers.get(event.container_id), event.message
        if container is None:
            return
        try:
            handle = self._handlers.get(type(message))
            if handle is None:
                raise ProtocolError(f"a container must not send {type(message).__name__}")
            handle(container, message, event.payload, now)
        except ProtocolError as error:
            self._containers.kill(container, str(error), its_fault=True)
        if container.state is _LEAVING:
            self._requests.drain_if_done(container, now)


def container_routes(rules: Rules) -> dict[type[Message], Handler]:
    """Return the table: what handles each message."""
    completion, requests, direct = rules.completion, rules.container_requests, rules.direct_calls
    return {
        Completed: completion.completed,
        Yielded: lambda container, message, payload, _: completion.yielded(container, message, payload),
        Returned: lambda container, message, _, now: completion.returned(container, message, now),
        Ready: lambda container, message, _payload, now: rules.containers.ready(container, message, now),
        StartFailed: lambda container, message, payload, _: requests.note_failed_start(container, message, payload),
        Resize: lambda container, message, _payload, _now: requests.resize(container, message),
        Leaving: lambda container, _message, _payload, now: requests.retire(container, now),
        DirectReport: lambda container, message, _payload, now: direct.reported(container, message, now),
        Announce: direct.announced_by_container,
        LeaseClosed: lambda container, message, _payload, now: direct.closed(container, message, now),
        Abandoned: lambda container, message, _payload, now: direct.abandoned(container, message, now),
    }
