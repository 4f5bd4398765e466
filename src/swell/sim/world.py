"""The world around the engine: carries out its effects, lets time pass, and misbehaves as a scenario says.

Everything is deterministic: one seed, one history. After every event the engine is validated and the oracle checks.
This module must not decide anything that the engine should.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from random import Random
from typing import Any, cast

from swell.engine.engine import Engine
from swell.engine.events import (
    ClientGone,
    ClientLags,
    ClientMessage,
    ContainerExited,
    ContainerMessage,
    ContainerStarted,
    DefectFound,
    Effect,
    Event,
    KillContainer,
    NodesObserved,
    NodeView,
    PollNodes,
    SendRecorded,
    SendToClient,
    SendToContainer,
    ShutdownRequested,
    StartContainer,
    StateRestored,
)
from swell.engine.gate import Gate
from swell.model import FunctionSpec, MemoryExcess
from swell.ports import Store
from swell.records import StoredOutput
from swell.sim.client import AppPlan, FakeClient
from swell.sim.clock import Clock
from swell.sim.container import FakeContainer, Manners
from swell.sim.crash_points import CrashPoints, ServerKilled
from swell.sim.deployer import Deployer
from swell.sim.invariants import (
    check_drains,
    check_empty,
    check_held,
    check_kept,
    check_promptness,
    check_refusals,
    resisting,
)
from swell.sim.link import Link
from swell.sim.oracle import Oracle
from swell.sim.run import EXCESS
from swell.sim.store import DurableStore
from swell.sim.swarm import Scenario
from swell.sim.work import input_of
from swell.wire import codec
from swell.wire import messages as m

__all__ = ["World"]

EPSILON = 1e-9
LASTING_FROM = 1_001  #: numbers of connections to clients of durable apps
LAZY_COMMIT_S = 0.005
FRAME_MAX = 64 << 20
SPIN_MAX = 1_000  #: ticks at one moment; more means that the engine asks to be woken for nothing


class World:
    """One simulation."""

    def __init__(self, scenario: Scenario, seed: int = 0, *, check_every: int = 1) -> None:
        self.clock = Clock()
        self.random = Random(seed)
        self.scenario = scenario
        self.seed = seed
        self.lives = 0  #: how many servers there were
        self.is_up = False
        self.crash_points = CrashPoints(scenario.crash_points)
        self.store = DurableStore(self.clock, Random(seed), scenario.commit_s, self._boundary)
        self.engine, self._gate = self._new_server()
        self.oracle = Oracle(scenario.settings)
        self.oracle.expect_innocent_survival = not scenario.faults.lost_per_s and not scenario.faults.nodes_per_s
        # The engine's clocks start when it decides to send, and what it sends may wait for a commit.
        self.oracle.slack_s = 4 * scenario.latency_s + 2 * scenario.commit_s + EPSILON
        self.clients: dict[int, FakeClient] = {}
        self.deployers: list[Deployer] = []
        self.containers: dict[str, FakeContainer] = {}
        self.events = 0
        self.listeners: list[Callable[[Event | None, list[Effect]], None]] = []
        self._check_every = check_every
        self._nodes = {node.name: node for node in scenario.nodes}
        self._node_of: dict[str, str] = {}
        self._to_client: dict[int, Link] = {}
        self._to_container: dict[str, tuple[Link, Link]] = {}
        self._leavers: set[str] = set()
        self._ticks_here = 0
        self._numbers = count(LASTING_FROM)
        self.clock.at(0.0, self._observe)
        for number, plan in enumerate(scenario.apps, start=1):
            self.connect(number, plan)
        for plan in scenario.lasting:
            self._bring_in(Deployer(plan, self.clock, self._die))
        self._plan_faults()
        self._plan_lags(Random(f"lags-{seed}"))

    def _new_server(self) -> tuple[Engine, Gate]:
        self.lives += 1
        self.is_up = True
        engine = Engine(self.scenario.settings, f"sim-{self.seed}-{self.lives}")
        bounds = Random(f"bounds-{self.seed}")
        if not self.scenario.is_large and bounds.random() < 0.5:
            engine.state.agenda.bound(looks=bounds.randint(1, 5), changes=bounds.randint(1, 5))
        return engine, Gate(cast("Store", self.store), self._do, self.feed, partial(self.clock.after, LAZY_COMMIT_S))

    # ------------------------------------------------------------ time

    def run(self, until: float = float("inf"), *, done: Callable[[], bool] | None = None) -> None:
        """Let things happen until a time, until `done` says so, or until nothing is left to happen."""
        while not (done is not None and done()):
            if not self._step(until):
                return

    def finish(self, within_s: float = 50_000.0) -> None:
        """Let every client come to its end, close what outlives them, and assert that all is done and nothing is left.

        Raises:
            AssertionError: an input has not ended, or something is kept of what is gone.
        """
        limit = self.clock.now + within_s
        self.run(limit, done=lambda: self.is_up and all(client.is_over for client in self._all_clients()))
        waiting = [client for client in self._all_clients() if not client.is_over]
        assert not waiting, f"clients {waiting} wait for ever; unfinished: {self.oracle.unfinished()[:5]}"
        self.run(limit, done=lambda: self.is_up and not (self.oracle.unfinished() or self.oracle.unread))
        assert not self.oracle.unfinished(), f"inputs wait for ever: {self.oracle.unfinished()[:5]}"
        assert not self.oracle.unread, f"calls of a killed server are never read: {sorted(self.oracle.unread)[:5]}"
        assert not self.oracle.unrecorded(), f"calls have ended and were not recorded: {self.oracle.unrecorded()[:5]}"
        self.crash_points.end()
        # What was decided last is written, too, and what waits for that is done: blobs of what has ended are deleted.
        self.run(self.clock.now + LAZY_COMMIT_S + 2 * self.scenario.commit_s)
        # Of inputs that ended without ever having been in memory, the store knows the blobs; a sweep deletes them.
        self.oracle.tidied(input_of(name) for name in self.store.now("expire", 0.0, 0.0, 1_000))
        assert not self.oracle.left_blobs(), f"blobs are left: {self.oracle.left_blobs()[:5]}"
        check_kept(self.store, self.deployers)
        self.feed(ShutdownRequested("the simulation is over"))
        self.run(limit, done=lambda: not self.engine.state.apps)
        check_empty(self.engine.state)

    def _all_clients(self) -> list[FakeClient | Deployer]:
        return [*self.clients.values(), *self.deployers]

    def _step(self, until: float) -> bool:
        try:
            return self._happen(until)
        except ServerKilled:
            self._server_killed()
            return True

    def _happen(self, until: float) -> bool:
        late = self.scenario.tick_late_s
        tick_at = self.engine.next_deadline() if self.is_up else float("inf")
        if late and tick_at > self.clock.now:
            tick_at += late * self.random.random()
        if min(tick_at, self.clock.next_at) > until:
            self.clock.now = max(self.clock.now, min(until, 1e12))
            return False
        if tick_at <= self.clock.next_at:
            if tick_at == float("inf"):
                return False
            self._ticks_here = self._ticks_here + 1 if tick_at <= self.clock.now else 0
            assert self._ticks_here < SPIN_MAX, f"the engine wants to be woken for ever at {self.clock.now}"
            self.clock.now = max(self.clock.now, tick_at)
            self._carry_out(None, self.engine.tick(self.clock.now))
        else:
            self._ticks_here = 0
            self.clock.take()()
        return True

    def feed(self, event: Event) -> None:
        """Let the engine handle an event, check what comes of it, and do it. Nobody does while the server is down."""
        if not self.is_up:
            return
        self.oracle.happened(event, self.clock.now)
        self._carry_out(event, self.engine.handle(event, self.clock.now))

    def _carry_out(self, event: Event | None, effects: list[Effect]) -> None:
        self.events += 1
        for listener in self.listeners:
            listener(event, effects)
        for effect in effects:
            self.oracle.decided(effect, self.clock.now)
        self.oracle.settled(self.clock.now)
        if self.events % self._check_every == 0:
            self.engine.validate()
            state, now = self.engine.state, self.clock.now
            check_promptness(state, now, self.scenario.tick_late_s + EPSILON)
            check_drains(state, effects, self._leavers, now)
            check_refusals(state, effects)
            self._leavers |= resisting(state)
            check_held(state, effects)
        self._gate.carry_out(effects)

    # ------------------------------------------------------------ effects

    def _do(self, effect: Effect) -> None:
        self._boundary()
        match effect:
            case SendToClient():
                if effect.client in self._to_client:
                    self._to_client[effect.client].send(effect.message, effect.payload)
            case SendToContainer():
                data, control = self._to_container[effect.container_id]
                link = data if isinstance(effect.message, m.Deliver) else control
                link.send(effect.message, effect.payload)
            case StartContainer():
                self._start(effect)
            case KillContainer():
                delay = self.scenario.latency_s * self.random.uniform(0, 4)
                self.clock.after(delay, lambda: self._kill(effect.container_id, f"killed: {effect.reason}"))
            case SendRecorded(_, call_id, first, last):
                self.store.read_outputs(call_id, first, last, partial(self._send_recorded, effect))
            case PollNodes():
                self.clock.after(self.scenario.latency_s, self._observe)
            case DefectFound():
                raise effect.error
            case _:
                pass

    def _send_recorded(self, effect: SendRecorded, kept: list[StoredOutput]) -> None:
        for output in kept:
            if effect.client in self._to_client:
                failures = [] if output.status == 1 else [(0, int(output.status))]
                blobs = [0] if output.has_blob else []
                answer = m.Outputs(effect.call_id, [(output.index, 1)], [len(output.payload)], failures, blobs)
                self._to_client[effect.client].send(answer, output.payload)
        if effect.then is not None and effect.client in self._to_client:
            self._to_client[effect.client].send(effect.then)

    # ------------------------------------------------------------ clients

    def connect(self, number: int, plan: AppPlan) -> FakeClient:
        """Bring in a client, which follows its plan."""
        for call in plan.calls:
            self.oracle.works[call.call_id] = call.works
        to_server = self._link(
            codec.for_server(FRAME_MAX), lambda message, data: self.feed(ClientMessage(number, message, data))
        )
        client = self.clients[number] = FakeClient(number, plan, self.clock, to_server.send, self._die)
        self._to_client[number] = self._link(codec.for_client(FRAME_MAX), client.receive)

        def vanish() -> None:
            link = self._to_client.pop(number, None)
            if link is not None:
                client.is_gone = True
                link.cut()
                to_server.close(lambda: self.feed(ClientGone(number)))

        if plan.gone_at is not None:
            self.clock.at(plan.gone_at, vanish)
        return client

    def _bring_in(self, deployer: Deployer) -> None:
        """Connect a client of a durable app, for the first time or after an outage."""
        if deployer not in self.deployers:
            self.deployers.append(deployer)
        number = next(self._numbers)
        for call in deployer.plan.calls:
            self.oracle.works[call.call_id] = call.works
        to_server = self._link(
            codec.for_server(FRAME_MAX), lambda message, data: self.feed(ClientMessage(number, message, data))
        )
        self._to_client[number] = self._link(codec.for_client(FRAME_MAX), deployer.receive)
        deployer.connected(to_server.send)

    # ------------------------------------------------------------ the server's end, and its return

    def _boundary(self) -> None:
        if self.is_up:
            self.crash_points.boundary()

    def _server_killed(self) -> None:
        """Everything that was not committed is lost, with everything that lives by the server."""
        self.is_up = False
        self.store.crash()
        for container in self.containers.values():
            container.kill()
        for link in [*self._to_client.values(), *(end for ends in self._to_container.values() for end in ends)]:
            link.cut()
        for registry in (self.containers, self._to_client, self._to_container, self._node_of):
            registry.clear()
        self._leavers.clear()
        for client in self.clients.values():
            client.is_gone = True
        for deployer in self.deployers:
            deployer.disconnected()
        self.oracle.server_killed(self.store)
        self.clock.after(self.random.choice((0.01, 0.5, 5.0)), self._server_back)

    def _server_back(self) -> None:
        self.engine, self._gate = self._new_server()
        self.feed(StateRestored(self.store.restore()))
        self._observe()
        for deployer in self.deployers:
            self.clock.after(self.random.uniform(0, 0.5), partial(self._reconnect, deployer, self.lives))

    def _reconnect(self, deployer: Deployer, life: int) -> None:
        if self.is_up and life == self.lives:
            self._bring_in(deployer)

    def _link(self, decoder: codec.FrameDecoder[Any], arrive: Callable[[m.Message, bytes], None]) -> Link:
        return Link(self.clock, self.random, self.scenario.latency_s, decoder, arrive)

    # ------------------------------------------------------------ containers

    def _start(self, effect: StartContainer) -> None:
        container_id, faults, random = effect.container_id, self.scenario.faults, self.random
        self._node_of[container_id] = effect.node
        troubled = self.clock.now < faults.until
        self._to_container[container_id] = (
            self._link(codec.for_container(FRAME_MAX), lambda _message, _data: None),
            self._link(codec.for_container(FRAME_MAX), lambda _message, _data: None),
        )
        if effect.node not in self._nodes or (troubled and random.random() < faults.start_refused):
            self.clock.after(0.001, partial(self._gone, container_id, "fork failed", started=False))
            return
        manners = Manners(
            start_s=self.scenario.start_s * random.uniform(0.5, 2) + troubled * faults.start_slow_s * random.random(),
            exit_s=0.001,
            items_ahead_max=self.scenario.items_ahead_max,
            fails_start=troubled and random.random() < faults.start_fails,
            hangs_start=troubled and random.random() < faults.start_hangs,
            hangs_exit=troubled and random.random() < faults.exit_hangs,
            resizes_to=self._sizes(effect.spec) if troubled and random.random() < faults.resizes else (),
            leaves_after=random.randint(1, 20) if troubled and random.random() < faults.leaves else None,
        )
        self.clock.after(0.0005, lambda: self._make(effect, manners))

    def _sizes(self, spec: FunctionSpec) -> tuple[int, ...]:
        return tuple(self.random.randint(1, spec.concurrency.max_inputs) for _ in range(5))

    def _make(self, effect: StartContainer, manners: Manners) -> None:
        container_id = effect.container_id
        if container_id not in self._node_of:
            return  # killed, or its node vanished, before the process existed
        self.feed(ContainerStarted(container_id))
        to_server = self._link(codec.for_server(FRAME_MAX), partial(self._heard, container_id))
        container = self.containers[container_id] = FakeContainer(
            container_id,
            effect.spec,
            self.clock,
            manners,
            self.oracle,
            send=to_server.send,
            exit=partial(self._exits, to_server, container_id),
        )
        self._to_container[container_id] = (
            self._link(codec.for_container(FRAME_MAX), container.hear_data),
            self._link(codec.for_container(FRAME_MAX), container.hear_control),
        )

    def _heard(self, container_id: str, message: m.Message, payload: bytes) -> None:
        if isinstance(message, m.Leaving):
            self._leavers.add(container_id)
        event = ContainerMessage(container_id, message, payload)
        self.feed(event)
        faults = self.scenario.faults
        may_repeat = self.clock.now < faults.until and isinstance(message, m.Completed | m.Returned)
        if may_repeat and self.random.random() < faults.repeated:
            self.clock.after(self.random.choice((0.0, 0.01, 5.0)), lambda: self.feed(event))

    def _exits(
        self, to_server: Link, container_id: str, reason: str, in_order: bool, excess: MemoryExcess | None, /
    ) -> None:
        gone = partial(self._gone, container_id, reason, excess=excess)
        if in_order:
            to_server.close(gone)
        else:
            self.clock.after(self.scenario.latency_s, gone)

    def _kill(self, container_id: str, reason: str, excess: MemoryExcess | None = None) -> None:
        """Kill a container from outside: what it said last may arrive before or after the news of its end."""
        container = self.containers.get(container_id)
        if container is not None:
            container.kill()
        gone = partial(self._gone, container_id, reason, excess=excess)
        self.clock.after(self.scenario.latency_s * self.random.uniform(0, 2), gone)

    def _die(self, container_id: str) -> None:
        """Let a container die of what it does."""
        if container_id in self.containers:
            self._kill(container_id, "killed by SIGSEGV")

    def _gone(
        self, container_id: str, reason: str, *, started: bool = True, excess: MemoryExcess | None = None
    ) -> None:
        if self._node_of.pop(container_id, None) is None:
            return
        self.containers.pop(container_id, None)
        self.feed(ContainerExited(container_id, reason, started, excess))
        data, control = self._to_container[container_id]
        data.cut()
        control.cut()

    # ------------------------------------------------------------ nodes and faults

    def _observe(self) -> None:
        """Report the nodes; starts keep cores busy, and all that inputs do is work."""
        working: dict[str, float] = dict.fromkeys(self._nodes, 0.0)
        starting = dict(working)
        for container_id, container in self.containers.items():
            node = self._node_of.get(container_id)
            if node in working:
                working[node] += container.is_busy
                starting[node] += container.is_starting
        views = [
            NodeView(node, min(working[name] + starting[name], node.cpu), min(working[name], node.cpu))
            for name, node in self._nodes.items()
        ]
        self.feed(NodesObserved(views))

    def _plan_faults(self) -> None:
        faults = self.scenario.faults
        for rate, lose in ((faults.lost_per_s, self._lose_one), (faults.nodes_per_s, self._lose_some_node)):
            at = 0.0
            while rate and (at := at + self.random.expovariate(rate)) < faults.until:
                self.clock.at(at, lose)

    def _plan_lags(self, random: Random) -> None:
        """In some histories, let clients not read for a while, now and then."""
        if random.random() < 0.7:
            return
        for number in self.clients:
            at = 0.0
            for _ in range(random.randint(0, 3)):
                at += random.expovariate(1.0)
                self.clock.at(at, partial(self._lag, number, True))
                at += random.choice((0.001, 0.1, 3.0))
                self.clock.at(at, partial(self._lag, number, False))

    def _lag(self, number: int, is_lagging: bool) -> None:
        if number in self._to_client:
            self.feed(ClientLags(number, is_lagging))

    def _lose_one(self) -> None:
        living = [container_id for container_id, container in self.containers.items() if container.alive]
        if living:
            excess = self.random.choice((None, EXCESS))
            reason = "the machine ran out of memory" if excess is None else f"killed: it {excess}"
            self._kill(self.random.choice(living), reason, excess)

    def _lose_some_node(self) -> None:
        if self._nodes:
            self.lose_node(self.random.choice(list(self._nodes)))

    def lose_node(self, name: str) -> None:
        """Let a node vanish, with its containers, and come back some time later."""
        node = self._nodes.pop(name)
        lost = [container_id for container_id, name in self._node_of.items() if name == node.name]
        losses: list[Callable[[], None]] = [partial(self._kill, name, "its node is gone") for name in lost]
        losses.append(self._observe)
        self.random.shuffle(losses)
        for lose in losses:
            self.clock.after(self.random.uniform(0, 0.01), lose)

        def back() -> None:
            self._nodes[node.name] = node
            self._observe()

        self.clock.after(self.random.choice((0.005, 1.0, 10.0)), back)
