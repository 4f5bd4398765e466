"""Adopted: processes whose template has died, which the kernel then makes children of this one.

Containers among them go on as if nothing had happened; this process watches them in the place of their template. What
ended containers have left is killed. This module must not know what containers run, or who asked for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Set

import swell.linux as linux

__all__ = ["Adopted"]

LOOK_EVERY_S = 1.0  #: how often to see what adopted containers have started, to know it when they are gone


class Adopted:
    """Watches children that this process did not start, and reaps them."""

    def __init__(self, mark: str, living: Callable[[], Set[int]], on_exit: Callable[[str, int], None]) -> None:
        """Begin to adopt; must be made on a running event loop.

        Args:
            mark: "NAME=value", which the environment of every process below a template of this server has.
            living: tells the pids of what is wanted: containers and templates.
            on_exit: hears (name, status) of what was adopted and has ended; a negative status is the signal.
        """
        self._mark = mark.encode()
        self._living = living
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        self._pidfds: dict[int, int] = {}
        self._names: dict[int, str] = {}
        self._seen: set[tuple[int, int]] = set()  #: what descended from one of them at the last look
        self._timer: asyncio.TimerHandle | None = None
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        linux.adopt_orphans()

    def adopt(self, name: str, pid: int) -> bool:
        """Watch a process that has become a child of this one; False if it has not, since it ended before."""
        if linux.parent_of(pid) != os.getpid():
            return False
        self._names[pid] = name
        self._watch(pid)
        if self._timer is None:
            self._timer = self._loop.call_later(0, self._look)
        return True

    def signal(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to a process that was adopted; SIGKILL goes to all that descends from it, too."""
        if pid not in self._pidfds:
            return
        if number == signal.SIGKILL:
            self._kill_tree(pid)  # not reaped yet: the number still means that process
        else:
            os.kill(pid, number)

    def sweep(self) -> None:
        """Kill children that come from a template and are not wanted: what dead containers have left."""
        living = self._living()
        for pid in linux.children():
            if pid not in living and pid not in self._pidfds and self._is_ours(pid):
                self._watch(pid)
                os.kill(pid, signal.SIGKILL)

    def _is_ours(self, pid: int) -> bool:
        """Tell whether a child of this process comes from a template, even if it has wiped its environment."""
        return self._mark in linux.environment_of(pid) or (pid, linux.begun_at(pid)) in self._seen

    async def close(self, patience_s: float) -> None:
        """Kill what is left, wait for its end, and adopt nothing more. Safe to call twice."""
        if self._timer is not None:
            self._timer.cancel()
        for pid in self._names:
            self._kill_tree(pid)
        self.sweep()
        with contextlib.suppress(TimeoutError):  # stuck in the kernel: nothing more can be done about it
            await asyncio.wait_for(self._is_empty.wait(), patience_s)
        for fd in self._pidfds.values():
            self._loop.remove_reader(fd)
            os.close(fd)
        self._pidfds.clear()
        linux.adopt_orphans(False)

    def _look(self) -> None:
        lineage = linux.Lineage()
        self._seen = {each for pid in self._names for each in lineage.below(pid)}
        self._timer = self._loop.call_later(LOOK_EVERY_S, self._look) if self._names else None

    def _kill_tree(self, pid: int) -> None:
        """Kill a child and what descends from it."""
        found = linux.Lineage().below(pid)
        linux.kill_group(pid)
        for each, _ in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)

    def _watch(self, pid: int) -> None:
        fd = self._pidfds[pid] = os.pidfd_open(pid)
        self._is_empty.clear()
        self._loop.add_reader(fd, self._ended, pid)

    def _ended(self, pid: int) -> None:
        fd = self._pidfds.pop(pid)
        self._loop.remove_reader(fd)
        os.close(fd)
        linux.kill_group(pid)  # before reaping: until then nobody else can be given this number
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        name = self._names.pop(pid, None)
        if name is not None:
            self._on_exit(name, status)
        self.sweep()  # its orphans are this process's children now
        if not self._pidfds:
            self._is_empty.set()
