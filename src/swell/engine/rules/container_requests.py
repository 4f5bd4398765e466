"""Requests about one container, by itself, a person or the edge: other slots, no more inputs, its end.

This module must not know how a container is drained or interrupted, or how a lease ends.
"""

from __future__ import annotations

from swell.engine.rules.completion import ProtocolError
from swell.engine.rules.containers import Containers
from swell.engine.rules.leases import Leases
from swell.engine.state.container import Container
from swell.engine.state.engine_state import EngineState
from swell.errors import NotFoundError, to_wire
from swell.states import ContainerState
from swell.wire.messages import Done, Failed, Resize, StartFailed
from swell.wire.queries import StopContainer
from swell.wire.web import Release

__all__ = ["ContainerRequests"]


class ContainerRequests:
    """Carries out requests about containers."""

    def __init__(self, state: EngineState, leases: Leases, containers: Containers) -> None:
        self._state = state
        self._leases = leases
        self._containers = containers

    def resize(self, container: Container, message: Resize) -> None:
        """Use so many slots of a container from now on, because its own code says so.

        Raises:
            ProtocolError: it has fewer slots, or the number is below 1.
        """
        most = container.spec.concurrency.max_inputs
        if not 1 <= message.slots <= most:
            raise ProtocolError(f"a container with {most} slots asked to have {message.slots}")
        container.resize(message.slots)
        self._state.mark_dirty(container.pool)

    def retire(self, container: Container, now: float) -> None:
        """Give a container no more inputs.

        Raises:
            ProtocolError: it has not been ready yet.
        """
        if container.is_starting:
            raise ProtocolError("it wants to leave before it is ready for its first input")
        self._containers.leave(container, now)
        container.pool.fleet.retire(container)
        self._state.mark_dirty(container.pool)

    def drain_if_done(self, container: Container, now: float) -> None:
        """Have a container leave that takes no more inputs and has none."""
        if container.state is ContainerState.LEAVING and not container.is_held:
            self._containers.drain(container, now)

    def note_failed_start(self, container: Container, message: StartFailed, payload: bytes) -> None:
        """Note why a container does not start; its end follows."""
        container.fail_start(message.text, payload)

    def release(self, client: int, message: Release, now: float) -> None:
        """End the lease of a request that is over; its container may have waited for that to leave."""
        for container in self._leases.release(client, message, now):
            self._containers.drain(container, now)

    def client_gone(self, client: int, now: float) -> None:
        """End the leases of a client that is gone."""
        for container in self._leases.client_gone(client, now):
            self._containers.drain(container, now)

    def stop_by_hand(self, client: int, message: StopContainer, now: float) -> None:
        """Have a container leave because a person wants it to."""
        container = self._state.containers.get(message.container_id)
        if container is None or container.is_leaving:
            text = f"container {message.container_id} does not run, or is leaving already"
            self._state.send_to_client(client, Failed(message.request, *to_wire(NotFoundError(text))))
            return
        if message.graceful or container.is_starting:
            self._containers.drain(container, now)
        else:
            self._containers.interrupt(container, "it was stopped by hand", now)
        self._state.send_to_client(client, Done(message.request))
