"""The few Linux calls that Python lacks: process lineage by prctl, and who descends from whom.

This module must not know templates or containers.
"""

from __future__ import annotations

import ctypes
import os
import signal

__all__ = ["adopt_orphans", "children", "die_with_parent", "kill_group"]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}, {value}): {os.strerror(code)}")


def adopt_orphans() -> None:
    """Become the new parent of descendants whose own parent dies, instead of init."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent, the process `parent`, ends; at once if it has ended."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the kernel knew our wish
        os.kill(os.getpid(), signal.SIGKILL)


def children() -> list[int]:
    """Return the pids of this process's children, those that have ended but are not reaped included."""
    own = str(os.getpid()).encode()
    found: list[int] = []
    # /proc/<pid>/task/<pid>/children would be one read, but many kernels are built without it.
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb", buffering=0) as file:
                stat = file.read(512)
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended while we looked
        if stat.rpartition(b")")[2].split(None, 2)[1] == own:
            found.append(int(name))
    return found


def kill_group(pid: int) -> None:
    """Kill a child that this process has not reaped yet, and the process group it leads, if it leads one by now."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(pid, signal.SIGKILL)
