"""Agents as actors of a Ray cluster: which there are, which are awaited, and what became of each.

    RayAgents ── BrokerProcess ══ broker ── Ray ── actor (AgentHost) ── agent ══ link ══▶ AgentBackend

An agent has one name for everything: its node, its invitation, its actor. No name is used twice. The broker may end and
be followed by another at any time: then what was asked of it is compared with what the next one finds. An agent that
is let in needs no broker: as long as its link lives, its node does.

This module must not know how Ray is asked, or links and containers.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from msgspec import Struct

from swell.backends.ray.broker_process import BrokerProcess
from swell.backends.ray.inviter import Inviter
from swell.backends.ray.machines import Machines
from swell.backends.ray.messages import (
    Begin,
    Connected,
    Failed,
    Gone,
    Nodes,
    Pong,
    Release,
    Scaling,
    Start,
    Started,
    ToServer,
)
from swell.backends.ray.options import RayOptions
from swell.backends.ray.waiting import next_change_s, waiting_text
from swell.backends.ray.wanting import agents_to_await
from swell.link.order import AgentOrder, encode
from swell.model import Lack
from swell.slices import Slice

__all__ = ["RayAgents"]

log = logging.getLogger("swell.server")

STOP_PATIENCE_S: Final = 10.0
PAUSE_S: Final = 0.5  #: before an agent is started for one that has failed; doubled for each that was not let in
PAUSE_MAX_S: Final = 30.0
ANSWERS_S: Final = 5.0  #: after which it is worth a line that Ray has not answered the broker

SILENT: Final = "Ray does not answer: its head is stopped, busy or out of reach. The nodes that are there go on"


class _Agent(Struct):
    """An agent that is there, or was asked for."""

    start: Start
    asked_at: float
    machine: str = ""  #: where it runs, as Ray has it; "" as long as Ray has not started it
    is_in: bool = False  #: it was let in


class RayAgents:
    """Has agents started by Ray. Implements `swell.backends.agents.backend.AgentProvider`."""

    def __init__(
        self,
        options: RayOptions,
        *,
        log_line_max: int,
        timeout_s: float,
        unreachable: Callable[[str], None],
    ) -> None:
        """Prepare.

        Args:
            options: which cluster, and how many agents.
            log_line_max: characters after which a line of output is split.
            timeout_s: after how long without a sign of life of the server an agent ends.
            unreachable: called with the reason if the cluster cannot be used and there is no node, each time that was
                tried.
        """
        self._options = options
        self._log_line_max = log_line_max
        self._timeout_s = timeout_s
        self._unreachable = unreachable
        self._run = f"ray-{secrets.token_hex(3)}-"
        self._numbers = itertools.count(1)
        begin = Begin(options.address, options.namespace, self._run, options.runtime_env, options.may_start)
        self._broker = BrokerProcess(begin, self._received, self._broker_lost)
        self._inviter: Inviter
        self._is_listening = False
        self._is_connected = False
        self._is_stopping = False
        self._all_ended = asyncio.Event()
        self._agents: dict[str, _Agent] = {}
        self._machines = Machines()
        self._unusable = ""  # why there is no cluster
        self._is_silent = False  # Ray has not answered the broker for a while
        self._failure = ""  # of the last agent
        self._scaling = Scaling()
        self._retelling: asyncio.TimerHandle | None = None  # when time alone changes what is told
        self._pause_s = PAUSE_S
        self._pause: asyncio.TimerHandle | None = None  # until it is over, no agent is asked for
        self._connecting: asyncio.Task[None] | None = None
        self._lacks: Sequence[Lack] = ()
        self._unfit: dict[str, str] = {}  # the last agent that was not let in, by its machine; "": none that is known
        self._told = ""  # what `trouble` was when it was told last

    # ------------------------------------------------------------ the port

    async def start(self, backend: Inviter) -> None:
        """Start the broker; agents are started once it has reached Ray."""
        self._inviter = backend
        self._broker.start()

    def lost(self, name: str, why: str) -> None:
        """The link to an agent is over, or it was not let in: Ray gets its slice back."""
        agent = self._agents.get(name)
        if agent is None or self._is_stopping:
            return
        log.warning("node %s is lost: %s", name, why)
        self._broker.send(Release(name))
        self._forget(name)  # if it was refused, the backend says so

    def let_in(self, name: str) -> None:
        """An agent was let in: its machine fits."""
        if (agent := self._agents.get(name)) is not None:
            agent.is_in, self._failure = True, ""
            self._note_fit(agent.machine)

    async def stop(self) -> None:
        """Wait for the agents, which were told to stop; then end the broker, which ends those that are left."""
        self._is_stopping = True
        for timer in (self._pause, self._retelling):
            if timer is not None:
                timer.cancel()
        for name in list(self._agents):
            if self._inviter.withdraw(name):
                self._broker.send(Release(name))
                del self._agents[name]
        if self._agents and self._is_connected:
            self._all_ended.clear()
            try:
                await asyncio.wait_for(self._all_ended.wait(), STOP_PATIENCE_S)
            except TimeoutError:
                log.warning("%d agents have not ended in time; their actors are killed", len(self._agents))
        await self._broker.stop()

    # ------------------------------------------------------------ what is wanted

    def want_room(self, lacks: Sequence[Lack]) -> None:
        """Have as many agents asked of Ray as hold what fits on no node, and no more; step by step if they are many."""
        self._lacks = lacks
        self._settle()

    def release(self, name: str) -> None:
        """End an agent, and have Ray take its slice back: nothing runs there, or it was only asked for."""
        if self._agents.pop(name, None) is not None:
            self._inviter.withdraw(name)
            self._broker.send(Release(name))

    def trouble(self) -> str:
        """Return why there are not as many nodes as there should be; "" if nothing is wrong."""
        if not self._is_connected:
            return f"Ray cannot be used: {self._unusable}" if self._unusable else "Ray is being reached"
        if self._is_silent:
            return SILENT
        waiting = waiting_text(self._waiting(), self._machines.alive, self._scaling)
        failed = f"an agent has failed: {self._failure}" if self._failure else ""
        return "; ".join(filter(None, (waiting, failed)))

    def _waiting(self) -> list[tuple[Slice | None, float]]:
        """Return the slices of the agents that Ray has not started, and how long ago each was asked for."""
        now = time.monotonic()
        return [(each.start.slice, now - each.asked_at) for each in self._agents.values() if not each.machine]

    def _tell(self) -> None:
        """Have it known what is wrong with the nodes, if that is something else than before."""
        trouble = self.trouble()
        if trouble != self._told and not self._is_stopping:
            self._told = trouble
            if trouble and (self._is_connected or self._unusable):
                log.warning("%s", trouble)
            self._inviter.trouble_changed()
        self._tell_later()

    def _tell_later(self) -> None:
        """Have it known again what is wrong when that will have changed by time alone."""
        if self._retelling is not None:
            self._retelling.cancel()
            self._retelling = None
        change_s = next_change_s(age_s for _, age_s in self._waiting())
        if change_s < math.inf and not self._is_stopping:
            self._retelling = asyncio.get_running_loop().call_later(change_s + 0.01, self._tell)

    def _ask(self, wanted: Slice | None) -> None:
        name = f"{self._run}{next(self._numbers)}"
        invitation = self._inviter.invite(name)
        order = AgentOrder(
            server=invitation.server,
            token=invitation.token,
            node=name,
            directory="",  # on a machine that is not known yet
            log_line_max=self._log_line_max,
            timeout_s=self._timeout_s,
        )
        start = Start(name, encode(order), wanted, tuple(filter(None, self._unfit)))
        agent = self._agents[name] = _Agent(start, time.monotonic())
        self._broker.send(agent.start)

    def _settle(self) -> None:
        """Ask for the agents that are wanted, and for as many as there are at least; give up those that are not."""
        if not self._is_connected or self._is_stopping or self._pause is not None:
            return  # until Ray is reached, or the pause is over
        coming = {name: agent for name, agent in self._agents.items() if not self._inviter.has_node(name)}
        goal = agents_to_await(
            self._lacks,
            self._options.slices,
            self._machines.alive,
            Counter(agent.start.slice for agent in coming.values()),
            len(self._agents) - len(coming),
            bounds=self._options.bounds,
        )
        if not goal.total():
            self._failure = ""  # nobody waits for what has failed
        for name, agent in coming.items():
            if goal[agent.start.slice] > 0:
                goal[agent.start.slice] -= 1
            elif not agent.machine:  # one that Ray has started will be here in a moment
                self.release(name)
        for each, count in goal.items():
            for _ in range(count):
                self._ask(each)
        self._tell_later()

    def _pause_is_over(self) -> None:
        self._pause = None
        self._settle()

    def _forget(self, name: str, failure: str = "", machine: str = "") -> None:
        """An agent is no more: others are asked for in a while, later each time if none is let in."""
        agent = self._agents.pop(name)
        if not self._agents:
            self._all_ended.set()
        self._inviter.withdraw(name)
        if not agent.is_in:
            self._note_unfit(agent.machine or machine, name)
            host = self._machines.host_of(agent.machine or machine)
            self._failure = f"{failure} (at {host})" if failure and host else failure
            self._pause_s = min(2 * self._pause_s, PAUSE_MAX_S)
        else:
            self._pause_s = PAUSE_S
        if self._pause is None and not self._is_stopping:
            self._pause = asyncio.get_running_loop().call_later(self._pause_s, self._pause_is_over)

    def _note_unfit(self, machine: str, name: str) -> None:
        """An agent was not let in: its machine is avoided, and the one that failed there before is told no more."""
        self._note_fit(machine)
        self._unfit[machine] = name

    def _note_fit(self, machine: str) -> None:
        if (refused := self._unfit.pop(machine, None)) is not None:
            self._inviter.forget_refusal(refused)

    # ------------------------------------------------------------ the broker

    def _received(self, message: ToServer) -> None:
        match message:
            case Connected():
                self._connecting = asyncio.get_running_loop().create_task(self._connected(message))
            case Pong(waits_s):
                self._is_silent = waits_s > ANSWERS_S
            case Failed(why):
                self._unusable = why
                if not any(map(self._inviter.has_node, self._agents)):
                    self._unreachable(f"Ray cannot be used: {why}")
            case Nodes(nodes, scaling):
                self._scaling = scaling
                self._tell_drains(self._machines.look_at(nodes))
                for machine in self._unfit.keys() - {each.node for each in nodes} - {""}:
                    self._note_fit(machine)  # or rather, it is there no more
            case Started(name, machine):
                if (agent := self._agents.get(name)) is not None:
                    agent.machine = machine
                    if agent.is_in:
                        self._note_fit(machine)
            case Gone(name, why, machine):
                if name in self._agents:
                    if not self._is_stopping:
                        log.warning("node %s: %s", name, why)
                    self._forget(name, why, machine)
        self._tell()

    def _tell_drains(self, machines: Iterable[str]) -> None:
        for name, agent in self._agents.items():
            if agent.machine in machines:
                self._inviter.drains(name, self._machines.gone_in_s(agent.machine, time.time()))

    async def _connected(self, found: Connected) -> None:
        """Have the agents of former servers ended, and those started that the last broker did not get to."""
        log.info("Ray %s is reached; this machine is %s there", found.version, found.host)
        if not self._is_listening:
            try:
                await self._inviter.listen(found.host)
            except OSError as error:
                self._unusable = f"agents cannot be listened for at {found.host}, its name for this machine: {error}"
                self._unreachable(f"Ray cannot be used: {self._unusable}")
                return
            self._is_listening = True
        self._is_connected, self._is_silent, self._unusable = True, False, ""
        for name in set(found.agents) - self._agents.keys():
            self._broker.send(Release(name))
        for name in self._agents.keys() - set(found.agents):
            if not self._agents[name].machine:
                self._broker.send(self._agents[name].start)
            elif not self._agents[name].is_in:
                self._forget(name, "it has ended while there was no broker")
        self._settle()

    def _broker_lost(self, why: str) -> None:
        self._is_connected = self._is_silent = False
        self._connecting = None
        self._unusable = self._unusable or why
        if self._is_stopping:
            self._all_ended.set()
        else:
            self._tell()
