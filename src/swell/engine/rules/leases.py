"""Leases: a request over HTTP has its slot from when the edge is told a container until the edge releases it.

A request is never run twice: of one that was begun, nobody knows what it has done. So a lease ends in one of three
ways: the edge releases it, the edge is gone and its connections with it, or the container is gone and the request has
failed. The slot is free then, not when the request has ended: a cancelled request keeps its slot until the edge, which
stops it, releases it. This module must not know HTTP, how inputs are placed, or how containers leave.
"""

from __future__ import annotations

from collections.abc import Iterator

from swell.engine.rules.deliveries import outcome_in
from swell.engine.rules.results import ResultPublisher
from swell.engine.state.container import Container, Delivery, Lease
from swell.engine.state.engine_state import EngineState
from swell.model import OutputStatus
from swell.states import ContainerState
from swell.wire.web import Leased, Release

__all__ = ["Leases"]

_LEAVING = ContainerState.LEAVING
_ENDS = frozenset(int(status) for status in (OutputStatus.SUCCESS, OutputStatus.FAILURE, OutputStatus.TERMINATED))


class Leases:
    """Begins and ends leases."""

    def __init__(self, state: EngineState, results: ResultPublisher) -> None:
        self._state = state
        self._results = results

    def begin(self, delivery: Delivery) -> None:
        """Tell edges that their requests may go to the container. Each is a call of one input."""
        state, container = self._state, delivery.container
        for position, part in enumerate(delivery.parts):
            call = part.call
            state.add_lease(call.id, Lease(delivery, position, call.client))
            state.send_to_client(call.client, Leased(call.id, container.id))

    def release(self, client: int, message: Release, now: float) -> Iterator[Container]:
        """End a lease because its request is over; yield its container if that was to leave after it.

        Of a container that is gone, or from a client that has no such lease, the message means nothing.
        """
        lease = self._state.leases.get(message.call_id)
        if lease is None or lease.client != client:
            return
        status = OutputStatus(message.status) if message.status in _ENDS else OutputStatus.FAILURE
        self._end_request(lease, status, message.busy_s, now)
        self._free(message.call_id, lease, now)
        yield from _leaving(lease)

    def client_gone(self, client: int, now: float) -> Iterator[Container]:
        """End the leases of an edge that is gone; yield the containers that were to leave after them."""
        for call_id, lease in list(self._state.clients.leases_of.get(client, {}).items()):
            self._free(call_id, lease, now)
            yield from _leaving(lease)

    def break_off(self, delivery: Delivery, status: OutputStatus, reason: str, now: float) -> None:
        """Fail the requests whose container is gone: nobody knows what they have done there."""
        for position in sorted(delivery.open):
            call, segment, index = delivery.locate(position)
            self._state.remove_lease(call.id)
            if position not in delivery.revoked:
                call.add_running(-1)
                text = f"its container is gone: {reason}; a request is not run twice"
                ended = outcome_in(delivery, index, status, text.encode())
                self._results.end(call, segment, [ended], now)
        delivery.close(list(delivery.open))

    def _end_request(self, lease: Lease, status: OutputStatus, busy_s: float, now: float) -> None:
        """End a request that has not ended otherwise. How is told to nobody: the edge knows."""
        delivery, position, _ = lease
        if position in delivery.revoked:
            return
        call, segment, index = delivery.locate(position)
        call.add_running(-1)
        self._results.end_silently(call, segment, outcome_in(delivery, index, status, b""), now)
        pool = delivery.container.pool
        if 0 < busy_s <= now - delivery.at:
            pool.estimates.learn_service(busy_s, 1)
            pool.measures.run.add(busy_s)

    def _free(self, call_id: str, lease: Lease, now: float) -> None:
        delivery, position, _ = lease
        self._state.remove_lease(call_id)
        delivery.close((position,))
        delivery.container.close(delivery, now)
        self._state.mark_dirty(delivery.container.pool)


def _leaving(lease: Lease) -> Iterator[Container]:
    """Yield the container of a lease that has ended, if that was its last one and it is to leave."""
    container = lease.delivery.container
    if container.state is _LEAVING and not container.is_leased:
        yield container
