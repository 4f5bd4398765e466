"""A Ray cluster of which parts are killed and frozen, for scripts/chaos. This module must not know what runs on it."""

from __future__ import annotations

import contextlib
import random
import signal
from pathlib import Path

import psutil
from ray_place import RayCluster

__all__ = ["HarmedCluster"]

MACHINES = 2  #: beside the head
CORES = 2  #: of each


class HarmedCluster(RayCluster):
    """A cluster whose machines die, and are followed by others."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._frozen: list[psutil.Process] = []

    def start(self) -> None:
        """Wait for the head and the machines."""
        self.begin(*[CORES] * MACHINES)

    def harm(self, what: str, chance: random.Random) -> None:
        """Kill or freeze a part; what is frozen goes on with `thaw`."""
        match what:
            case "raylet":
                node = chance.choice(self.nodes)
                psutil.Process(self("raylet", node)).kill()
                self("kill", node)  # whatever else runs on that machine
                self.nodes.remove(node)
                self.nodes.append(self("add", CORES))
            case "frozen raylet":
                self._freeze(psutil.Process(self("raylet", chance.choice(self.nodes))))
            case "frozen head":
                self._freeze(psutil.Process(self("head")))
            case "actor":
                actors = [agent.parent() for agent in self.agents()]
                if actors:
                    _send(chance.choice(actors), signal.SIGKILL)
            case _:
                raise ValueError(what)

    def thaw(self) -> None:
        """Let go on what is frozen."""
        frozen, self._frozen = self._frozen, []
        for process in frozen:
            _send(process, signal.SIGCONT)

    def _freeze(self, process: psutil.Process) -> None:
        self._frozen.append(process)
        _send(process, signal.SIGSTOP)

    def agents(self) -> list[psutil.Process]:
        """Return the agents of nodes on these machines."""
        found: list[psutil.Process] = []
        for process in psutil.Process(self.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if "swell.agent.main" in process.cmdline():
                    found.append(process)
        return found


def _send(process: psutil.Process | None, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        if process is not None:
            process.send_signal(number)
