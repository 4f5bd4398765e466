"""The clients of a simulation: how they are connected, do not read for a while, go, and come back to the next server.

This module must not know what clients want, or what the server decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from random import Random
from typing import Any

from swell.engine.events import ClientGone, ClientLags, ClientMessage, Event, SendRecorded
from swell.records import StoredOutput
from swell.sim.client import AppPlan, FakeClient
from swell.sim.clock import Clock
from swell.sim.deployer import Deployer, LastingPlan
from swell.sim.lease_socket import End, LeaseSocket
from swell.sim.link import FRAME_MAX, Link
from swell.sim.oracle.ledger import Ledger
from swell.wire import codec
from swell.wire import messages as m

__all__ = ["Clients"]

LASTING_FROM = 1_001  #: numbers of connections to clients of durable apps


class Clients:
    """All clients, each with the number of its connection."""

    def __init__(
        self,
        clock: Clock,
        random: Random,
        latency_s: float,
        ledger: Ledger,
        *,
        feed: Callable[[Event], None],
        kill: Callable[[str], None],
        dial: Callable[[str, End], LeaseSocket | None],
    ) -> None:
        """Begin without any.

        Args:
            clock: of the simulation.
            random: decides.
            latency_s: of their connections.
            ledger: is told what their inputs do.
            feed: has the engine handle an event.
            kill: ends a container that answers a request, by its id.
            dial: connects to a container for direct calls.
        """
        self.passing: dict[int, FakeClient] = {}  #: of apps that end with the server
        self.deployers: list[Deployer] = []
        self._clock, self._random, self._latency_s = clock, random, latency_s
        self._ledger = ledger
        self._feed, self._kill, self._dial = feed, kill, dial
        self._links: dict[int, Link] = {}  # to each that is connected
        self._numbers = count(LASTING_FROM)

    @property
    def are_over(self) -> bool:
        """True when each has come to its end."""
        return all(client.is_over for client in self._all())

    def waiting(self) -> list[FakeClient | Deployer]:
        """Return those that have not come to their end."""
        return [client for client in self._all() if not client.is_over]

    def _all(self) -> Iterator[FakeClient | Deployer]:
        yield from self.passing.values()
        yield from self.deployers

    # ------------------------------------------------------------ connections

    def connect(self, number: int, plan: AppPlan) -> FakeClient:
        """Bring in a client, which follows its plan."""
        for call in plan.calls:
            self._ledger.works[call.call_id] = call.works
        for loop in plan.loops:
            for i, work in enumerate(loop.works):
                self._ledger.works[loop.call(i)] = (work,)
        to_server = self._to_server(number)
        client = self.passing[number] = FakeClient(
            number, plan, self._clock, to_server.send, kill=self._kill, dial=self._dial
        )
        self._links[number] = self._link(codec.for_client(FRAME_MAX), client.receive)

        def vanish() -> None:
            link = self._links.pop(number, None)
            if link is not None:
                client.leave()
                link.cut()
                to_server.close(lambda: self._feed(ClientGone(number)))

        if plan.gone_at is not None:
            self._clock.at(plan.gone_at, vanish)
        return client

    def deploy(self, plan: LastingPlan) -> None:
        """Bring in a client of a durable app."""
        deployer = Deployer(plan, self._clock, self._kill)
        self.deployers.append(deployer)
        self.bring_in(deployer)

    def bring_in(self, deployer: Deployer) -> None:
        """Connect a client of a durable app, for the first time or after an outage."""
        number = next(self._numbers)
        for call in deployer.plan.calls:
            self._ledger.works[call.call_id] = call.works
        to_server = self._to_server(number)
        self._links[number] = self._link(codec.for_client(FRAME_MAX), deployer.receive)
        deployer.connected(to_server.send)

    def crash(self) -> None:
        """The server is killed: those of durable apps come back, the others are gone."""
        for link in self._links.values():
            link.cut()
        self._links.clear()
        for client in self.passing.values():
            client.leave()
        for deployer in self.deployers:
            deployer.disconnected()

    # ------------------------------------------------------------ what they are sent

    def send(self, number: int, message: m.Message, payload: bytes | memoryview = b"") -> None:
        """Send a client a message, if it is there."""
        if number in self._links:
            self._links[number].send(message, payload)

    def send_recorded(self, effect: SendRecorded, kept: list[StoredOutput]) -> None:
        """Send a client results of a store, and what it is to be told after them."""
        for output in kept:
            failures = [] if output.status == 1 else [(0, int(output.status))]
            blobs = [0] if output.has_blob else []
            answer = m.Outputs(effect.call_id, [(output.index, 1)], [len(output.payload)], failures, blobs)
            self.send(effect.client, answer, output.payload)
        if effect.then is not None:
            self.send(effect.client, effect.then)

    def plan_lags(self, random: Random) -> None:
        """In some histories, let clients not read for a while, now and then."""
        if random.random() < 0.7:
            return
        for number in self.passing:
            at = 0.0
            for _ in range(random.randint(0, 3)):
                at += random.expovariate(1.0)
                self._clock.at(at, partial(self._lag, number, True))
                at += random.choice((0.001, 0.1, 3.0))
                self._clock.at(at, partial(self._lag, number, False))

    def _lag(self, number: int, is_lagging: bool) -> None:
        if number in self._links:
            self._feed(ClientLags(number, is_lagging))

    def _to_server(self, number: int) -> Link:
        return self._link(
            codec.for_server(FRAME_MAX), lambda message, data: self._feed(ClientMessage(number, message, data))
        )

    def _link(self, decoder: codec.FrameDecoder[Any], arrive: Callable[[m.Message, bytes], None]) -> Link:
        return Link(self._clock, self._random, self._latency_s, decoder, arrive)
