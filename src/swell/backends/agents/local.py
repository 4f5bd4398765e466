"""Agents as processes of this machine: for tests, and to see how a program behaves on several nodes.

They share nothing with the server but the machine: each has a directory of its own, and reaches the server over TCP
and TLS alone. One that ends is followed by another: under another name, for a node is never resumed, unless it was not
let in. This module must not know links or containers.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from swell.backends.agents.backend import Invitation
from swell.link.order import AgentOrder, encode
from swell.model import Gpu, Lack
from swell.private_files import make_directory

__all__ = ["LocalAgents"]

log = logging.getLogger("swell.server")

STOP_PATIENCE_S: Final = 10.0
#: Before an agent that has ended is followed by another; doubled for each that was not let in, up to PAUSE_MAX_S.
PAUSE_S: Final = 0.5
PAUSE_MAX_S: Final = 30.0
LINE_MAX: Final = 128 << 10  #: characters of a line of output: a report has to hold it


class Inviter(Protocol):
    """What lets agents in."""

    async def listen(self, host: str) -> None:
        """Listen for agents at an address of this machine."""
        ...

    def invite(self, node: str) -> Invitation:
        """Return what lets one agent in."""
        ...

    def withdraw(self, node: str) -> bool:
        """Let in no agent for this node; False if one was let in."""
        ...


class _Agent:
    """The process of one agent."""

    def __init__(self, node: str, process: subprocess.Popen[bytes], directory: Path) -> None:
        self.node = node
        self.process = process
        self.directory = directory
        self.fd = os.pidfd_open(process.pid)  #: can be read from when it has ended
        self.is_lost = False  #: it ends, and another follows

    def kill(self) -> None:
        """Kill it, if it has not ended: its templates kill what it has started."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # it has not read all of its order
            self.process.stdin.close()
        self.process.kill()


class LocalAgents:
    """Starts a number of agents here. Implements `swell.backends.agents.backend.AgentProvider`."""

    def __init__(
        self,
        count: int,
        directory: Path,
        *,
        log_line_max: int,
        timeout_s: float,
        program: str | None = None,
        gpus: Sequence[Gpu] | None = None,
        starters_directory: str = "",
        through: Callable[[str], str] = str,
    ) -> None:
        """Prepare.

        Args:
            count: how many agents there are to be.
            directory: where each gets one of its own.
            log_line_max: characters after which a line of output is split.
            timeout_s: after how long without a sign of life of the server an agent ends.
            program: what runs in containers, as module:name; None: the runner.
            gpus: of each node; None: those that are found.
            starters_directory: removed by an agent when this process is killed.
            through: returns the address that an agent is to connect to, for that of the server.
        """
        self._count = count
        self._directory = directory
        self._log_line_max = min(log_line_max, LINE_MAX)
        self._timeout_s = timeout_s
        self._program = program
        self._gpus = None if gpus is None else tuple(gpus)
        self._starters_directory = starters_directory
        self._through = through
        self._numbers = itertools.count(1)
        self._directories = itertools.count(1)
        self._inviter: Inviter
        self._agents: list[_Agent] = []
        self._pause_s = PAUSE_S
        self._is_stopping = False
        self._all_ended = asyncio.Event()

    @property
    def pids(self) -> dict[str, int]:
        """The processes of the agents, by the names of their nodes."""
        return {agent.node: agent.process.pid for agent in self._agents if not agent.is_lost}

    async def start(self, backend: Inviter) -> None:
        """Start the agents."""
        self._inviter = backend
        await backend.listen("127.0.0.1")
        for _ in range(self._count):
            self._start_one(self._new_node())

    def _new_node(self) -> str:
        return f"node-{next(self._numbers)}"

    def _start_one(self, node: str) -> None:
        if self._is_stopping:
            return
        invitation = self._inviter.invite(node)
        make_directory(self._directory)
        order = AgentOrder(
            server=self._through(invitation.server),
            token=invitation.token,
            node=invitation.node,
            directory=str(self._directory / str(next(self._directories))),
            log_line_max=self._log_line_max,
            timeout_s=self._timeout_s,
            program=self._program,
            gpus=self._gpus,
            starters_directory=self._starters_directory,
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "swell.agent.main"], stdin=subprocess.PIPE, start_new_session=True, cwd="/"
        )
        agent = _Agent(node, process, Path(order.directory))
        self._agents.append(agent)
        asyncio.get_running_loop().add_reader(agent.fd, self._ended, agent)
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended already
            os.write(process.stdin.fileno(), encode(order))

    def want_room(self, lacks: Sequence[Lack]) -> None:
        """Do nothing: the processes of one machine give no more room than it has."""

    def release(self, name: str) -> None:
        """Keep the agent: there are as many as were asked for."""

    def lost(self, name: str, why: str) -> None:
        """End the process of an agent, and start another in a while; later each time, if none is let in."""
        for agent in self._agents:
            if agent.node == name and not agent.is_lost and not self._is_stopping:
                log.warning("node %s is lost: %s", name, why)
                self._replace(agent)

    def _replace(self, agent: _Agent) -> None:
        agent.is_lost = True
        agent.kill()
        was_let_in = not self._inviter.withdraw(agent.node)
        self._pause_s = PAUSE_S if was_let_in else min(2 * self._pause_s, PAUSE_MAX_S)
        node = self._new_node() if was_let_in else agent.node
        asyncio.get_running_loop().call_later(self._pause_s, self._start_one, node)

    def _ended(self, agent: _Agent) -> None:
        """Remove what the process of an agent has left that has ended, for whatever reason."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(agent.fd)
        os.close(agent.fd)
        status = agent.process.wait()
        if not agent.is_lost:
            self.lost(agent.node, f"its agent has ended with status {status}")
        agent.kill()
        self._agents.remove(agent)
        loop.run_in_executor(None, shutil.rmtree, agent.directory, True)
        if not self._agents:
            self._all_ended.set()

    def let_in(self, name: str) -> None:
        """Do nothing: whether one was let in is asked when it has ended."""

    def trouble(self) -> str:
        """Return nothing: this machine is there."""
        return ""

    async def stop(self) -> None:
        """Wait for the agents, which were told to stop; kill those that were not let in yet, and that do not end."""
        self._is_stopping = True
        self._all_ended.clear()
        for agent in self._agents:
            if self._inviter.withdraw(agent.node):
                agent.kill()
        if self._agents and not await self._have_ended(STOP_PATIENCE_S):
            for agent in self._agents:
                agent.kill()
            await self._have_ended(STOP_PATIENCE_S)

    async def _have_ended(self, within_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_ended.wait(), within_s)
        return not self._agents
