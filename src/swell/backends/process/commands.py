"""The processes of commands that run beside containers, each forked from the template of its container's interpreter.

A template supervises them as it does containers: when one ends, whatever it has left behind is killed, and when the
server ends, so do they. One whose template dies is killed. This module must not know who wants a command.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from collections.abc import Callable
from typing import Protocol

import msgspec
from msgspec.structs import replace

from swell.backends.process.command import Command
from swell.backends.process.command_streams import CommandStreams, open_streams
from swell.backends.process.containers import Parent
from swell.backends.process.host import explain_no_file
from swell.errors import NotFoundError
from swell.linux import memory_file
from swell.model import Environment
from swell.ports import LaunchOrder, Pipe
from swell.wire.exec import WINDOW, Run
from swell.wire.template import Exec, ExecSpec, Exited, NotStarted, Signal

__all__ = ["Commands", "Surroundings"]


class Surroundings(Protocol):
    """What a command gets of its container."""

    def order_of(self, container_id: str) -> LaunchOrder | None:
        """Return the order of a container that is not gone; None if it was not passed on to a template yet."""
        ...

    def variables_of(self, order: LaunchOrder) -> dict[str, str]:
        """Return the variables of a container that its user cannot choose."""
        ...


class _Process:
    """The process of one command. Implements `swell.backends.process.command.Supervisor`."""

    def __init__(self, name: str, command: Command, parent: Parent, lifeline: socket.socket) -> None:
        self.name = name
        self.command = command
        self.parent = parent
        self._lifeline = lifeline  # when it closes, the kernel kills the command

    def signal(self, number: int) -> None:
        """Send its process group a signal; only the template knows that a pid still means its child."""
        self.parent.channel.send(Signal(self.name, number))

    def kill(self) -> None:
        """Have the kernel kill it."""
        self._lifeline.close()


class Commands:
    """Has templates fork commands, and tells each how it ended."""

    def __init__(self, surroundings: Surroundings, template_for: Callable[[Environment], Parent]) -> None:
        """Begin with none.

        Args:
            surroundings: knows the containers.
            template_for: returns what to fork a command from; raises OSError or ValueError.
        """
        self._surroundings = surroundings
        self._template_for = template_for
        self._numbers = itertools.count(1)
        self._processes: dict[str, _Process] = {}

    def open(self, container_id: str, user: Pipe) -> Pipe:
        """Return the pipe to a command, which begins with its first word.

        Raises:
            NotFoundError: there is no such container, or not yet.
        """
        order = self._surroundings.order_of(container_id)
        if order is None:
            raise NotFoundError(f"container {container_id!r} does not run here, or has not started yet")
        return Command(user, lambda command, run: self._start(command, run, order))

    def _start(self, command: Command, run: Run, order: LaunchOrder) -> tuple[CommandStreams, _Process]:
        spec = ExecSpec(
            command=run.command,
            has_terminal=run.terminal is not None,
            spec=replace(order.spec, source=replace(order.spec.source, pickled=b"")),  # it runs none of its code
            environment=order.environment,
            variables={**self._surroundings.variables_of(order), **run.variables},
        )
        template = self._template_for(order.environment)
        with contextlib.ExitStack() as undo:
            try:
                ours, lifeline = socket.socketpair()
                undo.callback(ours.close)
                undo.callback(lifeline.close)
                file = memory_file(msgspec.msgpack.encode(spec))
                undo.callback(os.close, file)
                streams, theirs = open_streams(run.terminal, WINDOW)
            except OSError as error:
                raise OSError(f"cannot talk to a command: {explain_no_file(error)}") from error
            undo.pop_all()
        process = _Process(f"command-{next(self._numbers)}", command, template, ours)
        self._processes[process.name] = process
        template.channel.send(Exec(process.name), [*theirs, lifeline.detach(), file])
        return streams, process

    # ------------------------------------------------------------ what templates report

    def __contains__(self, child_id: str) -> bool:
        return child_id in self._processes

    def handle_reply(self, reply: NotStarted | Exited) -> None:
        """Tell a command how its process ended."""
        process = self._processes.pop(reply.child_id)
        process.kill()
        if isinstance(reply, NotStarted):
            process.command.lost(reply.text)
        elif reply.status is None:
            process.command.lost("how it ended is not known")
        else:
            process.command.exited(reply.status)

    def template_ended(self, parent: Parent, how: str) -> None:
        """End the commands of a template that has died."""
        for name, process in list(self._processes.items()):
            if process.parent is parent:
                del self._processes[name]
                process.command.lost(f"its template ended: {how}")

    def parents(self) -> set[Parent]:
        """Return the templates that have commands."""
        return {process.parent for process in self._processes.values()}

    def fence(self) -> None:
        """Have the kernel kill all commands, without waiting for anything."""
        for process in self._processes.values():
            process.kill()
