"""What an actor of Ray does: it starts one agent, holds the agent's slice for as long as that runs, and ends with it.

The machine runs the swell that is installed there, which may be another version than the server's: then its agent is to
come, and be refused by name. Ray sends the actor's class as names: of this module, of the class, and of what stands in
it. So these stay as they are, for ever, and so does what they are given: numbers and bytes, nothing of swell's. Orders
say more by new fields, which an older version does not read; all else is in `_Hosted`.

The agent is a process of its own, since templates fork, and a process with Ray's threads must not. It is told to end by
the end of its standard input, which the kernel closes whatever becomes of this process. The actor ends when its agent
has: also without a broker, so that no slice is held for nothing.

This module must not know Ray, although it runs there: an object of it is all that the actor is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Final

from msgspec.structs import replace

from swell.backends.gpu import NvmlProvider
from swell.errors import InvalidError
from swell.link.order import decode, encode
from swell.run_directory import new_run_dir
from swell.slices import Slice

__all__ = ["AgentHost", "agent_environment"]

log = logging.getLogger("swell.agent")

TOLD_S: Final = 5.0  #: after the agent's end, for how long it is told how that was
LINES_KEPT: Final = 5  #: of what the agent has written last
#: What Ray sets for its own workers: an agent and its containers are none.
OF_WORKERS: Final = ("RAY_RAYLET_PID", "RAY_JOB_ID", "RAY_LD_PRELOAD_ON_WORKERS", "PYTHONBREAKPOINT", "SPT_NOENV")


class AgentHost:
    """One actor. Its methods are called by the broker."""

    def __init__(self, order: bytes, cpu: float, memory_bytes: int, gpus: int) -> None:
        """Start the agent.

        Args:
            order: an AgentOrder, of which the actor fills in what depends on the machine.
            cpu: cores that Ray has given to the actor.
            memory_bytes: likewise; 0: it has none of its own.
            gpus: likewise.

        Raises:
            InvalidError: the GPUs that Ray has assigned are not there.
            OSError: the process cannot be started.
        """
        self.agent = _Hosted(order, Slice(cpu, memory_bytes, gpus))

    async def pid(self) -> int:
        """Return the process of the agent."""
        return self.agent.pid

    async def ended(self) -> str:
        """Wait until the agent has ended; return why."""
        return await asyncio.shield(asyncio.wrap_future(self.agent.over))


class _Hosted:
    """The agent, as long as it runs."""

    def __init__(self, order: bytes, held: Slice) -> None:
        environment = agent_environment(os.environ, held)
        gpus = tuple(NvmlProvider(environment).gpus()) if held.gpus else ()
        if len(gpus) != held.gpus:
            assigned = environment.get("CUDA_VISIBLE_DEVICES", "")
            raise InvalidError(f"Ray has assigned GPU {assigned}, and NVIDIA's library finds {len(gpus)} of these here")
        self._directory = new_run_dir()
        mine = replace(
            decode(order),
            directory=self._directory,
            cpu=held.cpu,
            memory_bytes=held.memory_bytes or None,
            gpus=gpus,
        )
        self._process = subprocess.Popen(
            [sys.executable, "-m", "swell.agent.main"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
            env=environment,
        )
        self.pid = self._process.pid
        self.over: Future[str] = Future()  #: why it has ended
        self._last: deque[str] = deque(maxlen=LINES_KEPT)
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it has ended already
            self._process.stdin.write(encode(mine))
            self._process.stdin.flush()
        threading.Thread(target=self._watch, name="agent", daemon=True).start()

    def _text(self) -> str:
        lines = " / ".join(self._last)
        return f"its agent has ended with status {self._process.returncode}{f': {lines}' if lines else ''}"

    def _watch(self) -> None:
        """Pass on what the agent writes, until it ends; then end this process, which is all that the actor is for."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            text = line.decode(errors="replace").rstrip()
            self._last.append(text)
            log.warning("%s", text)
        self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)
        self.over.set_result(self._text())
        threading.Timer(TOLD_S, os._exit, (0,)).start()


def agent_environment(environ: Mapping[str, str], held: Slice) -> dict[str, str]:
    """Return the environment of an agent: the actor's, without what Ray has set for its own workers."""
    kept = {name: value for name, value in environ.items() if name not in OF_WORKERS}
    if kept.get("OMP_NUM_THREADS") == str(max(1, int(held.cpu))):  # set by Ray unless something else has set it
        del kept["OMP_NUM_THREADS"]
    if not held.gpus:
        kept["CUDA_VISIBLE_DEVICES"] = ""  # some versions of Ray leave it as it was then
    return kept
