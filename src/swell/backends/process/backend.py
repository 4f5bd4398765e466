"""ProcessBackend: containers as processes of this machine, forked from templates.

Keeps the table of containers and of the templates they came from. This module must not know why containers are wanted,
nor what is said to them once they run.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from swell.backends.process.capture import Capture
from swell.backends.process.host import BusyMeter, count_oom_kills, describe_host, raise_file_limit
from swell.backends.process.orphans import MARK, kill_orphans
from swell.backends.process.template import Surroundings, Template, ending
from swell.ports import BackendListener, GpuProvider, LaunchOrder, NodeLoad
from swell.wire.template import Exited, Interrupt, Kill, Launch, NotStarted, Opened, Reply, Started

__all__ = ["ProcessBackend"]

RUNNER = "swell.runner.main:run_container"
TEMPLATES_MAX = 8  #: templates kept for environments; the one unused longest goes first
STOP_PATIENCE_S = 5.0


class _Container:
    """One container that was ordered and is not yet reported gone."""

    def __init__(self, template: Template, captures: Sequence[Capture]) -> None:
        self.template = template
        self.captures = captures
        self.pid: int | None = None


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
        self._log_line_max = log_line_max
        self._node = describe_host(gpus.gpus())
        self._directory = directory
        self._program = program
        self._listener: BackendListener | None = None
        self._address = ""
        self._containers: dict[str, _Container] = {}
        self._templates: dict[Surroundings, Template] = {}  # the one unused longest first
        self._ending: set[Template] = set()
        self._own = Surroundings.own(os.environ)
        self._meter = BusyMeter()
        self._oom_kills = 0

    # ------------------------------------------------------------ the port

    async def start(self, listener: BackendListener, server_address: str) -> None:
        """Start the template that most containers will come from, without waiting for it."""
        self._listener = listener
        self._address = server_address
        self._oom_kills = count_oom_kills()
        raise_file_limit()
        self._template_for(self._own)

    def launch(self, order: LaunchOrder) -> None:
        """Fork a container, from a template that is started first if need be."""
        try:
            template = self._template_for(Surroundings.of(order.environment))
            files, captures = self._make_pipes(order.container_id)
        except OSError as error:
            reason = f"cannot start a container with {order.environment.python}: {error}"
            asyncio.get_running_loop().call_soon(self._heard().container_exited, order.container_id, reason, False)
            return
        self._containers[order.container_id] = _Container(template, captures)
        template.channel.send(
            Launch(
                order.container_id,
                self._address,
                order.token,
                self._imposed_variables(order),
                order.spec.resources.memory_limit_bytes,
            ),
            files,
        )

    def interrupt(self, container_id: str) -> None:
        """Send SIGINT to the container's first process."""
        container = self._containers.get(container_id)
        if container is not None:
            container.template.channel.send(Interrupt(container_id))

    def kill(self, container_id: str) -> None:
        """Have the template kill the group: only a parent knows that a process id still means its child."""
        container = self._containers.get(container_id)
        if container is not None:
            container.template.channel.send(Kill(container_id))

    def observe(self) -> Sequence[NodeLoad]:
        """Return this machine and the cores its containers kept busy since the last call."""
        pids = [container.pid for container in self._containers.values() if container.pid is not None]
        return [NodeLoad(self._node, self._meter.busy_cores(pids))]

    async def stop(self) -> None:
        """Have every template kill what it forked, and wait until nothing is left."""
        templates = [*self._templates.values(), *self._ending]
        self._ending.update(templates)
        self._templates.clear()
        await asyncio.gather(*(template.stop(STOP_PATIENCE_S) for template in templates))

    # ------------------------------------------------------------ templates

    def _template_for(self, surroundings: Surroundings) -> Template:
        template = self._templates.pop(surroundings, None)
        if template is None:
            self._make_room()
            template = Template(
                surroundings, str(self._directory), self._program, self._template_said, self._template_ended
            )
        self._templates[surroundings] = template
        return template

    def _make_room(self) -> None:
        used = {container.template for container in self._containers.values()}
        for surroundings, template in list(self._templates.items()):
            if len(self._templates) < TEMPLATES_MAX:
                return
            if template not in used and surroundings != self._own:
                del self._templates[surroundings]
                self._ending.add(template)
                template.channel.finish_sending()

    def _template_said(self, template: Template, reply: Reply) -> None:
        match reply:
            case Opened():
                template.is_open = True
            case Started(container_id, pid):
                self._containers[container_id].pid = pid
                self._heard().container_started(container_id, pid)
            case NotStarted(container_id, text):
                self._bury(container_id, text)
            case Exited(container_id, status):
                self._bury(container_id, self._explain(status))

    def _template_ended(self, template: Template, how: str) -> None:
        """Report its containers gone: the kernel has killed them. What is left of their groups is killed here."""
        is_wanted = self._templates.get(template.surroundings) is template
        if is_wanted:
            del self._templates[template.surroundings]
        self._ending.discard(template)
        lost = {name: container.pid for name, container in self._containers.items() if container.template is template}
        for pid in lost.values():
            if pid is not None:
                _kill_group(pid)
        if lost:
            kill_orphans(lost.keys())
        for name in lost:
            self._bury(name, f"its template ended: {how}")
        if is_wanted and template.is_open and template.surroundings == self._own:
            self._template_for(self._own)  # somebody must be there to clean up when this server is killed

    # ------------------------------------------------------------ containers

    def _make_pipes(self, container_id: str) -> tuple[list[int], list[Capture]]:
        """Return the ends for the container to write stdout and stderr to, and what reads the other ends."""
        write_ends: list[int] = []
        captures: list[Capture] = []
        try:
            for stream in ("stdout", "stderr"):
                read_end, write_end = os.pipe()
                write_ends.append(write_end)
                sink = partial(self._heard().container_wrote, container_id, stream)
                captures.append(Capture(read_end, self._log_line_max, sink))
        except OSError:  # too many open files
            for fd in write_ends:
                os.close(fd)
            for capture in captures:
                capture.finish()
            raise
        return write_ends, captures

    def _imposed_variables(self, order: LaunchOrder) -> dict[str, str]:
        variables = {MARK: order.container_id}
        if self._node.gpus:
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(order.gpus)  # empty: this container may use none
        return variables

    def _bury(self, container_id: str, reason: str) -> None:
        container = self._containers.pop(container_id)
        for capture in container.captures:
            capture.finish()  # all it wrote is heard before its end is
        self._heard().container_exited(container_id, reason, container.pid is not None)

    def _explain(self, status: int) -> str:
        reason = ending(status)
        if status != -signal.SIGKILL:
            return reason
        kills, self._oom_kills = self._oom_kills, count_oom_kills()
        return f"{reason}: the kernel ran out of memory" if self._oom_kills > kills else reason

    def _heard(self) -> BackendListener:
        if self._listener is None:
            raise RuntimeError("launch() before start(): nobody would hear what becomes of the container")
        return self._listener


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # all of it is gone
