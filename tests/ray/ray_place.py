"""A Ray cluster for tests, and a user's place with a server that has its nodes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
from patience import wait_until
from place import Place

__all__ = ["START_S", "RayCluster", "RayPlace"]

START_S = 60.0  #: for what takes Ray some seconds on a quiet machine


class RayCluster:
    """The process that has the cluster."""

    def __init__(self) -> None:
        self.temp_dir = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # short: Unix sockets are in it
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "ray_cluster.py"), self.temp_dir],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.address: str = self("address")
        self.nodes: list[str] = [self("add", 2), self("add", 2)]

    def __call__(self, name: str, *arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, *arguments]) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        shutil.rmtree(self.temp_dir, ignore_errors=True)


class RayPlace(Place):
    """A user's place whose server has the nodes of the cluster."""

    def begins(self, cluster: RayCluster, **settings: str) -> None:
        """Start the daemon, and wait for the first node."""
        del self.environment["SWELL_BACKEND"]
        self.environment |= {"SWELL_RAY_SLICES": "cpu=1,memory=200MiB", "SWELL_NODE_TIMEOUT_S": "30", **settings}
        self.told("start", "--backend", "ray", "--address", cluster.address)
        self.nodes(1)

    def names(self) -> list[str]:
        return [node["name"] for node in self.json("node", "list")]

    def nodes(self, count: int) -> list[str]:
        """Wait until there are at least so many nodes."""
        return wait_until(
            lambda: names if len(names := self.names()) >= count else None,
            lambda: (self.names(), self.told("status"), (self.data_dir / "server.log").read_text()),
            seconds=START_S,
            pause_s=0.2,
        )

    def server(self) -> psutil.Process:
        return psutil.Process(self.json("status")["pid"])

    def broker(self) -> psutil.Process:
        return wait_until(self._broker, "there is no broker", seconds=START_S)

    def _broker(self) -> psutil.Process | None:
        found = [each for each in self.server().children() if "swell.backends.ray.broker" in each.cmdline()]
        return found[0] if found else None
