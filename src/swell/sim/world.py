"""The world around the engine: carries out its effects, lets time pass, and misbehaves as a scenario says.

Everything is deterministic: one seed, one history. After every event the engine is validated and the oracle checks.
This module must not decide anything that the engine should.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import cast

from swell.engine.engine import Engine
from swell.engine.events import (
    DefectFound,
    Effect,
    Event,
    KillContainer,
    PollNodes,
    ReleaseNode,
    SendRecorded,
    SendToClient,
    SendToContainer,
    ShutdownRequested,
    StartContainer,
    StateRestored,
    WantRoom,
)
from swell.engine.gate import Gate
from swell.ports import Store
from swell.sim.clients import Clients
from swell.sim.clock import Clock
from swell.sim.crash_points import CrashPoints, ServerKilled
from swell.sim.deployer import Deployer
from swell.sim.fleet import Fleet
from swell.sim.invariants import (
    check_call_leases,
    check_drains,
    check_empty,
    check_held,
    check_kept,
    check_promptness,
    check_refusals,
    direct_calls,
    resisting,
)
from swell.sim.node_faults import NodeTrouble
from swell.sim.node_giver import NodeGiver
from swell.sim.nodes import Nodes
from swell.sim.oracle import Oracle
from swell.sim.scenario import Scenario
from swell.sim.store import DurableStore
from swell.sim.work import input_of

__all__ = ["World"]

EPSILON = 1e-9
LAZY_COMMIT_S = 0.005
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
        faults, loses_nodes = scenario.faults, scenario.node_faults is not None
        self.oracle.ledger.expect_innocent_survival = not (faults.lost_per_s or faults.nodes_per_s or loses_nodes)
        # The engine's clocks start when it decides to send, and what it sends may wait for a commit.
        self.oracle.ledger.slack_s = 4 * scenario.latency_s + 2 * scenario.commit_s + EPSILON
        self.events = 0
        self.listeners: list[Callable[[Event | None, list[Effect]], None]] = []
        self._check_every = check_every
        self.fleet = Fleet(scenario, self.clock, self.random, self.oracle.ledger, self.feed)
        self.nodes = Nodes(scenario.nodes, self.clock, self.random, self.fleet, self.feed)
        self.clients = Clients(
            self.clock,
            self.random,
            scenario.latency_s,
            self.oracle.ledger,
            feed=self.feed,
            kill=self.fleet.die,
            dial=self.fleet.dial,
        )
        self._ticks_here = 0
        self.clock.at(0.0, self.nodes.observe)
        for number, plan in enumerate(scenario.apps, start=1):
            self.clients.connect(number, plan)
        for plan in scenario.lasting:
            self.clients.deploy(plan)
        self._plan_faults()
        self.trouble = self._node_trouble()
        self.giver = NodeGiver(
            scenario.nodes[-1], self.nodes, Random(f"given-{seed}"), clock=self.clock, settings=scenario.settings
        )
        self.clients.plan_lags(Random(f"lags-{seed}"))

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
        self.run(limit, done=lambda: self.is_up and self.clients.are_over)
        assert self.clients.are_over, (
            f"clients {self.clients.waiting()} wait for ever; unfinished: {self.oracle.unfinished()[:5]}"
        )
        self.run(limit, done=lambda: self.is_up and not self.oracle.unfinished())
        assert not self.oracle.unfinished(), f"inputs wait for ever: {self.oracle.unfinished()[:5]}"
        assert not self.oracle.unrecorded(), f"calls have ended and were not recorded: {self.oracle.unrecorded()[:5]}"
        self.crash_points.end()
        # What was decided last is written, too, and what waits for that is done: blobs of what has ended are deleted.
        self.run(self.clock.now + LAZY_COMMIT_S + 2 * self.scenario.commit_s)
        # Of inputs that ended without ever having been in memory, the store knows the blobs; a sweep deletes them.
        self.oracle.tidied(input_of(name) for name in self.store.now("expire", 0.0, 0.0, 1_000))
        assert not self.oracle.left_blobs(), f"blobs are left: {self.oracle.left_blobs()[:5]}"
        check_kept(self.store, self.clients.deployers)
        self.oracle.counted(direct_calls(self.engine.state))
        self.feed(ShutdownRequested("the simulation is over"))
        self.run(limit, done=lambda: not self.engine.state.apps)
        check_empty(self.engine.state)

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
            check_drains(state, effects, self.fleet.leavers, now)
            check_refusals(state, effects)
            check_call_leases(state, now, self.scenario.tick_late_s + EPSILON)
            self.fleet.leavers |= resisting(state)
            check_held(state, effects)
        self._gate.carry_out(effects)

    # ------------------------------------------------------------ effects

    def _do(self, effect: Effect) -> None:
        self._boundary()
        match effect:
            case SendToClient():
                self.clients.send(effect.client, effect.message, effect.payload)
            case SendToContainer():
                self.fleet.send(effect)
            case StartContainer():
                self.fleet.start(effect, self.nodes[effect.node])
            case KillContainer():
                delay = self.scenario.latency_s * self.random.uniform(0, 4)
                self.clock.after(delay, lambda: self.fleet.kill(effect.container_id, f"killed: {effect.reason}"))
            case SendRecorded(_, call_id, first, last):
                self.store.read_outputs(call_id, first, last, partial(self.clients.send_recorded, effect))
            case WantRoom():
                self.giver.want_room(effect)
            case ReleaseNode(name):
                self.giver.release(name)
            case PollNodes():
                self.clock.after(self.scenario.latency_s, self.nodes.observe)
            case DefectFound():
                raise effect.error
            case _:
                pass

    # ------------------------------------------------------------ the server's end, and its return

    def _boundary(self) -> None:
        if self.is_up:
            self.crash_points.boundary()

    def _server_killed(self) -> None:
        """Everything that was not committed is lost, with everything that lives by the server."""
        self.is_up = False
        self.store.crash()
        self.fleet.crash()
        if self.trouble is not None:
            self.trouble.server_killed()
        self.giver.server_killed()
        self.clients.crash()
        self.oracle.server_killed(self.store)
        self.clock.after(self.random.choice((0.01, 0.5, 5.0)), self._server_back)

    def _server_back(self) -> None:
        self.engine, self._gate = self._new_server()
        self.feed(StateRestored(self.store.restore()))
        self.nodes.observe()
        if self.trouble is not None:
            self.trouble.server_back()
        for deployer in self.clients.deployers:
            self.clock.after(self.random.uniform(0, 0.5), partial(self._reconnect, deployer, self.lives))

    def _reconnect(self, deployer: Deployer, life: int) -> None:
        if self.is_up and life == self.lives:
            self.clients.bring_in(deployer)

    # ------------------------------------------------------------ faults

    def _node_trouble(self) -> NodeTrouble | None:
        faults, timeout_s = self.scenario.node_faults, self.scenario.settings.node_timeout_s
        if faults is None:
            return None
        random = Random(f"nodes-{self.seed}")
        return NodeTrouble(faults, self.nodes, self.oracle, random, clock=self.clock, timeout_s=timeout_s)

    def _plan_faults(self) -> None:
        faults = self.scenario.faults
        for rate, lose in ((faults.lost_per_s, self.fleet.lose_one), (faults.nodes_per_s, self.nodes.lose_any)):
            at = 0.0
            while rate and (at := at + self.random.expovariate(rate)) < faults.until:
                self.clock.at(at, lose)
