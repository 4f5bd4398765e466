"""Orphans: processes that outlive their container because the template that would have buried them died first.

Found by the container's id in the environment they inherited. This module must not know templates or orders.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Set

__all__ = ["MARK", "kill_orphans"]

MARK = "SWELL_TASK_ID"  #: the environment variable that names a process's container


def kill_orphans(container_ids: Set[str]) -> None:
    """Kill every process of this machine that was started, at whatever remove, in one of these containers."""
    marks = {f"{MARK}={container_id}".encode() for container_id in container_ids}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if not marks.isdisjoint(file.read().split(b"\0")):
                    os.kill(int(name), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has just ended, or belongs to somebody else
