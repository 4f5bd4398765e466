"""Containers as processes of this machine, forked from templates.

Chooses what each container is forked from and routes templates' replies. This module must not know why containers are
launched, nor what is sent to them once they run.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence, Set
from pathlib import Path

from swell.backends.process.adopted import AdoptedContainers
from swell.backends.process.busy_meter import BusyMeter
from swell.backends.process.commands import Commands
from swell.backends.process.containers import ContainerProcesses, Parent
from swell.backends.process.host import describe_host, raise_file_limit
from swell.backends.process.memory import MemoryReader
from swell.backends.process.memory_groups import MemoryGroups, open_groups
from swell.backends.process.snapshot import SnapshotHandle, SnapshotState
from swell.backends.process.snapshots import Snapshots
from swell.backends.process.template import Interpreter, TemplateHandle, ending
from swell.errors import NotFoundError
from swell.model import Environment, Lack, RefusedNode
from swell.ports import BackendListener, GpuProvider, LaunchOrder, NodeLoad, NodePaths, Pipe
from swell.wire.template import RUN_DIR, Adopt, Exited, NotStarted, Opened, Reply, SnapshotRejected, Started, Sweep

__all__ = ["ProcessBackend"]

RUNNER = "swell.runner.main:run_container"
TEMPLATES_MAX = 8  #: templates kept for environments; the one unused longest goes first
STOP_PATIENCE_S = 5.0


class ProcessBackend:
    """Forks containers on this machine, which is its only node. Implements `swell.ports.Backend`."""

    is_local = True

    def __init__(
        self,
        gpus: GpuProvider,
        directory: Path,
        log_line_max: int,
        program: str = RUNNER,
        *,
        is_for_portable: bool = False,
    ) -> None:
        """Prepare; nothing happens before `start`.

        Args:
            gpus: finds what to give to containers that ask for GPUs.
            directory: the server's private directory, removed by the templates when the server is killed.
            log_line_max: characters after which a line of output is split.
            program: what runs in a container, as module:name.
            is_for_portable: most containers have a portable environment: the template that is started first is theirs.
        """
        self._node = describe_host(gpus.gpus())
        self._directory = directory
        self._log_line_max = log_line_max
        self._program = program
        self._portable = Interpreter.portable(os.environ)
        self._own = self._portable if is_for_portable else Interpreter.own(os.environ)
        self._meter = BusyMeter(self._node.cpu)
        self._listener: BackendListener
        self._adopted: AdoptedContainers
        self._groups: MemoryGroups | None = None
        self._containers: ContainerProcesses
        self._commands: Commands
        self._snapshots: Snapshots
        self._templates: dict[Interpreter, TemplateHandle] = {}  # the one unused longest first
        self._ending: set[TemplateHandle] = set()
        self._latest: tuple[Environment | None, Interpreter] = (None, self._own)  # of the orders
        self._is_started = False
        self._is_stopping = False

    # ------------------------------------------------------------ the port

    async def start(self, listener: BackendListener, server_address: str) -> None:
        """Start the template that most containers will come from, without waiting for it."""
        raise_file_limit()
        self._listener = listener
        self._adopted = AdoptedContainers(
            f"{RUN_DIR}={self._directory}", self._living, self._template_pids, self._adopted_ended
        )
        find = MemoryReader(str(self._directory)).find_excesses
        self._groups = open_groups()  # before the first template: that, too, is to be in this server's leaf
        self._containers = ContainerProcesses(
            listener,
            server_address,
            bool(self._node.gpus),
            self._log_line_max,
            signal_adopted=self._adopted.signal,
            find_excesses=find if self._groups is None else self._groups.find_others(find),
            groups=self._groups,
        )
        self._snapshots = Snapshots(
            self._log_line_max, self._replied, listener.container_wrote, self._containers.parents
        )
        self._commands = Commands(self._containers, self._template_of_command)
        self._is_started = True
        self._template_for(self._own)

    def launch(self, order: LaunchOrder) -> None:
        """Fork a container, from a template that is started first if need be."""
        try:
            parent = self._parent_for(order)
        except (OSError, ValueError) as error:  # a path or a variable with a NUL in it
            # Soon, not now: the caller is still in the middle of launching.
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

    def exec(self, container_id: str, user: Pipe) -> Pipe:
        """Return a pipe to a command beside a container."""
        if not self._is_started:
            raise NotFoundError("there are no containers yet")
        return self._commands.open(container_id, user)

    def observe(self, is_ready: Callable[[str], bool]) -> Sequence[NodeLoad]:
        """Return this machine and the cores its containers kept busy since the last call."""
        pids = self._containers.pids_by_id() if self._is_started else {}
        busy = self._meter.measure((pid, is_ready(name)) for name, pid in pids.items())
        return [NodeLoad(self._node, *busy)]

    def refused(self) -> Sequence[RefusedNode]:
        """Return nothing: there is one node, which is there."""
        return ()

    def awaits_nodes(self) -> bool:
        """Return False: there is one node, which is there."""
        return False

    def trouble(self) -> str:
        """Return nothing: this machine is there."""
        return ""

    def paths_of(self, node: str) -> NodePaths | None:
        """Return None: this machine is the server's."""
        return None

    def link_of(self, node: str) -> None:
        """Return that it is the server's machine."""

    def deleted(self, name: str) -> None:
        """Do nothing: there are no copies on one machine."""

    def fence(self) -> None:
        """Kill all containers and commands at once: this process is about to end, and must not wait for that."""
        if self._is_started:
            self._containers.fence()
            self._commands.fence()

    def read_output(self, reads: bool) -> None:
        """Read what containers write, or let them wait until it is read: whoever gets it cannot take more."""
        if self._is_started:
            self._containers.read_output(reads)

    def want_room(self, lacks: Sequence[Lack]) -> None:
        """Do nothing: a machine is as large as it is."""

    def release_node(self, name: str) -> None:
        """Do nothing: it is the only one."""

    async def stop(self) -> None:
        """Have every template kill what it forked, and wait until nothing is left."""
        if not self._is_started:
            return
        self._is_stopping = True
        self._snapshots.close()
        templates = [*self._templates.values(), *self._ending]
        self._ending.update(templates)
        self._templates.clear()
        await asyncio.gather(*(template.stop(STOP_PATIENCE_S) for template in templates))
        await self._adopted.close(STOP_PATIENCE_S)
        self._containers.close()
        if self._groups is not None:
            await self._groups.close(STOP_PATIENCE_S)

    # ------------------------------------------------------------ templates

    def _parent_for(self, order: LaunchOrder) -> Parent | None:
        """Return what to fork a container from; None if the order must wait for a snapshot that is loading."""
        template = self._template_for(self._interpreter(order.environment))
        if not order.spec.snapshot:
            return template
        # A function that asks for no GPU must not touch one; what another finds is for its containers to restrict.
        variables = {} if order.gpus else self._containers.gpu_variables(())
        return self._snapshots.parent_for(order, template, variables)

    def _interpreter(self, environment: Environment) -> Interpreter:
        """Return the interpreter of an environment; most often, that is the one of the former order."""
        latest, interpreter = self._latest
        if not environment.python:
            return self._portable
        if latest is not environment:
            interpreter = Interpreter.of(environment)
            self._latest = environment, interpreter
        return interpreter

    def _template_for(self, interpreter: Interpreter) -> TemplateHandle:
        template = self._templates.pop(interpreter, None)
        if template is None:
            self._make_room()
            template = TemplateHandle(
                interpreter, str(self._directory), self._program, self._replied, self._template_ended
            )
        self._templates[interpreter] = template
        return template

    def _template_of_command(self, environment: Environment) -> TemplateHandle:
        if self._is_stopping:
            raise OSError("containers are being stopped")
        return self._template_for(self._interpreter(environment))

    def _make_room(self) -> None:
        busy = self._containers.parents() | self._commands.parents()
        for interpreter, template in list(self._templates.items()):
            if len(self._templates) < TEMPLATES_MAX:
                return
            if template not in busy and interpreter != self._own and not self._snapshots.of(template):
                del self._templates[interpreter]
                self._ending.add(template)
                template.channel.finish_sending()

    def _template_ended(self, template: TemplateHandle, how: str) -> None:
        is_wanted = self._templates.get(template.interpreter) is template
        if is_wanted:
            del self._templates[template.interpreter]
        self._ending.discard(template)
        self._commands.template_ended(template, how)
        self._adopt_from(template)
        orders = self._containers.withdraw(template)
        for snapshot in self._snapshots.of(template):
            for container_id, order in list(snapshot.waiting.items()):
                self._snapshots.withdraw(container_id)
                orders.append(order)
            # It dies with its base, but may not have yet; its replies until then still count.
            if not snapshot.pid or not self._adopted.adopt(snapshot.id, snapshot.pid, snapshot.begun):
                self._snapshot_ended(snapshot, how)
        self._adopted.sweep()
        self._order_again(orders, how, was_open=template.is_open)
        if is_wanted and template.is_open and template.interpreter == self._own:
            self._template_for(self._own)  # when this server is killed, a template must be there to clean up

    # ------------------------------------------------------------ containers whose template has died

    def _order_again(self, orders: Sequence[LaunchOrder], how: str, *, was_open: bool) -> None:
        """Have another template fork what one had not when it died; a template that never worked is not replaced."""
        for order in orders:
            if was_open and not self._is_stopping and self._containers.may_order_again(order.container_id):
                self.launch(order)
            else:
                self._containers.report_never_started(order.container_id, f"its template ended: {how}")

    def _adopt_from(self, parent: Parent) -> None:
        """Watch the containers of a template that has died."""
        for container_id, pid, begun in self._containers.left_by(parent):
            if self._adopted.adopt(container_id, pid, begun):
                self._containers.hand_over(container_id, None)
            else:  # it has ended; or it cannot be watched, and loses its lifeline by this
                self._containers.ended(container_id, None)

    def _adopted_ended(self, name: str, status: int | None) -> None:
        snapshot = self._snapshots.get(name)
        if snapshot is None:
            self._containers.ended(name, status)
        else:
            self._snapshot_ended(snapshot, ending(status))

    def _living(self) -> Set[int]:
        """Return the pids of the processes that a sweep must spare, with what descends from them."""
        return self._template_pids() | self._containers.pids()

    def _template_pids(self) -> Set[int]:
        """Return the pids of the templates and snapshots whose end is not known."""
        templates = {template.pid for template in (*self._templates.values(), *self._ending)}
        return templates | self._snapshots.pids()

    # ------------------------------------------------------------ replies of templates and snapshots

    def _replied(self, parent: Parent, reply: Reply) -> None:
        match reply:
            case Opened():
                self._opened(parent)
            case SnapshotRejected(text):
                self._rejected(parent, text)
            case NotStarted(child_id) | Exited(child_id) if child_id in self._commands:
                self._commands.handle_reply(reply)
            case Started(child_id) | NotStarted(child_id) | Exited(child_id):
                snapshot = self._snapshots.get(child_id)
                if snapshot is None:
                    self._containers.handle_reply(reply)
                elif isinstance(reply, Started):
                    snapshot.pid, snapshot.begun = reply.pid, reply.begun
                elif isinstance(reply, NotStarted):
                    self._snapshot_ended(snapshot, reply.text)
                else:
                    self._snapshot_ended(snapshot, ending(reply.status))
                    snapshot.base.channel.send(Sweep())

    def _opened(self, parent: Parent) -> None:
        if isinstance(parent, SnapshotHandle):
            for order in self._snapshots.finish_loading(parent, SnapshotState.OPEN):
                self._containers.fork(order, parent)
        elif isinstance(parent, TemplateHandle):
            parent.is_open = True

    def _rejected(self, parent: Parent, why: str) -> None:
        """Start without a snapshot what waited for one that was rejected, and log the reason once."""
        if not isinstance(parent, SnapshotHandle):
            return
        orders = self._snapshots.finish_loading(parent, SnapshotState.REJECTED)
        for order in orders[:1]:
            text = f"containers of {order.spec.name} start without a memory snapshot: {why}\n"
            self._listener.container_wrote(order.container_id, "system", text)
        for order in orders:
            self._containers.fork(order, parent.base)

    def _snapshot_ended(self, snapshot: SnapshotHandle, how: str) -> None:
        snapshot.channel.close()  # its last replies are handled now
        if snapshot.base.has_ended:
            self._adopt_from(snapshot)
        else:
            for container_id, pid, begun in self._containers.left_by(snapshot):
                snapshot.base.channel.send(Adopt(container_id, pid, begun))
                self._containers.hand_over(container_id, snapshot.base)
        orders = self._containers.withdraw(snapshot)
        if snapshot.state is SnapshotState.LOADING:
            self._rejected(snapshot, f"loading its code ended: {how}")
        self._snapshots.forget(snapshot)
        self._order_again(orders, how, was_open=True)
