"""Agents as processes of this machine: for tests, and to see how a program behaves on several nodes.

They share nothing with the server but the machine: each has a directory of its own, and reaches the server over TCP
and TLS alone. One that ends is followed by another, under another name: an agent is never resumed. This module must not
know links or containers.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from swell.backends.agents.backend import Invitation
from swell.link.order import AgentOrder, encode
from swell.model import Gpu
from swell.private_files import make_directory

__all__ = ["LocalAgents"]

log = logging.getLogger("swell.server")

STOP_PATIENCE_S: Final = 10.0
#: Before an agent that has ended is followed by another; doubled each time, up to PAUSE_MAX_S.
PAUSE_S: Final = 0.5
PAUSE_MAX_S: Final = 30.0
LINE_MAX: Final = 128 << 10  #: characters of a line of output: a report has to hold it


class Inviter(Protocol):
    """What lets agents in."""

    def invite(self, node: str) -> Invitation:
        """Return what lets one agent in."""
        ...


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
    ) -> None:
        """Prepare.

        Args:
            count: how many agents there are to be.
            directory: where each gets one of its own.
            log_line_max: characters after which a line of output is split.
            timeout_s: for how long nothing may be heard of the server before an agent ends.
            program: what runs in containers, as module:name; None: the runner.
            gpus: of each node; None: those that are found.
        """
        self._count = count
        self._directory = directory
        self._log_line_max = min(log_line_max, LINE_MAX)
        self._timeout_s = timeout_s
        self._program = program
        self._gpus = None if gpus is None else tuple(gpus)
        self._numbers = itertools.count(1)
        self._inviter: Inviter
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._pause_s = PAUSE_S
        self._is_stopping = False

    @property
    def pids(self) -> dict[str, int]:
        """The processes of the agents, by the names of their nodes."""
        return {name: process.pid for name, process in self._processes.items()}

    async def start(self, backend: Inviter) -> None:
        """Start the agents."""
        self._inviter = backend
        for _ in range(self._count):
            self._start_one()

    def _start_one(self) -> None:
        if self._is_stopping:
            return
        invitation = self._inviter.invite(f"node-{next(self._numbers)}")
        make_directory(self._directory)
        order = AgentOrder(
            server=invitation.server,
            token=invitation.token,
            node=invitation.node,
            directory=str(self._directory / invitation.node),
            log_line_max=self._log_line_max,
            timeout_s=self._timeout_s,
            program=self._program,
            gpus=self._gpus,
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "swell.agent.main"], stdin=subprocess.PIPE, start_new_session=True, cwd="/"
        )
        self._processes[invitation.node] = process
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended already
            os.write(process.stdin.fileno(), encode(order))

    def lost(self, name: str, why: str) -> None:
        """End the process of an agent, and start another in a while."""
        if self._is_stopping or name not in self._processes:
            return
        log.warning("node %s is lost: %s", name, why)
        self._end(name)
        asyncio.get_running_loop().call_later(self._pause_s, self._start_one)
        self._pause_s = min(2 * self._pause_s, PAUSE_MAX_S)

    async def stop(self) -> None:
        """Wait for the agents, which were told to stop."""
        self._is_stopping = True
        waits = [asyncio.to_thread(self._wait, process) for process in self._processes.values()]
        await asyncio.gather(*waits)
        for name in list(self._processes):
            self._end(name)

    @staticmethod
    def _wait(process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_PATIENCE_S)

    def _end(self, name: str) -> None:
        """Kill the process of an agent, if it has not ended: its templates kill and remove what it leaves."""
        process = self._processes.pop(name)
        if process.stdin is not None:
            process.stdin.close()
        process.kill()
        process.wait()
