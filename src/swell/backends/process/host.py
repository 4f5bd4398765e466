"""This machine as a Node, and how busy its containers keep it.

Counts what this process may use by its CPU affinity and the limits of its control groups, not what is built in.
This module must not know templates, orders or the engine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import swell.linux as linux
from swell.model import Gpu, Node

__all__ = ["BusyMeter", "count_oom_kills", "describe_host", "raise_file_limit"]

_CGROUPS = Path("/sys/fs/cgroup")


def describe_host(gpus: Sequence[Gpu], cgroups: Path = _CGROUPS, own: Path = Path("/proc/self/cgroup")) -> Node:
    """Return this machine as a node called "local"."""
    cores = float(len(os.sched_getaffinity(0)))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for directory in _own_cgroups(cgroups, own):
        cores = min(cores, _cores_allowed(directory))
        memory = min(memory, _memory_allowed(directory))
    return Node("local", cores, int(memory), tuple(gpus))


def _own_cgroups(root: Path, own: Path) -> Iterable[Path]:
    """Yield the control groups this process is in, with all their ancestors: each of them sets limits."""
    for line in own.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        mount = root / controllers if controllers else root  # version 1 has one tree a controller; version 2 one in all
        directory = mount / path.lstrip("/")
        yield directory
        for parent in directory.parents:
            if not parent.is_relative_to(mount):
                break
            yield parent


def _read(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []  # this controller is not in this group: it sets no limit


def _cores_allowed(directory: Path) -> float:
    match _read(directory / "cpu.max") or _read(directory / "cpu.cfs_quota_us"):
        case [quota, period] if quota != "max":
            return int(quota) / int(period)
        case [quota] if int(quota) > 0:
            return int(quota) / int(_read(directory / "cpu.cfs_period_us")[0])
        case _:
            return float("inf")


def _memory_allowed(directory: Path) -> float:
    match _read(directory / "memory.max") or _read(directory / "memory.limit_in_bytes"):
        case [limit] if limit != "max":
            return int(limit)
        case _:
            return float("inf")


class BusyMeter:
    """Measures how many cores a changing set of processes kept busy, or waited for, between two calls.

    Waiting counts because a core that others use is not free: on a machine with other work, processes that compute
    never look busy by the time they get, and ever more of them would be started. How long a process has waited takes
    reading a file, ten times as long as its clock; and the kernel counts a wait when it is over. So that is read only
    of those that have run since the last call: a thousand that sleep cost a millisecond.
    """

    def __init__(
        self,
        cores: float,
        ran: Callable[[int], float | None] = linux.ran_s,
        waited: Callable[[int], float] = linux.waited_s,
    ) -> None:
        """Begin with no process.

        Args:
            cores: that there are.
            ran: returns how long a process has run so far; None if it is gone.
            waited: returns how long its main thread has waited for a core so far; 0.0 if that is not known.
        """
        self._cores = cores
        self._ran = ran
        self._waited = waited
        self._seen: dict[int, _Usage] = {}
        self._called_at = time.monotonic()

    def cores(self, processes: Iterable[tuple[int, bool]]) -> tuple[float, float]:
        """Return the cores used or waited for since the last call, at most as many as there are.

        The second figure is that of the processes that had checked in by the last call: a start is no part of it.

        Args:
            processes: (pid, whether it has checked in) of all; one that was not there in the last call began after it.
        """
        now = time.monotonic()
        elapsed = max(now - self._called_at, 1e-3)
        seen: dict[int, _Usage] = {}
        busy_s = working_s = 0.0
        for pid, is_ready in processes:
            ran_s = self._ran(pid)
            if ran_s is None:
                continue
            former = self._seen.get(pid, _NEW)
            waited_s = self._waited(pid) if ran_s > former.ran_s else former.waited_s
            used_s = max(0.0, ran_s - former.ran_s) + max(0.0, waited_s - former.waited_s)
            busy_s += used_s
            if former.is_ready:
                working_s += used_s
            seen[pid] = _Usage(ran_s, waited_s, is_ready)
        self._seen, self._called_at = seen, now
        return min(self._cores, busy_s / elapsed), min(self._cores, working_s / elapsed)


class _Usage(NamedTuple):
    """What was read of a process in one call."""

    ran_s: float
    waited_s: float
    is_ready: bool


_NEW = _Usage(0.0, 0.0, False)


def count_oom_kills() -> int:
    """Return how many processes the kernel has killed on this machine because memory ran out, in any control group."""
    for line in Path("/proc/vmstat").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name == "oom_kill":
            return int(value)
    return 0  # a kernel older than 4.13 has no such line


def raise_file_limit() -> None:
    """Let this process open as many files as it may: every container takes five of the server's."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
