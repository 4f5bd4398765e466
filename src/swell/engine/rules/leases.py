"""Leases: a request over HTTP has its slot from the moment the edge is told a container until the edge says it is over.

It is never run twice: of a request that was begun, nobody knows what it has done. This module must not know HTTP, nor
how inputs are placed.
"""

from __future__ import annotations

from swell.engine.rules.completion import Completion
from swell.engine.rules.scale import Scaler
from swell.engine.state.container import Container
from swell.engine.state.engine_state import EngineState
from swell.model import OutputStatus
from swell.states import ContainerState
from swell.wire.web import Release

__all__ = ["Leases"]

_ENDS = frozenset(int(status) for status in (OutputStatus.SUCCESS, OutputStatus.FAILURE, OutputStatus.TERMINATED))


class Leases:
    """Ends leases."""

    def __init__(self, state: EngineState, completion: Completion, scaler: Scaler) -> None:
        self._state = state
        self._completion = completion
        self._scaler = scaler

    def release(self, client: int, message: Release, now: float) -> None:
        """A request is over. Of a container that is gone, or to a client that has no such lease, it means nothing."""
        lease = self._state.leases.get(message.call_id)
        if lease is None or lease.client != client:
            return
        status = OutputStatus(message.status) if message.status in _ENDS else OutputStatus.FAILURE
        self._completion.released(message.call_id, lease, status, message.busy_s, now)
        self._may_leave(lease.delivery.container, now)

    def client_gone(self, client: int, now: float) -> None:
        """An edge is gone, and its connections with it: nothing runs of what it had leased."""
        for call_id, lease in [(call_id, lease) for call_id, lease in self._state.leases.items()]:
            if lease.client == client:
                self._completion.freed(call_id, lease, now)
                self._may_leave(lease.delivery.container, now)

    def _may_leave(self, container: Container, now: float) -> None:
        """Tell a container to leave that is to do so when its last request is over."""
        if container.state is ContainerState.LEAVING and not container.is_leased:
            self._scaler.drain(container, now)
