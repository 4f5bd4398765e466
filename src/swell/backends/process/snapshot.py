"""Snapshot: the server's handle on a template of one function, in which the user's code is imported already.

It is forked from an ordinary template and speaks to the server on a channel of its own. At the other end are
`swell.runner.snapshot` and `swell.runner.template`. This module must not know who decides what to launch.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from enum import Enum

import msgspec

from swell.backends.process.capture import Capture
from swell.backends.process.channel import Channel
from swell.backends.process.template import Template
from swell.ports import LaunchOrder
from swell.wire.template import Grow, Kill, Reply, Seed

__all__ = ["Snapshot", "SnapshotState"]


class SnapshotState(Enum):
    """Where a snapshot is. What is not OPEN launches nothing."""

    LOADING = "loading"  #: the user's code runs; orders wait
    OPEN = "open"
    UNFIT = "unfit"  #: containers of this function start plainly


class Snapshot:
    """One function's template, and the orders that wait for it."""

    def __init__(
        self,
        snapshot_id: str,
        order: LaunchOrder,
        base: Template,
        variables: Mapping[str, str],
        log_line_max: int,
        on_reply: Callable[[Snapshot, Reply], None],
        on_output: Callable[[str, str, str], None],
    ) -> None:
        """Have `base` fork it; must be called on a running event loop.

        Args:
            snapshot_id: its name as a child of `base`.
            order: the first order that wants it.
            base: the template of the same interpreter.
            variables: environment that the user's code cannot choose.
            log_line_max: characters after which a line of output is split.
            on_reply: hears what the snapshot says.
            on_output: hears (container id, stream, text) of what the user's code writes while it is imported, under
                the name of the first container that waits for it.

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
        seed = Seed(order.spec, order.environment, dict(variables))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        files = [theirs.detach()]
        self._captures: list[Capture] = []
        try:
            for stream in ("stdout", "stderr"):
                read_end, write_end = os.pipe()
                files.append(write_end)
                self._captures.append(Capture(read_end, log_line_max, self._sink(stream)))
            files.append(_file_of(msgspec.msgpack.encode(seed)))
        except OSError:
            for fd in files:
                os.close(fd)
            ours.close()
            self.finish_output()
            raise
        base.channel.send(Grow(snapshot_id), files)
        self.channel = Channel(ours, lambda reply: on_reply(self, reply))

    def fits(self, order: LaunchOrder) -> bool:
        """Return whether it holds the code that this order asks for."""
        return order.spec == self._spec and order.environment == self._environment

    def finish_output(self) -> None:
        """Hand on what the user's code wrote while it was imported, and listen no longer."""
        for capture in self._captures:
            capture.finish()

    def kill(self) -> None:
        """Have the base kill it: it may be busy for ever with the user's code."""
        self.base.channel.send(Kill(self.id))

    def _sink(self, stream: str) -> Callable[[str], None]:
        def hear(text: str) -> None:
            for container_id in self.waiting:
                self._on_output(container_id, stream, text)
                return

        return hear


def _file_of(data: bytes) -> int:
    fd = os.memfd_create("swell-seed", os.MFD_CLOEXEC)
    with open(fd, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
