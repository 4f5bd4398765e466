"""The shim: a process between a template and one container, the container's parent and nobody else's.

A container runs users' code, which may kill its parent: in error, as a child that believes its parent to be stuck, or
on purpose. Its parent is all that falls with it then. Were that the template, its siblings would lose what looks
after them; were it, after the template's death, whatever adopts orphans, that would be the server in the end.

The shim does nothing but wait: it passes SIGINT on, and ends as its container has ended. It must not be in the
process group of the container, which may send signals to all of it and ignore them itself. This module must not know
what runs in the container.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Iterable
from types import FrameType
from typing import NoReturn

import swell.linux as linux

__all__ = ["end_as", "fork_behind_shim"]


def fork_behind_shim(files: Iterable[int]) -> None:
    """Fork, and return in the child, which is bound to the life of its parent; the parent stays here until it ends.

    SIGINT must be blocked when this is called, and is not any more when it returns.

    Args:
        files: descriptors that only the child needs.
    """
    shim = os.getpid()
    os.setpgid(0, 0)
    pid = os.fork()
    if pid:
        for fd in files:
            os.close(fd)
        _wait(pid)
    linux.die_with_parent(shim)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def _wait(pid: int) -> NoReturn:
    linux.set_name("swell-shim")

    def pass_on(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    signal.signal(signal.SIGINT, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    end_as(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def end_as(status: int) -> NoReturn:
    """End this process as another has: with its exit code, or by the signal that killed it, if `status` is negative."""
    if status < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [-status])
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status if status >= 0 else 1)
