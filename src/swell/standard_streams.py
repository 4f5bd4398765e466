"""Standard streams that are closed, as daemons and some cron jobs have them.

What is opened next gets such a number, and then is taken for stdin, stdout or stderr: by programs that inherit it, and
by whatever writes there. swell's own programs open all three at their start. A user's program keeps what it has, and
what swell passes on from there gets other numbers. This module must not know what is written, or which programs there
are.
"""

from __future__ import annotations

import fcntl
import os
import sys
from typing import Final

__all__ = ["beyond", "open_closed", "stderr_for_child"]

COUNT: Final = 3
STDERR: Final = 2


def open_closed() -> None:
    """Open those that are closed, so that nothing is read there, and what is written is gone."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            os.set_inheritable(null, True)
            if getattr(sys, name) is None:
                mode = "r" if fd == 0 else "w"
                stream = open(null, mode, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
                setattr(sys, name, stream)


def beyond(fd: int) -> int:
    """Return a descriptor with another number, if this one has that of a standard stream; then this one is closed."""
    if fd >= COUNT:
        return fd
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, COUNT)
    finally:
        os.close(fd)


def stderr_for_child() -> int | None:
    """Return what a child process that shares this one's stderr is started with: None, or nothing if that is closed."""
    import subprocess

    try:
        if os.get_inheritable(STDERR):
            return None
    except OSError:
        pass
    return subprocess.DEVNULL  # it is closed, or has become some other file of this program
