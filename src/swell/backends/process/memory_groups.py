"""A control group of the kernel for each container that has a memory limit, where that is possible.

It counts all memory of the container's processes together, and the limit is never exceeded: the kernel kills all of
them before. That is possible where a control group of version 2 was delegated to this server alone, as
systemd does for a service with `Delegate=yes`. Elsewhere no group is made, and `memory_watch` enforces the limit.

A large result lies in memory as a file that its container wrote, and may be kept long after: the limit is not
meant for that, but a control group counts it. So a container lifts the limit of its group before it writes the first
one, and `memory_watch` enforces it from then on. This module must not know templates, or what happens to a container.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Set
from pathlib import Path

from msgspec import Struct

import swell.cgroups as cgroups
import swell.linux as linux
from swell.backends.process.memory import LimitedContainer
from swell.backends.process.memory_watch import Find
from swell.model import MemoryExcess

__all__ = ["MemoryGroups", "OwnGroup", "describe_own", "open_groups", "why_not"]

log = logging.getLogger("swell.server")

RETRY_S = 0.05  #: between two tries to remove a group whose killed processes have not ended
TRIES_MAX = 200  #: after that, its processes are stuck in the kernel: the group stays until this server ends


class OwnGroup(Struct, frozen=True):
    """The control group that this process is in."""

    path: Path
    kind: str  #: "domain" is one that can have limits; "" is the root of the machine
    controllers: frozenset[str]  #: that its children can have
    is_writable: bool
    processes: frozenset[int]


def describe_own() -> OwnGroup | None:
    """Look at the control group that this process is in; None if version 2 shows none."""
    path = cgroups.own_group()
    if path is None:
        return None
    files = (path, path / "cgroup.procs", path / cgroups.CONTROLLERS)
    return OwnGroup(
        path,
        _read(path / "cgroup.type").strip(),
        frozenset(_read(path / "cgroup.controllers").split()),
        all(os.access(file, os.W_OK) for file in files),
        frozenset(cgroups.processes(path)),
    )


def why_not(group: OwnGroup | None, own_pid: int, descendants: Set[int]) -> str:
    """Return why a server must not divide the group it is in; "" if it may.

    Args:
        group: the one it is in; None if there is none to be seen.
        own_pid: the server's.
        descendants: the pids of what the server has started, which may be moved as it may itself.
    """
    if group is None:
        return "no control group of version 2 can be seen"
    if group.kind != "domain":
        return f"the control group {group.path} is {group.kind or 'the root of all'}, not one that can be divided"
    if "memory" not in group.controllers:
        return f"the control group {group.path} has no memory controller"
    if not group.is_writable:
        return f"the control group {group.path} is not delegated to this user"
    if own_pid not in group.processes:
        return f"this process cannot be seen in the control group {group.path}"
    if others := group.processes - descendants - {own_pid}:
        return f"the control group {group.path} holds other processes, too, such as {min(others)}"
    return ""


def open_groups() -> MemoryGroups | None:
    """Prepare for control groups if this process may use them, and log how limits are enforced."""
    group = describe_own()
    own = os.getpid()
    reason = why_not(group, own, frozenset() if group is None else group.processes)
    if not reason:  # but for whose processes these are, which costs a look at all of them
        reason = why_not(group, own, {pid for pid, _ in linux.Lineage().below(own)})
    if group is not None and not reason:
        begun = linux.begun_at(own)
        assert begun is not None, "this process lives"
        base = group.path / cgroups.base_name(own, begun)
        try:
            _divide(base, group.processes)
        except OSError as error:
            cgroups.tear_down(base, 0)
            reason = f"the control group {group.path} cannot be divided: {error.strerror}"
        else:
            log.info("memory limits of containers are held by control groups below %s", base)
            return MemoryGroups(base)
    log.info("memory limits of containers are held by a watch: %s", reason)
    return None


def _divide(base: Path, inside: Iterable[int]) -> None:
    """Move what is in a group to a leaf two below it, so that the groups beside that leaf can have limits."""
    leaf = base / cgroups.LEAF
    cgroups.make(base)
    cgroups.make(leaf)
    for pid in inside:
        try:
            cgroups.move(pid, leaf)
        except ProcessLookupError:  # it has ended
            continue
    for group in (base.parent, base):
        cgroups.write(group / cgroups.CONTROLLERS, "+memory")


class MemoryGroups:
    """The control groups of containers. Needs a running event loop."""

    def __init__(self, base: Path) -> None:
        """Begin with none; what killed servers have left beside `base`, in which the groups are made, is removed."""
        self._base = base
        self._loop = asyncio.get_running_loop()
        self._groups: dict[str, Path] = {}
        self._made = 0
        self._is_open = True
        for name in os.listdir(base.parent):
            owner = cgroups.owner_of(name)
            if owner is not None and linux.begun_at(owner[0]) != owner[1]:
                log.info("removing the control group %s, which a server that was killed has left", name)
                self._remove(base.parent / name)

    def make(self, container_id: str, limit_bytes: int) -> str | None:
        """Make a group for a container to enter, and return its path; None, and a line in the log, if that fails."""
        self._made += 1  # a container that is ordered again, from another template, gets another group
        group = self._base / f"{container_id}-{self._made}"
        try:
            cgroups.make(group)
            cgroups.write(group / "memory.max", str(limit_bytes))
            cgroups.write(group / "memory.oom.group", "1")
            if (group / "memory.swap.max").exists():  # not on a kernel that cannot swap, or does not count it
                cgroups.write(group / "memory.swap.max", "0")
        except OSError as error:
            cgroups.remove(group)
            log.warning("the memory of %s is watched: no control group can be made: %s", container_id, error)
            return None
        self._groups[container_id] = group
        return str(group)

    def kill(self, container_id: str) -> None:
        """Kill all that runs in a container's group. Containers that have none are ignored."""
        group = self._groups.get(container_id)
        if group is not None:
            cgroups.kill_all(group)

    def excess_of(self, container_id: str) -> MemoryExcess | None:
        """Return the memory of a container that the kernel killed for its limit; None if it did not, or has no group.

        The kernel refuses what would exceed the limit, so the peak is never over it.
        """
        group = self._groups.get(container_id)
        if group is None:
            return None
        events = cgroups.numbers(_read(group / "memory.events"))
        limit = _read(group / "memory.max").strip()
        # `oom_kill` alone means that the machine, or the service, has run out of memory.
        if not (events.get("oom") and events.get("oom_kill") and limit.isdecimal()):
            return None
        peak = _read(group / "memory.peak").strip() or limit  # kernels older than 5.19 have no peak
        return MemoryExcess(min(int(peak), int(limit)), int(limit))

    def find_others(self, find: Find) -> Find:
        """Return a function that finds excesses as `find` does, but looks only at containers that no group limits."""

        def find_unlimited(watched: Iterable[LimitedContainer]) -> list[tuple[str, MemoryExcess]]:
            unlimited = [each for each in watched if not self._limits(each.container_id)]
            return find(unlimited) if unlimited else []

        return find_unlimited

    def _limits(self, container_id: str) -> bool:
        group = self._groups.get(container_id)
        return group is not None and _read(group / "memory.max").strip() != "max"

    def release(self, container_id: str) -> None:
        """Kill what is left of a container, and remove its group as soon as that is gone."""
        group = self._groups.pop(container_id, None)
        if group is not None:
            self._remove(group)

    async def close(self, patience_s: float) -> None:
        """Remove all groups and move this process back to where it was. Safe to call twice."""
        self._is_open = False
        if not await asyncio.to_thread(cgroups.tear_down, self._base, patience_s):
            log.warning("the control group %s is left: what was killed in it has not ended", self._base)

    def _remove(self, group: Path, tries_left: int = TRIES_MAX) -> None:
        if not self._is_open:
            return
        cgroups.kill_all(group)
        if not cgroups.remove(group) and tries_left:
            self._loop.call_later(RETRY_S, self._remove, group, tries_left - 1)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # this kernel has no such file, or the group is gone
        return ""
