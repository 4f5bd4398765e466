"""Every container that was ordered and is not yet reported gone, with its output and its end.

This module must not know how templates are started, or which of them a container should be forked from.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Sequence, Set
from functools import partial
from typing import Protocol

from swell.backends.process.capture import Capture
from swell.backends.process.channel import TemplateChannel
from swell.backends.process.host import count_oom_kills, explain_no_file
from swell.backends.process.memory import LimitedContainer
from swell.backends.process.memory_groups import MemoryGroups
from swell.backends.process.memory_watch import Find, MemoryWatch
from swell.backends.process.template import ending
from swell.model import MemoryExcess
from swell.ports import BackendListener, LaunchOrder
from swell.wire.template import Exited, Interrupt, Kill, Launch, NotStarted, Started

__all__ = ["ContainerProcesses", "Parent"]

TASK_ID = "SWELL_TASK_ID"  #: the environment variable that names a process's container
#: How often a container is ordered again because its template died before it had forked it. Often, since other
#: containers' code may kill one template after another; bounded, since its own code may do so while it is imported.
ORDERS_AGAIN_MAX = 10


class Parent(Protocol):
    """A template or snapshot that containers are forked from."""

    channel: TemplateChannel


class _Container:
    def __init__(
        self, order: LaunchOrder, parent: Parent, captures: Sequence[Capture], lifeline: socket.socket
    ) -> None:
        self.order = order
        self.parent: Parent | None = parent  #: None when its template has died, and this process watches it
        self.captures = captures
        self.lifeline = lifeline  #: when it closes, the kernel kills the container
        self.pid: int | None = None
        self.begun = 0  #: when the process `pid` began, in ticks from the machine's start
        self.ordered: Interrupt | Kill | None = None  #: sent to its template, which may die before it has read that
        self.excess: MemoryExcess | None = None  #: it is being killed for the memory that it used


class ContainerProcesses:
    """Asks parents to fork containers, and reports their starts and exits to the listener."""

    def __init__(
        self,
        listener: BackendListener,
        server_address: str,
        has_gpus: bool,
        log_line_max: int,
        *,
        signal_adopted: Callable[[int, signal.Signals], None],
        find_excesses: Find,
        groups: MemoryGroups | None,
    ) -> None:
        """Begin with none.

        Args:
            listener: gets starts, output and exits.
            server_address: where containers are to connect.
            has_gpus: whether this machine has GPUs, so that containers must be restricted to theirs.
            log_line_max: characters after which a line of output is split.
            signal_adopted: sends a signal to the container of that pid, whose template has died.
            find_excesses: returns which containers use more memory than their limit allows; called on another thread.
            groups: makes control groups for containers that have a limit; None where that is not possible.
        """
        self._listener = listener
        self._address = server_address
        self._has_gpus = has_gpus
        self._log_line_max = log_line_max
        self._signal_adopted = signal_adopted
        self._groups = groups
        self._memory = MemoryWatch(find_excesses, self._outgrew)
        self._containers: dict[str, _Container] = {}
        self._orders_again: dict[str, int] = {}  #: how often, of those whose template died before it had forked them
        self._oom_kills = count_oom_kills()
        self._reads_output = True

    def read_output(self, reads: bool) -> None:
        """Read what containers write, or let them wait until it is read."""
        if reads == self._reads_output:
            return
        self._reads_output = reads
        for container in self._containers.values():
            for capture in container.captures:
                (capture.resume if reads else capture.pause)()

    def fence(self) -> None:
        """Have the kernel kill all containers, without waiting for anything. Nothing else works after it."""
        for container in self._containers.values():
            container.lifeline.close()

    def fork(self, order: LaunchOrder, parent: Parent) -> None:
        """Ask `parent` for a container. Without the files for its output, it is reported as never started."""
        try:
            lifeline, theirs = socket.socketpair()
            try:
                files, captures = self._make_pipes(order.container_id)
            except OSError:
                lifeline.close()
                theirs.close()
                raise
        except OSError as error:
            self.report_never_started(order.container_id, f"cannot talk to a container: {explain_no_file(error)}")
            return
        self._containers[order.container_id] = _Container(order, parent, captures, lifeline)
        files.append(theirs.detach())
        variables = {TASK_ID: order.container_id, **self.gpu_variables(order.gpus)}
        limit = order.spec.resources.memory_limit_bytes
        runs_app = any(web.kind != "server" for web in order.spec.web_methods.values())
        group = None if limit is None or self._groups is None else self._groups.make(order.container_id, limit)
        launch = Launch(
            child_id=order.container_id,
            address=self._address,
            token=order.token,
            variables=variables,
            memory_limit_bytes=limit,
            runs_app=runs_app,
            group=group,
        )
        parent.channel.send(launch, files)

    def order_of(self, container_id: str) -> LaunchOrder | None:
        """Return the order of a container that is not gone; None if it was not passed on to a template yet."""
        container = self._containers.get(container_id)
        return None if container is None else container.order

    def variables_of(self, order: LaunchOrder) -> dict[str, str]:
        """Return the variables of a container that its user cannot choose."""
        return {
            "SWELL_SERVER": self._address,
            "SWELL_TOKEN": order.token,
            "SWELL_IS_REMOTE": "1",
            TASK_ID: order.container_id,
            **self.gpu_variables(order.gpus),
        }

    def gpu_variables(self, gpus: Sequence[str]) -> dict[str, str]:
        """Return the environment that restricts a process to these GPUs, which may be none."""
        return {"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if self._has_gpus else {}

    def interrupt(self, container_id: str) -> None:
        """Have the parent send SIGINT. Unknown ids are ignored."""
        self._order(container_id, Interrupt(container_id))

    def kill(self, container_id: str) -> None:
        """Have the parent kill the process group: only it knows that a process id still means its child."""
        if self._groups is not None:
            self._groups.kill(container_id)  # at once, and all of it
        self._order(container_id, Kill(container_id))

    def _order(self, container_id: str, request: Interrupt | Kill) -> None:
        container = self._containers.get(container_id)
        if container is None:
            return
        container.ordered = request
        if container.parent is not None:
            container.parent.channel.send(request)
        elif container.pid is not None:
            number = signal.SIGKILL if isinstance(request, Kill) else signal.SIGINT
            self._signal_adopted(container.pid, number)

    def handle_reply(self, reply: Started | NotStarted | Exited) -> None:
        """Handle a parent's reply about a container."""
        match reply:
            case Started(container_id, pid, begun):
                container = self._containers.get(container_id)
                if container is not None:  # else it was killed in the moment in which it reported its start
                    self._started(container, pid, begun)
                    self._listener.container_started(container_id, pid)
            case NotStarted(container_id, text):
                self._report_exit(container_id, text)
            case Exited(container_id, status):
                self.ended(container_id, status)

    def _started(self, container: _Container, pid: int, begun: int) -> None:
        container.pid, container.begun = pid, begun
        limit = container.order.spec.resources.memory_limit_bytes
        if limit is not None:
            self._memory.add(LimitedContainer(container.order.container_id, pid, limit))

    def _outgrew(self, container_id: str, excess: MemoryExcess) -> None:
        self._memory.remove(container_id)
        self._containers[container_id].excess = excess
        self.kill(container_id)

    def ended(self, container_id: str, status: int | None) -> None:
        """Report that a container's process is gone; a negative status is the signal, None means unknown."""
        excess = self._containers[container_id].excess
        if excess is None and self._groups is not None:
            excess = self._groups.excess_of(container_id)
        if excess is not None and status == -signal.SIGKILL:
            self._oom_kills = count_oom_kills(self._oom_kills)  # a kill for a group's limit is one of them
            self._report_exit(container_id, f"killed: it {excess}", excess)
        else:  # it may have ended by itself just before
            self._report_exit(container_id, self._explain(status))

    def left_by(self, parent: Parent) -> list[tuple[str, int, int]]:
        """Return the containers, (id, pid, when it began), that a template leaves behind, and that live on."""
        return [
            (name, container.pid, container.begun)
            for name, container in self._containers.items()
            if container.parent is parent and container.pid is not None
        ]

    def withdraw(self, parent: Parent) -> list[LaunchOrder]:
        """Forget what a template has not forked, and never will; return the orders that still hold."""
        orders: list[LaunchOrder] = []
        for name, container in list(self._containers.items()):
            if container.parent is not parent or container.pid is not None:
                continue
            if container.ordered is None:
                orders.append(self._release(name).order)
            else:
                self._report_exit(name, "killed before it was forked")
        return orders

    def may_order_again(self, container_id: str) -> bool:
        """Tell whether a container may be ordered of another template, since the last one died; not for ever."""
        count = self._orders_again.get(container_id, 0) + 1
        self._orders_again[container_id] = count
        return count <= ORDERS_AGAIN_MAX

    def hand_over(self, container_id: str, parent: Parent | None) -> None:
        """Note which template looks after a container from now on; None if this process does.

        What was ordered of the former one is ordered again: it may not have read that.
        """
        container = self._containers[container_id]
        container.parent = parent
        if container.ordered is not None:
            self._order(container_id, container.ordered)

    def report_never_started(self, container_id: str, why: str) -> None:
        """Report an order for which no container was started."""
        self._orders_again.pop(container_id, None)
        self._listener.container_exited(container_id, why, False)

    def close(self) -> None:
        """Watch nothing more."""
        self._memory.close()

    def parents(self) -> set[Parent]:
        """Return the templates and snapshots that have containers."""
        return {container.parent for container in self._containers.values() if container.parent is not None}

    def pids_by_id(self) -> dict[str, int]:
        """Return the process ids of the containers that have been forked, by their ids."""
        return {name: container.pid for name, container in self._containers.items() if container.pid is not None}

    def pids(self) -> Set[int]:
        """Return the process ids of the containers that have been forked."""
        return {container.pid for container in self._containers.values() if container.pid is not None}

    def _make_pipes(self, container_id: str) -> tuple[list[int], list[Capture]]:
        """Return the ends for the container to write stdout and stderr to, and what reads the other ends."""
        write_ends: list[int] = []
        captures: list[Capture] = []
        try:
            for stream in ("stdout", "stderr"):
                read_end, write_end = os.pipe()
                write_ends.append(write_end)
                sink = partial(self._listener.container_wrote, container_id, stream)
                captures.append(Capture(read_end, self._log_line_max, sink))
                if not self._reads_output:
                    captures[-1].pause()
        except OSError:  # too many open files
            for fd in write_ends:
                os.close(fd)
            for capture in captures:
                capture.finish()
            raise
        return write_ends, captures

    def _report_exit(self, container_id: str, reason: str, excess: MemoryExcess | None = None) -> None:
        container = self._release(container_id)
        self._orders_again.pop(container_id, None)
        self._listener.container_exited(container_id, reason, container.pid is not None, excess)

    def _release(self, container_id: str) -> _Container:
        container = self._containers.pop(container_id)
        container.lifeline.close()
        self._memory.remove(container_id)
        if self._groups is not None:
            self._groups.release(container_id)
        for capture in container.captures:
            capture.finish()  # all its output is reported before its exit
        return container

    def _explain(self, status: int | None) -> str:
        reason = ending(status)
        if status != -signal.SIGKILL:
            return reason
        kills, self._oom_kills = self._oom_kills, count_oom_kills(self._oom_kills)
        return f"{reason}: the kernel ran out of memory" if self._oom_kills > kills else reason
