"""Ray's autoscaler over its fake provider: a cloud of which each machine is one more raylet here.

The autoscaler is the one that `ray up` and KubeRay start, in a process of its own. This module must not know tests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
from ray.autoscaler.v2 import monitor

HEAD = "the-head"  #: what the cloud calls the machine of the cluster's head
LOOKS_S = "0.5"  #: between two looks at what is wanted
IDLE_S = 3.0  #: after which a machine is taken away that nobody uses


class FakeCloud:
    """The autoscaler's process, and the machines that it has started."""

    def __init__(self, gcs_address: str, folder: Path, cores: dict[str, int], machines_max: int) -> None:
        """Start it.

        Args:
            gcs_address: of the cluster.
            folder: for its files.
            cores: the cores of each type of machine.
            machines_max: of each type.
        """
        config = folder / "cloud.json"
        config.write_text(json.dumps(_config(gcs_address, cores, machines_max)))
        own = {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": LOOKS_S}
        self._process = subprocess.Popen(
            [
                sys.executable,
                monitor.__file__,
                f"--logs-dir={folder}",
                f"--gcs-address={gcs_address}",
                f"--autoscaling-config={config}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | own,
        )

    def close(self) -> None:
        """End the autoscaler, and the machines that are left."""
        started = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        self._process.wait()
        for each in started:
            each.kill()
        psutil.wait_procs(started)


def _config(gcs_address: str, cores: dict[str, int], machines_max: int) -> dict[str, Any]:
    head = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
    kinds = {
        name: {"resources": {"CPU": each}, "node_config": {}, "min_workers": 0, "max_workers": machines_max}
        for name, each in cores.items()
    }
    provider = {
        "type": "fake_multinode",
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
        "max_workers": machines_max * len(kinds),
        "upscaling_speed": 100.0,
        "idle_timeout_minutes": IDLE_S / 60,
        "provider": provider,
        "available_node_types": {"head": head, **kinds},
        "head_node_type": "head",
        "auth": {},
        "docker": {},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        **{name: [] for name in lists + more},
    }
