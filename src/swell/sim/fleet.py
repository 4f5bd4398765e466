"""The fake containers of a simulation: how they start, what reaches them and what they send, and how they end.

All that passes between a container and the server passes through its node. This module must not know why a container
is started or killed, or what becomes of nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from swell.engine.events import (
    ContainerExited,
    ContainerMessage,
    ContainerStarted,
    Event,
    SendToContainer,
    StartContainer,
)
from swell.model import FunctionSpec, MemoryExcess
from swell.policy.leasing import may_lease
from swell.sim.clock import Clock
from swell.sim.container import FakeContainer, Manners
from swell.sim.lease_socket import End, LeaseSocket
from swell.sim.link import FRAME_MAX, Link
from swell.sim.node import FakeNode
from swell.sim.oracle.ledger import Ledger
from swell.sim.run import EXCESS
from swell.sim.scenario import Scenario
from swell.wire import codec
from swell.wire import messages as m
from swell.wire.leases import DirectReport, LeaseClosed

__all__ = ["Fleet"]

LOST_AT_ONCE = 256  #: containers of a lost node that are told before other events have their turn


class Fleet:
    """All containers of one server, on all nodes."""

    def __init__(
        self, scenario: Scenario, clock: Clock, random: Random, ledger: Ledger, feed: Callable[[Event], None]
    ) -> None:
        """Begin without any.

        Args:
            scenario: says how containers misbehave.
            clock: of the simulation.
            random: decides.
            ledger: knows what inputs do.
            feed: has the engine handle an event.
        """
        self.containers: dict[str, FakeContainer] = {}  #: those that have a process, and of which the end is not told
        self.leavers: set[str] = set()  #: have sent Leaving
        self._scenario = scenario
        self._clock, self._random = clock, random
        self._ledger = ledger
        self._feed = feed
        self._node_of: dict[str, FakeNode] = {}  # of those that were launched and of which the end is not told
        self._links: dict[str, tuple[Link, Link]] = {}  # for data and for control

    def node_of(self, container_id: str) -> FakeNode | None:
        """Return the node of a container; None once its end was told."""
        return self._node_of.get(container_id)

    def on(self, node: FakeNode) -> list[str]:
        """Return the containers that were launched on a node and of which the end is not told."""
        return [container_id for container_id, other in self._node_of.items() if other is node]

    def crash(self) -> None:
        """The server is killed, and every container with it."""
        for container in self.containers.values():
            container.kill()
        for link in (end for ends in self._links.values() for end in ends):
            link.cut()
        for registry in (self.containers, self._links, self._node_of):
            registry.clear()
        self.leavers.clear()

    # ------------------------------------------------------------ what the server wants

    def start(self, effect: StartContainer, node: FakeNode) -> None:
        """Start a container on a node, which may be lost by now."""
        container_id, faults, random = effect.container_id, self._scenario.faults, self._random
        self._node_of[container_id] = node
        troubled = self._clock.now < faults.until
        self._links[container_id] = (self._to_nobody(node), self._to_nobody(node))
        if node.is_lost or (troubled and random.random() < faults.start_refused):
            refused = partial(self.gone, container_id, "fork failed", started=False)
            self._clock.after(0.001, refused if node.is_lost else partial(node.passes, refused))
            return
        manners = Manners(
            start_s=self._scenario.start_s * random.uniform(0.5, 2) + troubled * faults.start_slow_s * random.random(),
            exit_s=0.001,
            items_ahead_max=self._scenario.items_ahead_max,
            fails_start=troubled and random.random() < faults.start_fails,
            hangs_start=troubled and random.random() < faults.start_hangs,
            hangs_exit=troubled and random.random() < faults.exit_hangs,
            resizes_to=self._sizes(effect.spec) if troubled and random.random() < faults.resizes else (),
            leaves_after=random.randint(1, 20) if troubled and random.random() < faults.leaves else None,
            takes_calls=self._scenario.node_faults is None and may_lease(effect.spec),
        )
        self._clock.after(0.0005, partial(node.passes, partial(self._make, effect, manners, node)))

    def send(self, effect: SendToContainer) -> None:
        """Send a container a message."""
        data, control = self._links[effect.container_id]
        link = data if isinstance(effect.message, m.Deliver) else control
        link.send(effect.message, effect.payload)

    def kill(self, container_id: str, reason: str, excess: MemoryExcess | None = None) -> None:
        """Kill a container from outside: what it sent last may arrive before or after the news of its end."""
        node = self._node_of.get(container_id)
        gone = partial(self.gone, container_id, reason, excess=excess)
        delay_s = self._scenario.latency_s * self._random.uniform(0, 2)
        if node is not None:
            then = partial(self._clock.after, delay_s, partial(node.passes, gone))
            node.passes(partial(self._kill_now, container_id, then))

    def _kill_now(self, container_id: str, then: Callable[[], None]) -> None:
        container = self.containers.get(container_id)
        if container is not None:
            container.kill()
        then()

    # ------------------------------------------------------------ what containers do

    def _sizes(self, spec: FunctionSpec) -> tuple[int, ...]:
        return tuple(self._random.randint(1, spec.concurrency.max_inputs) for _ in range(5))

    def _make(self, effect: StartContainer, manners: Manners, node: FakeNode) -> None:
        container_id = effect.container_id
        if container_id not in self._node_of:
            return  # killed, or its node vanished, before the process existed
        self._feed(ContainerStarted(container_id))
        to_server = self._link(codec.for_server(FRAME_MAX), partial(self._heard, container_id), node)
        container = self.containers[container_id] = FakeContainer(
            container_id,
            effect.spec,
            node.clock,
            manners,
            self._ledger,
            function_id=effect.function_id,
            send=to_server.send,
            exit=partial(self._exits, to_server, container_id),
        )
        self._links[container_id] = (
            self._link(codec.for_container(FRAME_MAX), container.hear_data, node),
            self._link(codec.for_container(FRAME_MAX), container.hear_control, node),
        )

    def _heard(self, container_id: str, message: m.Message, payload: bytes) -> None:
        if isinstance(message, m.Leaving):
            self.leavers.add(container_id)
        event = ContainerMessage(container_id, message, payload)
        self._feed(event)
        faults = self._scenario.faults
        repeatable = m.Completed | m.Returned | DirectReport | LeaseClosed
        may_repeat = self._clock.now < faults.until and isinstance(message, repeatable)
        if may_repeat and self._random.random() < faults.repeated:
            self._clock.after(self._random.choice((0.0, 0.01, 5.0)), lambda: self._feed(event))

    def dial(self, container_id: str, caller: End) -> LeaseSocket | None:
        """Connect a client to a container, for direct calls; None if nobody listens there."""
        socket = LeaseSocket(self._clock, self._random, self._scenario.latency_s, caller)
        container = self.containers.get(container_id)
        return socket if container is not None and container.accept(socket) else None

    def _exits(
        self, to_server: Link, container_id: str, reason: str, in_order: bool, excess: MemoryExcess | None, /
    ) -> None:
        gone = partial(self.gone, container_id, reason, excess=excess)
        if in_order:
            to_server.close(gone)
        elif (node := self._node_of.get(container_id)) is not None:
            self._clock.after(self._scenario.latency_s, partial(node.passes, gone))

    def die(self, container_id: str) -> None:
        """Let a container die of what it does."""
        if container_id in self.containers:
            self.kill(container_id, "killed by SIGSEGV")

    def lose_one(self) -> None:
        """Kill any container, for no reason."""
        living = [container_id for container_id, container in self.containers.items() if container.alive]
        if living:
            excess = self._random.choice((None, EXCESS))
            reason = "the machine ran out of memory" if excess is None else f"killed: it {excess}"
            self.kill(self._random.choice(living), reason, excess)

    def gone(self, container_id: str, reason: str, *, started: bool = True, excess: MemoryExcess | None = None) -> None:
        """Tell the server of a container's end, unless that was told before."""
        if self._node_of.pop(container_id, None) is None:
            return
        self.containers.pop(container_id, None)
        self._feed(ContainerExited(container_id, reason, started, excess))
        data, control = self._links[container_id]
        data.cut()
        control.cut()

    def give_up(self, node: FakeNode, why: str) -> None:
        """Tell the server that all containers of a node are lost, some at once and the rest after that."""
        left = self.on(node)
        for container_id in left[:LOST_AT_ONCE]:
            self.gone(container_id, f"node {node.node.name} is lost: {why}")
        if len(left) > LOST_AT_ONCE:
            self._clock.after(0.0, partial(self.give_up, node, why))

    # ------------------------------------------------------------ links

    def _link(
        self, decoder: codec.FrameDecoder[Any], arrive: Callable[[m.Message, bytes], None], node: FakeNode
    ) -> Link:
        return Link(self._clock, self._random, self._scenario.latency_s, decoder, arrive, passes=node.passes)

    def _to_nobody(self, node: FakeNode) -> Link:
        return self._link(codec.for_container(FRAME_MAX), lambda _message, _data: None, node)
