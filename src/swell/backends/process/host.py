"""This machine as a Node, and how busy its containers keep it.

Counts what this process may use by its CPU affinity and the limits of its control groups, not what is built in.
This module must not know templates, orders or the engine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from swell.model import Gpu, Node

__all__ = ["BusyMeter", "count_oom_kills", "describe_host", "raise_file_limit"]

_CGROUPS = Path("/sys/fs/cgroup")
_PROC = Path("/proc")


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
    never look busy by the time they get, and ever more of them would be started.
    """

    def __init__(self, cores: float, proc: Path = _PROC) -> None:
        self._cores = cores
        self._proc = proc
        self._used: dict[int, float] = {}
        self._called_at = time.monotonic()
        self._tick_s = 1 / os.sysconf("SC_CLK_TCK")

    def busy_cores(self, pids: Iterable[int]) -> float:
        """Return the cores used or waited for since the last call, at most as many as there are.

        A process first seen now does not count yet: it used that time to start, which is over, or shows next time.
        """
        now = time.monotonic()
        used = {pid: seconds for pid in pids if (seconds := self._seconds(pid)) is not None}
        spent = sum(max(0.0, seconds - self._used.get(pid, seconds)) for pid, seconds in used.items())
        elapsed = max(now - self._called_at, self._tick_s)
        self._used, self._called_at = used, now
        return min(self._cores, spent / elapsed)

    def _seconds(self, pid: int) -> float | None:
        """Return how long a process has computed so far, and its main thread waited for a core; None if it is gone."""
        stat = self._read(pid, "stat")
        if stat is None:
            return None
        ticks = stat.rpartition(b")")[2].split(None, 13)
        schedstat = self._read(pid, "schedstat")  # not there if the kernel was built without CONFIG_SCHED_INFO
        waited_ns = int(schedstat.split()[1]) if schedstat else 0
        return (int(ticks[11]) + int(ticks[12])) * self._tick_s + waited_ns / 1e9

    def _read(self, pid: int, name: str) -> bytes | None:
        try:
            with open(f"{self._proc}/{pid}/{name}", "rb", buffering=0) as file:
                return file.read(512)
        except (FileNotFoundError, ProcessLookupError):
            return None


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
