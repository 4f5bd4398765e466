"""A Ray cluster of several raylets on this machine, in a process of its own: `python ray_cluster.py`.

It lies in RAY_TMPDIR, where Ray also notes which cluster began last: to the machine's own notes it is unknown. It does
what it reads, a JSON object a line, and answers each with a line. At the end of its input it ends the cluster.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import ray
from fake_cloud import HEAD, STAYS, FakeCloud, environment_of
from ray._private import state
from ray._raylet import GcsClient
from ray.cluster_utils import Cluster

T = TypeVar("T")

SMALL = {"include_log_monitor": False, "object_store_memory": 80 << 20, "memory": 1 << 30}
TRIES = 10  #: to start a machine
TOO_SLOW = "The current node timed out during startup"  #: what Ray says then
PREEMPTION = 2  #: the reason of a drain, as Ray numbers it


def started(start: Callable[[], T]) -> T:
    """Start machines as often as it takes.

    A raylet gives helpers of its own 15 s to come up, and aborts after that; nothing makes it more patient. On a busy
    machine, that is too short now and then.
    """
    for _ in range(TRIES - 1):
        try:
            return start()
        except Exception as error:
            if TOO_SLOW not in str(error):
                raise
    return start()


class Former:
    """What an agent's actor may have been in another version."""


class Commands:
    def __init__(self) -> None:
        head = {
            "num_cpus": 0,
            "include_dashboard": False,
            "no_monitor": True,  # an autoscaler that cannot scale
            **SMALL,
        }
        os.environ |= environment_of(HEAD, HEAD)
        self._cloud: FakeCloud | None = None
        self._cluster = started(lambda: Cluster(initialize_head=True, head_node_args=head))
        ray.init(address=self._cluster.address, log_to_driver=False, logging_level="ERROR")
        self._nodes: dict[str, Any] = {}
        self._names: dict[str, str] = {}  # of all that were added, as a cloud has them

    def address(self) -> str:
        return self._cluster.address

    def add(self, cpus: int) -> str:
        name = f"{STAYS}-{len(self._names) + 1}"
        os.environ |= environment_of(STAYS, name)
        node = started(lambda: self._cluster.add_node(num_cpus=cpus, **SMALL))
        self._nodes[node.node_id], self._names[node.node_id] = node, name
        return node.node_id

    def kill(self, node: str) -> None:
        self._cluster.remove_node(self._nodes.pop(node), allow_graceful=False)

    def raylet(self, node: str) -> int:
        return self._nodes[node].all_processes["raylet"][0].process.pid

    def head(self) -> int:
        return self._cluster.head_node.all_processes["gcs_server"][0].process.pid

    def drain(self, node: str, seconds: float) -> bool:
        client = GcsClient(address=self._cluster.address)
        accepted, _ = client.drain_node(node, PREEMPTION, "taken back", int((time.time() + seconds) * 1000))
        return accepted

    def scale(self, cores: dict[str, int], machines_max: int) -> None:
        """Have an autoscaler add machines of these types; a cluster has one at most."""
        folder = Path(self._cluster.head_node.get_session_dir_path())
        self._cloud = FakeCloud(
            self._cluster.address, folder, cores, most=machines_max, others=[self._names[each] for each in self._nodes]
        )

    def end_scaling(self) -> None:
        if self._cloud is not None:
            self._cloud.close()

    def end(self) -> None:
        """Kill all of it: nobody needs it any more, and to ask each process takes its time."""
        self.end_scaling()
        for node in [*self._cluster.worker_nodes, self._cluster.head_node]:
            self._cluster.remove_node(node, allow_graceful=False)

    def actors(self) -> list[list[str]]:
        return sorted([each["namespace"], each["name"]] for each in ray.util.list_named_actors(all_namespaces=True))

    def leave(self, namespace: str, name: str) -> None:
        """Have an actor of a program that knows nothing of those of today."""
        ray.remote(num_cpus=0)(Former).options(name=name, namespace=namespace, lifetime="detached").remote()

    def free(self) -> dict[str, float]:
        """CPUs that nobody holds, by node."""
        return {node: has.get("CPU", 0.0) for node, has in state.available_resources_per_node().items()}

    def cores(self) -> dict[str, float]:
        """All CPUs, by node."""
        return {each["NodeID"]: each["Resources"].get("CPU", 0.0) for each in ray.nodes() if each["Alive"]}

    def memory(self) -> float:
        return sum(has.get("memory", 0.0) for has in state.available_resources_per_node().values())


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # Ray prints, too
    commands = Commands()
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(getattr(commands, name)(*arguments)), file=answers, flush=True)
    ray.shutdown()
    commands.end()


if __name__ == "__main__":
    main()
