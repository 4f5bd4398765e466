"""Ray's autoscaler over its fake provider: a cloud of which each machine is one more raylet here.

The autoscaler is the one that `ray up` and KubeRay start, in a process of its own. This module must not know tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
from ray.autoscaler._private.fake_multi_node.node_provider import FakeMultiNodeProvider
from ray.autoscaler.tags import (
    NODE_KIND_HEAD,
    NODE_KIND_WORKER,
    STATUS_UP_TO_DATE,
    TAG_RAY_NODE_KIND,
    TAG_RAY_NODE_NAME,
    TAG_RAY_NODE_STATUS,
    TAG_RAY_USER_NODE_TYPE,
)
from ray.autoscaler.v2 import monitor

HEAD = "head"  #: type and name of the machine that the cluster's head runs on
STAYS = "stays"  #: type of the machines that others have added
LOOKS_S = "1"  #: between two looks at what is wanted; Ray takes whole seconds
IDLE_S = 3.0  #: after which a machine is taken away that nobody uses


class Provider(FakeMultiNodeProvider):
    """Ray's, which also knows the machines that it has not added: it would be told to add others in their place."""

    def __init__(self, provider_config: dict[str, Any], cluster_name: str) -> None:
        super().__init__(provider_config, cluster_name)
        for kind, name in [(HEAD, HEAD), *((STAYS, name) for name in provider_config["others"])]:
            self._nodes[name] = {
                "tags": {
                    TAG_RAY_NODE_KIND: NODE_KIND_HEAD if kind == HEAD else NODE_KIND_WORKER,
                    TAG_RAY_USER_NODE_TYPE: kind,
                    TAG_RAY_NODE_NAME: name,
                    TAG_RAY_NODE_STATUS: STATUS_UP_TO_DATE,
                }
            }


class FakeCloud:
    """The autoscaler's process, and the machines that it has started."""

    def __init__(self, gcs_address: str, folder: Path, cores: dict[str, int], *, most: int, others: list[str]) -> None:
        """Start it.

        Args:
            gcs_address: of the cluster.
            folder: for its files.
            cores: the cores of each type of machine.
            most: machines of each type at most.
            others: names of the machines that are there without it.
        """
        config = folder / "cloud.json"
        config.write_text(json.dumps(_config(gcs_address, cores, most, others)))
        own = {
            "RAY_FAKE_CLUSTER": "1",
            "PYTHONPATH": str(Path(__file__).parent),
            "AUTOSCALER_UPDATE_INTERVAL_S": LOOKS_S,
        }
        command = [sys.executable, monitor.__file__, f"--logs-dir={folder}", f"--gcs-address={gcs_address}"]
        with (folder / "monitor.out").open("w") as said:
            self._process = subprocess.Popen(
                [*command, f"--autoscaling-config={config}"],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                env=os.environ | own,
            )

    def close(self) -> None:
        """End the autoscaler, and the machines that are left."""
        started = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        self._process.wait()
        for each in started:
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended with its raylet
                each.kill()
        psutil.wait_procs(started)


def environment_of(kind: str, name: str) -> dict[str, str]:
    """Return the variables by which a raylet tells the autoscaler which machine it is."""
    return {"RAY_NODE_TYPE_NAME": kind, "RAY_CLOUD_INSTANCE_ID": name}


def _config(gcs_address: str, cores: dict[str, int], most: int, others: list[str]) -> dict[str, Any]:
    kinds = {HEAD: _kind(0, 0, 0), STAYS: _kind(2, len(others), len(others))}
    kinds |= {name: _kind(each, 0, most) for name, each in cores.items()}
    provider = {
        "type": "external",
        "module": "fake_cloud.Provider",
        "others": others,
        "gcs_address": gcs_address,
        "head_node_id": HEAD,
        "launch_multiple": True,
    }
    lists = ("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands")
    more = (
        "head_start_ray_commands",
        "worker_start_ray_commands",
        "cluster_synced_files",
        "rsync_exclude",
        "rsync_filter",
    )
    return {
        "cluster_name": "fake",
        "max_workers": sum(each["max_workers"] for each in kinds.values()),
        "upscaling_speed": 100.0,
        "idle_timeout_minutes": IDLE_S / 60,
        "provider": provider,
        "available_node_types": kinds,
        "head_node_type": HEAD,
        "auth": {},
        "docker": {},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        **{name: [] for name in lists + more},
    }


def _kind(cores: int, least: int, most: int) -> dict[str, Any]:
    return {"resources": {"CPU": cores}, "node_config": {}, "min_workers": least, "max_workers": most}
