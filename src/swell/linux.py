"""The few Linux calls that Python lacks: who descends from whom, by prctl and /proc, and a death that a socket brings.

This module must not know templates or containers.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal

__all__ = [
    "Lineage",
    "adopt_orphans",
    "begun_at",
    "children",
    "die_when_closed",
    "die_with_parent",
    "environment_of",
    "kill_group",
    "name_of",
    "parent_of",
    "processes",
    "set_name",
]

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_F_SETSIG = 10
_NAME_MAX = 15  #: bytes of a process's name that the kernel keeps

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}, {value}): {os.strerror(code)}")


def adopt_orphans(wanted: bool = True) -> None:
    """Become the new parent of descendants whose own parent dies, instead of init; or, if not wanted, no longer."""
    _prctl(_PR_SET_CHILD_SUBREAPER, int(wanted))


def set_name(name: str) -> None:
    """Set the name under which `ps` and `top` list this process; those it forks inherit it."""
    buffer = ctypes.create_string_buffer(name.encode()[:_NAME_MAX])
    _libc.prctl(_PR_SET_NAME, buffer, 0, 0, 0)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent, the process `parent`, ends; at once if it has ended."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the kernel knew our wish
        os.kill(os.getpid(), signal.SIGKILL)


def die_when_closed(lifeline: int) -> None:
    """Have the kernel kill this process's group once nobody holds the other end of a socket; at once if that is so.

    The kernel does it whatever the group is doing, and whoever its parent is by then. `lifeline` must stay open here,
    and nothing may ever be sent on it: that would kill as well.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, _F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(lifeline, 0)
    if poll.poll(0):  # it was closed before the kernel knew our wish
        os.killpg(0, signal.SIGKILL)


def processes(proc: str = "/proc") -> list[int]:
    """Return the pids of all processes of this machine that can be seen from here."""
    return [int(name) for name in os.listdir(proc) if name.isdigit()]


def environment_of(pid: int) -> list[bytes]:
    """Return the environment that a process was started with; empty if it has ended, or may not be read."""
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
    """Return the pids of this process's children, those that have ended but are not reaped included."""
    # /proc/<pid>/task/<pid>/children would be one read, but many kernels are built without it.
    own = os.getpid()
    return [pid for pid in processes() if parent_of(pid) == own]


def parent_of(pid: int) -> int:
    """Return the pid of a process's parent; 0 if the process has ended and is reaped, or has none."""
    return _origin(pid)[0]


def begun_at(pid: int) -> int:
    """Return when a process began, in ticks from the machine's start: no other of its number has the same."""
    return _origin(pid)[1]


class Lineage:
    """Who descends from whom at one moment, at the cost of a look at every process of this machine."""

    def __init__(self, proc: str = "/proc") -> None:
        self._below: dict[int, list[tuple[int, int]]] = {}
        for pid in processes(proc):
            parent, begun = _origin(pid, proc)
            self._below.setdefault(parent, []).append((pid, begun))

    def below(self, pid: int) -> list[tuple[int, int]]:
        """Return children, their children, and so on, each with when it began."""
        found = list(self._below.get(pid, ()))
        for each, _ in found:  # it grows meanwhile
            found += self._below.get(each, ())
        return found


def _origin(pid: int, proc: str = "/proc") -> tuple[int, int]:
    """Return a process's parent, and the clock ticks from the machine's start to its own; zeros if it is gone."""
    try:
        with open(f"{proc}/{pid}/stat", "rb", buffering=0) as file:
            stat = file.read(512)
    except (FileNotFoundError, ProcessLookupError):
        return 0, 0
    fields = stat.rpartition(b")")[2].split(None, 20)
    return int(fields[1]), int(fields[19])


def kill_group(pid: int) -> None:
    """Kill a child that this process has not reaped yet, and the process group it leads, if it leads one by now."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(pid, signal.SIGKILL)
