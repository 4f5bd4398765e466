"""This machine as a Node.

Counts what this process may use by its CPU affinity and the limits of its control groups, not what is built in.
This module must not know templates, orders or the engine.
"""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterable, Sequence
from pathlib import Path

from swell.model import Gpu, Node

__all__ = ["count_oom_kills", "describe_host", "explain_no_file", "raise_file_limit"]

_CGROUPS = Path("/sys/fs/cgroup")
FILES_EACH = 5  #: of the server, for each container: its output twice, its lifeline, and its two connections


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


def count_oom_kills(last: int = 0) -> int:
    """Return how many processes the kernel has killed on this machine because memory ran out, in any control group.

    That is the count of the last time if no file can be opened.
    """
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:  # too many open files
        return last
    for line in lines:
        name, _, value = line.partition(" ")
        if name == "oom_kill":
            return int(value)
    return 0  # a kernel older than 4.13 has no such line


def explain_no_file(error: OSError) -> str:
    """Return why no file can be opened, with the bound and what it means if there are too many of them."""
    if error.errno != errno.EMFILE:
        return error.strerror or str(error)
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return f"{error.strerror}: this server may open {most} (ulimit -n), and each container takes {FILES_EACH}"


def raise_file_limit() -> None:
    """Let this process open as many files as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
