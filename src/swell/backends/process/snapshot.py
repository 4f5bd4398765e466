"""The server's handle on a snapshot: a template of one function, in which the user's code is imported already.

It is forked from an ordinary template and has a channel of its own to the server. At the other end are
`swell.runner.snapshot` and `swell.runner.template`. This module must not know which containers to launch, or why.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from enum import Enum

import msgspec

from swell.backends.process.capture import Capture
from swell.backends.process.channel import TemplateChannel
from swell.backends.process.template import TemplateHandle
from swell.linux import memory_file
from swell.ports import LaunchOrder
from swell.wire.template import ForkTemplate, Kill, Reply, TemplateSpec

__all__ = ["SnapshotHandle", "SnapshotState"]


class SnapshotState(Enum):
    """The lifecycle of a snapshot. Only one that is OPEN launches containers."""

    LOADING = "loading"  #: the user's code runs; orders wait
    OPEN = "open"
    REJECTED = "rejected"  #: containers of this function start without a snapshot


class SnapshotHandle:
    """One function's template, and the orders that wait for it."""

    def __init__(
        self,
        *,
        snapshot_id: str,
        order: LaunchOrder,
        base: TemplateHandle,
        variables: Mapping[str, str],
        log_line_max: int,
        on_reply: Callable[[SnapshotHandle, Reply], None],
        on_output: Callable[[str, str, str], None],
    ) -> None:
        """Have `base` fork it. Needs a running event loop.

        Args:
            snapshot_id: its name as a child of `base`.
            order: the first order that wants it.
            base: the template of the same interpreter.
            variables: environment that the user's code cannot choose.
            log_line_max: characters after which a line of output is split.
            on_reply: gets the snapshot's replies.
            on_output: gets (container id, stream, text) of what the user's code writes while it is imported, under the
                id of the first container that waits for it.

        Raises:
            OSError: too many open files.
        """
        self.id = snapshot_id
        self.base = base
        self.function_id = order.function_id
        self.state = SnapshotState.LOADING
        self.waiting: dict[str, LaunchOrder] = {}
        self.pid = 0  #: 0 until it is known
        self.begun = 0  #: when that process began, in ticks from the machine's start
        self._spec, self._environment = order.spec, order.environment
        self._on_output = on_output
        spec = TemplateSpec(order.spec, order.environment, dict(variables))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        files = [theirs.detach()]
        self._captures: list[Capture] = []
        try:
            for stream in ("stdout", "stderr"):
                read_end, write_end = os.pipe()
                files.append(write_end)
                self._captures.append(Capture(read_end, log_line_max, self._sink(stream)))
            files.append(memory_file(msgspec.msgpack.encode(spec)))
        except OSError:
            for fd in files:
                os.close(fd)
            ours.close()
            self.finish_output()
            raise
        base.channel.send(ForkTemplate(snapshot_id), files)
        self.channel = TemplateChannel(ours, lambda reply: on_reply(self, reply))

    def matches(self, order: LaunchOrder) -> bool:
        """Tell whether it holds the code that an order asks for."""
        return order.spec == self._spec and order.environment == self._environment

    def finish_output(self) -> None:
        """Pass on what the user's code wrote while it was imported, and close the pipes."""
        for capture in self._captures:
            capture.finish()

    def kill(self) -> None:
        """Have the base template kill it: the user's code may keep it busy for ever."""
        self.base.channel.send(Kill(self.id))

    def _sink(self, stream: str) -> Callable[[str], None]:
        def pass_on(text: str) -> None:
            for container_id in self.waiting:
                self._on_output(container_id, stream, text)
                return

        return pass_on
