"""ProcessBackend: containers as processes of this machine, forked from templates.

Chooses what each container is forked from and passes on what templates say. This module must not know why containers
are wanted, nor what is said to them once they run.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from swell.backends.process.containers import Containers, Parent
from swell.backends.process.host import BusyMeter, describe_host, raise_file_limit
from swell.backends.process.snapshot import Snapshot, SnapshotState
from swell.backends.process.snapshots import Snapshots
from swell.backends.process.template import Interpreter, Template, ending
from swell.ports import BackendListener, GpuProvider, LaunchOrder, NodeLoad
from swell.wire.template import Exited, NotStarted, Opened, Reply, Started, Unfit

__all__ = ["ProcessBackend"]

RUNNER = "swell.runner.main:run_container"
TEMPLATES_MAX = 8  #: templates kept for environments; the one unused longest goes first
STOP_PATIENCE_S = 5.0


class ProcessBackend:
    """Forks containers on this machine, which is its only node. Implements `swell.ports.Backend`."""

    def __init__(self, gpus: GpuProvider, directory: Path, log_line_max: int, program: str = RUNNER) -> None:
        """Prepare; nothing happens before `start`.

        Args:
            gpus: finds what to give to containers that ask for GPUs.
            directory: the server's private directory, removed by the templates when the server is killed.
            log_line_max: characters after which a line of output is split.
            program: what runs in a container, as module:name.
        """
        self._node = describe_host(gpus.gpus())
        self._directory = directory
        self._log_line_max = log_line_max
        self._program = program
        self._own = Interpreter.own(os.environ)
        self._meter = BusyMeter(self._node.cpu)
        self._listener: BackendListener
        self._containers: Containers
        self._snapshots: Snapshots
        self._templates: dict[Interpreter, Template] = {}  # the one unused longest first
        self._ending: set[Template] = set()
        self._is_started = False

    # ------------------------------------------------------------ the port

    async def start(self, listener: BackendListener, server_address: str) -> None:
        """Start the template that most containers will come from, without waiting for it."""
        raise_file_limit()
        self._listener = listener
        self._containers = Containers(listener, server_address, bool(self._node.gpus), self._log_line_max)
        self._snapshots = Snapshots(self._log_line_max, self._said, listener.container_wrote, self._containers.parents)
        self._is_started = True
        self._template_for(self._own)

    def launch(self, order: LaunchOrder) -> None:
        """Fork a container, from a template that is started first if need be."""
        try:
            parent = self._parent_for(order)
        except (OSError, ValueError) as error:  # a path or a variable with a NUL in it
            # Soon, not now: whoever launches is not ready to hear of it.
            why = f"cannot start a container with {order.environment.python}: {error}"
            asyncio.get_running_loop().call_soon(self._containers.report_never_started, order.container_id, why)
            return
        if parent is not None:
            self._containers.fork(order, parent)

    def interrupt(self, container_id: str) -> None:
        """Send SIGINT to the container's first process; one that is not forked yet never will be."""
        if self._snapshots.withdraw(container_id):
            self._containers.report_never_started(container_id, "interrupted before it was forked")
        else:
            self._containers.interrupt(container_id)

    def kill(self, container_id: str) -> None:
        """Kill the container's process group; one that is not forked yet never will be."""
        if self._snapshots.withdraw(container_id):
            self._containers.report_never_started(container_id, "killed before it was forked")
        else:
            self._containers.kill(container_id)

    def observe(self) -> Sequence[NodeLoad]:
        """Return this machine and the cores its containers kept busy since the last call."""
        pids = self._containers.pids() if self._is_started else ()
        return [NodeLoad(self._node, self._meter.busy_cores(pids))]

    async def stop(self) -> None:
        """Have every template kill what it forked, and wait until nothing is left."""
        if not self._is_started:
            return
        self._snapshots.close()
        templates = [*self._templates.values(), *self._ending]
        self._ending.update(templates)
        self._templates.clear()
        await asyncio.gather(*(template.stop(STOP_PATIENCE_S) for template in templates))

    # ------------------------------------------------------------ templates

    def _parent_for(self, order: LaunchOrder) -> Parent | None:
        """Return what to fork a container from; None if that is not known yet and the order waits."""
        template = self._template_for(Interpreter.of(order.environment))
        if not order.spec.snapshot:
            return template
        # A function that asks for no GPU must not touch one; what another finds is for its containers to restrict.
        variables = {} if order.gpus else self._containers.gpu_variables(())
        return self._snapshots.parent_for(order, template, variables)

    def _template_for(self, interpreter: Interpreter) -> Template:
        template = self._templates.pop(interpreter, None)
        if template is None:
            self._make_room()
            template = Template(interpreter, str(self._directory), self._program, self._said, self._template_ended)
        self._templates[interpreter] = template
        return template

    def _make_room(self) -> None:
        busy = self._containers.parents()
        for interpreter, template in list(self._templates.items()):
            if len(self._templates) < TEMPLATES_MAX:
                return
            if template not in busy and interpreter != self._own and not self._snapshots.of(template):
                del self._templates[interpreter]
                self._ending.add(template)
                template.channel.finish_sending()

    def _template_ended(self, template: Template, how: str) -> None:
        is_wanted = self._templates.get(template.interpreter) is template
        if is_wanted:
            del self._templates[template.interpreter]
        self._ending.discard(template)
        self._containers.parent_ended(template, how)
        for snapshot in self._snapshots.of(template):
            for container_id in list(snapshot.waiting):
                self._snapshots.withdraw(container_id)
                self._containers.report_never_started(container_id, f"its template ended: {how}")
            self._snapshot_ended(snapshot, how)
        if is_wanted and template.is_open and template.interpreter == self._own:
            self._template_for(self._own)  # somebody must be there to clean up when this server is killed

    # ------------------------------------------------------------ what templates and snapshots say

    def _said(self, parent: Parent, reply: Reply) -> None:
        match reply:
            case Opened():
                self._opened(parent)
            case Unfit(text):
                self._unfit(parent, text)
            case Started(child_id) | NotStarted(child_id) | Exited(child_id):
                snapshot = self._snapshots.get(child_id)
                if snapshot is None:
                    self._containers.hear(reply)
                elif isinstance(reply, NotStarted):
                    self._snapshot_ended(snapshot, reply.text)
                elif isinstance(reply, Exited):
                    self._snapshot_ended(snapshot, ending(reply.status))

    def _opened(self, parent: Parent) -> None:
        if isinstance(parent, Snapshot):
            for order in self._snapshots.settle(parent, SnapshotState.OPEN):
                self._containers.fork(order, parent)
        elif isinstance(parent, Template):
            parent.is_open = True

    def _unfit(self, parent: Parent, why: str) -> None:
        """Start plainly what waited for a snapshot that cannot be, and say so once."""
        if not isinstance(parent, Snapshot):
            return
        orders = self._snapshots.settle(parent, SnapshotState.UNFIT)
        for order in orders[:1]:
            text = f"containers of {order.spec.name} start without a memory snapshot: {why}\n"
            self._listener.container_wrote(order.container_id, "system", text)
        for order in orders:
            self._containers.fork(order, parent.base)

    def _snapshot_ended(self, snapshot: Snapshot, how: str) -> None:
        snapshot.channel.close()  # what it said last is heard now
        self._containers.parent_ended(snapshot, how)
        if snapshot.state is SnapshotState.LOADING:
            self._unfit(snapshot, f"loading its code ended: {how}")
        self._snapshots.forget(snapshot)
