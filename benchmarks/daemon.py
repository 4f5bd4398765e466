"""A daemon, as `swell start` starts it, with a data directory of its own on a disk.

Nothing here measures.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

DISK = "/var/tmp"  #: on a disk, unlike /tmp on many machines: what is measured is largely its cost
SWELL = str(Path(sys.executable).with_name("swell"))


class Daemon:
    """Runs a server from `with` to its end; programs in this process find it as they find any.

    Args:
        settings: of the server, by their names in `swell.config`.
    """

    def __init__(self, **settings: object) -> None:
        self.settings = {f"SWELL_{name.upper()}": str(value) for name, value in settings.items()}

    def __enter__(self) -> Self:
        self.data_dir = Path(tempfile.mkdtemp(prefix="swell-bench-", dir=DISK))
        os.environ |= {
            "SWELL_DATA_DIR": str(self.data_dir),
            "SWELL_EXIT_GRACE_S": "1",
            "SWELL_WEB": "0",
            **self.settings,
        }
        try:
            self.start()
        except BaseException:
            shutil.rmtree(self.data_dir)
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        subprocess.run([SWELL, "stop"], check=True, capture_output=True)
        shutil.rmtree(self.data_dir)

    def start(self) -> None:
        """Start the server; it is heard when this returns."""
        subprocess.run([SWELL, "start"], check=True, capture_output=True)

    @property
    def pid(self) -> int:
        """The server's process."""
        from swell.server.data_directory import holder

        pid = holder(self.data_dir)
        assert pid, "no server runs"
        return pid

    def kill(self) -> None:
        """End the server as a defect in it would, and wait until it and its containers are gone."""
        import psutil

        server = psutil.Process(self.pid)
        family = [server, *server.children(recursive=True)]
        server.kill()
        _, left = psutil.wait_procs(family, timeout=30)
        assert not left, left

    @staticmethod
    def deploy(function: Callable[..., Any], *, containers: int) -> Any:
        """Deploy a function held at so many containers; return its handle."""
        import swell

        app = swell.App("bench")
        app.function(min_containers=containers, max_containers=containers)(function)
        app.deploy()
        return swell.Function.from_name("bench", function.__name__)

    def cpu_s(self) -> float:
        """Return the CPU time that the server has used so far: on a busy machine, steadier than any clock."""
        import psutil

        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system

    def memory_max_bytes(self) -> int:
        """Return the most memory that the server has had so far, as the kernel counted it."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))
