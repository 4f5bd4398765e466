"""Protects process group 1 from signals sent by mistake: to Linux, that number means every process of the user.

A container whose template has died is a child of the process with pid 1, on most machines. Code that kills the group of
its parent, `os.killpg(os.getpgid(os.getppid()), 9)`, would kill the server and everything else that its user runs:
POSIX leaves `killpg(1)` undefined, and Linux treats it as `kill(-1)`. This module must not know containers.
"""

from __future__ import annotations

import errno
import os

__all__ = ["refuse_group_one"]


def refuse_group_one() -> None:
    """Make `os.killpg` raise PermissionError for group 1, here and in forked processes; `os.kill(-1)` is unchanged."""
    killpg = os.killpg

    def kill_group(pgid: int, signal: int, /) -> None:
        """Send a signal to a process group; swell refuses group 1, which means every process of this user."""
        if pgid == 1:
            raise PermissionError(errno.EPERM, "process group 1 stands for every process of this user; use os.kill(-1)")
        killpg(pgid, signal)

    os.killpg = kill_group
