"""Linux calls that Python lacks: prctl, files in memory, the tree of processes in /proc, a socket whose closing kills.

This module must not know templates or containers.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import time
from collections.abc import Set
from typing import NamedTuple

__all__ = [
    "Lineage",
    "Stat",
    "adopt_orphans",
    "begun_at",
    "children",
    "descends_from",
    "die_when_closed",
    "die_with_parent",
    "environment_of",
    "is_running",
    "kill_exactly",
    "memory_file",
    "name_of",
    "parent_of",
    "processes",
    "ran_s",
    "schedule_of",
    "set_name",
    "signal_group",
    "stat_of",
]

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_F_SETSIG = 10
_CPUCLOCK_SCHED = 2  #: the lowest bits of the clock of a process, as clock_getcpuclockid(3) makes it of its pid
_NAME_MAX = 15  #: bytes of a process's name that the kernel keeps

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}, {value}): {os.strerror(code)}")


def adopt_orphans() -> None:
    """Become the new parent of descendants whose own parent dies, instead of init."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def set_name(name: str) -> None:
    """Set the name under which `ps` and `top` list this process; those it forks inherit it."""
    _libc.prctl(_PR_SET_NAME, name.encode()[:_NAME_MAX], 0, 0, 0)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent, the process `parent`, ends; at once if it has ended."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call of prctl
        os.kill(os.getpid(), signal.SIGKILL)


def die_when_closed(lifeline: int) -> None:
    """Have the kernel kill this process's group once no process has the other end of a socket; at once if none has.

    The kernel does so whatever the group is doing, and whichever process is its parent by then. `lifeline` must stay
    open here, and no data may ever be sent on it: that would kill as well.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, _F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(lifeline, 0)
    if poll.poll(0):  # it was closed before the calls above
        os.killpg(0, signal.SIGKILL)


def processes(proc: str = "/proc") -> list[int]:
    """Return the pids of all visible processes of this machine."""
    return [int(name) for name in os.listdir(proc) if name.isdigit()]


def environment_of(pid: int) -> list[bytes]:
    """Return the environment at the start of a process; empty if it has ended, or this process may not read it."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []


def name_of(pid: int) -> str:
    """Return the name of a process; empty if it has ended."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children() -> list[int]:
    """Return the pids of this process's children, including those that have ended but are not reaped."""
    # /proc/<pid>/task/<pid>/children would be one read, but many kernels are built without it.
    own = os.getpid()
    return [pid for pid in processes() if parent_of(pid) == own]


def memory_file(data: bytes) -> int:
    """Return a descriptor of a file in memory, to be read from its beginning."""
    fd = os.memfd_create("swell", os.MFD_CLOEXEC)
    with open(fd, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


class Stat(NamedTuple):
    """The kernel's data on one process."""

    parent: int  #: its pid; 0 if no parent is visible from here
    begun: int  #: its start, in ticks since boot: no other process with its pid has the same
    is_zombie: bool  #: it has ended, and its parent has not reaped it


def stat_of(pid: int, proc: str = "/proc") -> Stat | None:
    """Return the kernel's data on a process; None if it has ended and is reaped."""
    fields = _read_stat(pid, proc).split(None, 20)
    return Stat(int(fields[1]), int(fields[19]), fields[0] in (b"Z", b"X")) if fields else None


def is_running(pid: int) -> bool:
    """Tell whether a process has not ended, reaped or not."""
    stat = stat_of(pid)
    return stat is not None and not stat.is_zombie


def _read_stat(pid: int, proc: str = "/proc") -> bytes:
    """Return the part of a process's stat after its name, which may have any character; empty if it is gone."""
    try:
        with open(f"{proc}/{pid}/stat", "rb", buffering=0) as file:
            return file.read(512).rpartition(b")")[2]
    except (FileNotFoundError, ProcessLookupError):
        return b""


def parent_of(pid: int) -> int | None:
    """Return the pid of a process's parent; None if the process has ended and is reaped."""
    fields = _read_stat(pid).split(None, 2)
    return int(fields[1]) if fields else None


def begun_at(pid: int) -> int | None:
    """Return the start of a process, in ticks since boot; None if it has ended and is reaped."""
    stat = stat_of(pid)
    return None if stat is None else stat.begun


def ran_s(pid: int) -> float | None:
    """Return for how long all threads of a process have run so far; None if it has ended."""
    try:
        return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)
    except OSError:
        return None


def schedule_of(pid: int) -> tuple[float, bool]:
    """Return for how long the main thread of a process has waited for a core so far, and whether it runs or waits."""
    try:
        with open(f"/proc/{pid}/schedstat", "rb", buffering=0) as file:
            waited_s = int(file.read(512).split()[1]) / 1e9
    except (FileNotFoundError, ProcessLookupError):  # it has ended, or the kernel was built without CONFIG_SCHED_INFO
        waited_s = 0.0
    return waited_s, _read_stat(pid)[1:2] == b"R"


def descends_from(pid: int, ancestors: Set[int]) -> bool:
    """Tell whether a process is one of `ancestors`, or descends from one, at this moment."""
    each = pid
    while each not in ancestors:
        parent = parent_of(each)
        if parent is None and each != pid:
            each = pid  # an ancestor has just ended: the process has another parent now
        elif not parent:
            return False
        else:
            each = parent
    return True


class Lineage:
    """The tree of processes at one moment; making one reads the stat of every process of this machine."""

    def __init__(self, proc: str = "/proc") -> None:
        self._below: dict[int, list[tuple[int, int]]] = {}
        for pid in processes(proc):
            stat = stat_of(pid, proc)
            if stat is not None:
                self._below.setdefault(stat.parent, []).append((pid, stat.begun))

    def below(self, pid: int) -> list[tuple[int, int]]:
        """Return children, their children, and so on, each with its start."""
        found = list(self._below.get(pid, ()))
        for each, _ in found:  # the loop extends it
            found += self._below.get(each, ())
        return found


def signal_group(pid: int, number: int) -> None:
    """Signal a child that this process has not reaped yet, and the process group it leads, if it leads one by now."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        os.kill(pid, number)


def kill_exactly(pid: int, begun: int) -> None:
    """Kill the process that began at `begun`, no later one with its pid. It need not be a child of this process."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        fd = os.pidfd_open(pid)
        try:
            if begun_at(pid) == begun:
                signal.pidfd_send_signal(fd, signal.SIGKILL)
        finally:
            os.close(fd)
