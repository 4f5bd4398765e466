"""Containers whose template has died, which this process watches from then on.

They are not its children. When a template dies, the kernel gives its containers to the next process above that adopts
orphans, most often that of pid 1. Were it this one, a container that kills its parent for the second time would kill
the server. A file descriptor of a process (pidfd) tells the end of any process, and never means another one that was
given its number later; but only a parent learns the exit status.

What ended containers have left is not among the children of this process either. It is found by its environment, which
marks all that descends from a template of this server, or since it was seen below a container before. Finding it takes
a look at every process of the machine: that is done after a template has died, and at most for a tenth of the time.
This module must not know what containers run, or why they were launched.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterator, Set

import swell.linux as linux

__all__ = ["AdoptedContainers"]

LOOK_EVERY_S = 1.0  #: how often to see what adopted containers have started, to know it when they are gone
SWEEP_PAUSE = 9.0  #: between two sweeps, as a multiple of what the first took


class _WatchedProcess:
    """A process whose end is awaited."""

    def __init__(self, name: str | None, pid: int, begun: int, fd: int) -> None:
        self.name = name  #: None if it was left by a container
        self.pid = pid
        self.begun = begun
        self.fd = fd
        self.was_killed = False  #: SIGKILL was sent to it while it ran

    def send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            is_running = not self._has_ended()
            signal.pidfd_send_signal(self.fd, number)
            self.was_killed |= is_running and number == signal.SIGKILL

    def _has_ended(self) -> bool:
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        return bool(poll.poll(0))

    def reap(self) -> int | None:
        """Return how it ended, as an exit status; None if that is not known."""
        with contextlib.suppress(ChildProcessError):  # it is a child of this process only if this is that of pid 1
            ended = os.waitid(os.P_PIDFD, self.fd, os.WEXITED | os.WNOHANG)
            if ended is not None:
                return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        return -signal.SIGKILL if self.was_killed else None


class AdoptedContainers:
    """Watches processes that have lost their template, and kills what they leave when they end."""

    def __init__(
        self,
        mark: str,
        living: Callable[[], Set[int]],
        templates: Callable[[], Set[int]],
        on_exit: Callable[[str, int | None], None],
    ) -> None:
        """Begin with none. Needs a running event loop.

        Args:
            mark: "NAME=value", which the environment of every process below a template of this server has.
            living: returns the pids of containers and templates that run; they and their descendants are spared.
            templates: returns the pids of templates and snapshots of which it is not known that they have ended.
            on_exit: gets (name, status) of what was adopted and has ended; a negative status is the signal, None
                means that it is not known.
        """
        self._mark = mark.encode()
        self._living = living
        self._templates = templates
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        self._begun = linux.begun_at(os.getpid()) or 0  #: what began earlier descends from no template of this server
        self._watched: dict[int, _WatchedProcess] = {}
        #: Reported with the next sweep, which kills what these have left.
        self._exits: list[tuple[str, int | None]] = []
        self._seen: set[tuple[int, int]] = set()  #: what descended from one of them at the last look
        self._looker: asyncio.TimerHandle | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._next_sweep_at = 0.0
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    def adopt(self, name: str, pid: int, begun: int) -> bool:
        """Watch a process, the one of that pid that began at `begun`; False if it has ended, or cannot be watched."""
        if not self._watch(name, pid, begun):
            return False
        if self._looker is None:
            self._looker = self._loop.call_later(0, self._look)
        return True

    def signal(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to a process that was adopted; SIGKILL goes to all that descends from it, too."""
        watched = self._watched.get(pid)
        if watched is None:
            return
        if number == signal.SIGKILL:
            self._kill_tree(watched)
        else:
            watched.send(number)

    def sweep(self) -> None:
        """Kill soon what comes from a template and belongs to no running container: what containers have left."""
        if self._sweeper is None:
            self._is_empty.clear()
            self._sweeper = self._loop.call_at(max(self._loop.time(), self._next_sweep_at), self._sweep)

    async def close(self, patience_s: float) -> None:
        """Kill what is left, wait for its end, and watch nothing more. Safe to call twice."""
        for watched in self._adopted():
            self._kill_tree(watched)
        if self._sweeper is not None or self._watched:
            self.sweep()
            with contextlib.suppress(TimeoutError):  # stuck in the kernel: nothing more can be done about it
                await asyncio.wait_for(self._is_empty.wait(), patience_s)
        for timer in (self._looker, self._sweeper):
            if timer is not None:
                timer.cancel()
        for watched in self._watched.values():
            self._loop.remove_reader(watched.fd)
            os.close(watched.fd)
        self._watched.clear()

    # ------------------------------------------------------------ what they have started

    def _adopted(self) -> list[_WatchedProcess]:
        return [watched for watched in self._watched.values() if watched.name is not None]

    def _look(self) -> None:
        adopted = self._adopted()
        lineage = linux.Lineage()
        self._seen = {each for watched in adopted for each in lineage.below(watched.pid)}
        self._looker = self._loop.call_later(LOOK_EVERY_S, self._look) if adopted else None

    def _sweep(self) -> None:
        self._sweeper = None
        begun_at = self._loop.time()
        exits, self._exits = self._exits, []
        for name, status in exits:  # before the sweep: the end of a template makes its containers known
            self._on_exit(name, status)
        strays = list(self._strays())
        now = self._loop.time()
        self._next_sweep_at = now + SWEEP_PAUSE * (now - begun_at)
        if not all(map(linux.is_running, self._templates())):
            # One has just died. What seems to be a stray may be a container of it whose start is still to be read.
            self.sweep()
            return
        for pid, begun in strays:
            if self._watch(None, pid, begun):
                self._watched[pid].send(signal.SIGKILL)
        if not self._watched and self._sweeper is None:
            self._is_empty.set()

    def _strays(self) -> Iterator[tuple[int, int]]:
        """Iterate over the processes, (pid, when it began), that come from a template and belong to no running one."""
        living = self._living()
        for pid in linux.processes():
            stat = linux.stat_of(pid)
            if stat is None or stat.is_zombie or stat.begun < self._begun or pid in self._watched:
                continue
            is_ours = (pid, stat.begun) in self._seen or self._mark in linux.environment_of(pid)
            if is_ours and not linux.descends_from(pid, living):
                yield pid, stat.begun

    def _kill_tree(self, watched: _WatchedProcess) -> None:
        """Kill a process and what descends from it."""
        found = linux.Lineage().below(watched.pid)
        watched.send(signal.SIGKILL)
        for pid, begun in found:
            linux.kill_exactly(pid, begun)

    # ------------------------------------------------------------ their ends

    def _watch(self, name: str | None, pid: int, begun: int) -> bool:
        try:
            fd = os.pidfd_open(pid)
        except OSError:  # it is gone; or there are too many open files
            return False
        if linux.begun_at(pid) != begun:  # asked only now, when the descriptor means one process and no later one
            os.close(fd)
            return False
        self._watched[pid] = _WatchedProcess(name, pid, begun, fd)
        self._is_empty.clear()
        self._loop.add_reader(fd, self._ended, pid)
        return True

    def _ended(self, pid: int) -> None:
        watched = self._watched.pop(pid)
        self._loop.remove_reader(watched.fd)
        if linux.begun_at(pid) in (None, watched.begun):  # else the number is another's by now
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        status = watched.reap()
        os.close(watched.fd)
        if watched.name is not None:
            self._exits.append((watched.name, status))
        self.sweep()
