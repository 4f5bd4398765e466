"""A Ray cluster for tests, and a user's place with a server that has its nodes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import psutil
from patience import wait_until
from place import Place

from swell.discovery import socket_path
from swell.sdk.connection.blocking import run_blocking
from swell.sdk.connection.client import Client
from swell.wire.message import Message
from swell.wire.queries import GetStatus
from swell.wire.stats import Observe

__all__ = ["START_S", "RayCluster", "RayPlace", "wait_for_ray"]

START_S = 60.0  #: for what takes Ray some seconds on a quiet machine
#: Of the cluster: the autoscaler that clouds have by now; no workers but those that are asked for; and for a
#: worker, the time that it takes to start on a busy machine.
OF_RAY = {
    "RAY_enable_autoscaler_v2": "1",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_raylet_start_wait_time_s": "20",
    "RAY_worker_register_timeout_seconds": "600",
}
PAUSE_S = 0.1  #: between two questions; each takes Ray some milliseconds

T = TypeVar("T")


def wait_for_ray(condition: Callable[[], T], what: object = "") -> T:
    """Return what a condition gives once that is true."""
    return wait_until(condition, what, seconds=START_S, pause_s=PAUSE_S)


class RayCluster:
    """The process that has the cluster."""

    def __init__(self, folder: Path) -> None:
        self._said = folder / "cluster.log"
        (folder / "ray").mkdir()  # Ray makes it too late to note there which cluster began last
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).parent / "ray_cluster.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                env=os.environ | OF_RAY | {"RAY_TMPDIR": str(folder)},
            )
        self.address = ""
        self.nodes: list[str] = []

    def begin(self, *cpus: int) -> None:
        """Wait for the head, and add machines of so many cores."""
        self.address = self("address")
        self.nodes = [self("add", each) for each in cpus]

    @property
    def pid(self) -> int:
        """The process that has started those of the cluster."""
        return self._process.pid

    def __call__(self, name: str, *arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, *arguments]) + "\n")
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, self._said.read_text()
        return json.loads(answer)

    def is_left(self) -> None:
        """Wait until nobody holds anything of it."""
        wait_for_ray(lambda: self("actors") == [], lambda: f"actors are left: {self('actors')}")
        wait_for_ray(lambda: self("free") == self("cores"), lambda: (self("free"), self("cores")))

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class RayPlace(Place):
    """A user's place whose server has the nodes of the cluster."""

    def begins(self, cluster: RayCluster, **settings: str) -> None:
        """Start the daemon, and wait for the first node."""
        self.starts(cluster, **settings)
        self.nodes(1)

    def starts(self, cluster: RayCluster, **settings: str) -> None:
        """Start the daemon."""
        del self.environment["SWELL_BACKEND"]
        self.environment |= {"SWELL_RAY_SLICES": "cpu=1,memory=200MiB", "SWELL_NODE_TIMEOUT_S": "30", **settings}
        self.told("start", "--backend", "ray", "--address", cluster.address)

    def names(self) -> list[str]:
        return [node.name for node in self._ask(Observe).nodes]

    def states(self) -> list[str]:
        return sorted(node.state for node in self._ask(Observe).nodes)

    def cores(self) -> list[float]:
        return sorted(node.cores for node in self._ask(Observe).nodes)

    def trouble(self) -> str:
        """Return what `swell status` says is wrong with the nodes."""
        return self._ask(GetStatus).nodes_trouble

    def nodes(self, count: int) -> list[str]:
        """Wait until there are at least so many nodes."""
        return wait_for_ray(
            lambda: names if len(names := self.names()) >= count else None,
            lambda: (self.names(), self.trouble(), (self.data_dir / "server.log").read_text()),
        )

    def _ask(self, question: Callable[[int], Message]) -> Any:
        """Return what the server answers; a command that asks takes a third of a second of a core."""
        link = Client(f"unix:{socket_path(str(self.data_dir))}").new_link()
        try:
            return run_blocking(link.request(1, question(1)))[0]
        finally:
            link.shut()

    def server(self) -> psutil.Process:
        return psutil.Process(self._ask(GetStatus).pid)

    def broker(self) -> psutil.Process:
        return wait_for_ray(self._broker, "there is no broker")

    def _broker(self) -> psutil.Process | None:
        found = [each for each in self.server().children() if "swell.backends.ray.broker" in each.cmdline()]
        return found[0] if found else None
