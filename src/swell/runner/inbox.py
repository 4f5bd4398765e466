"""Reads deliveries on the main thread, until the container exits: after a drain, or by SIGINT.

This module must not know how inputs are run.
"""

from __future__ import annotations

import select
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

from swell.runner.channel import die
from swell.runner.in_flight import WorkItem
from swell.runner.slot import Slot, SlotContext
from swell.wire.codec import FrameError
from swell.wire.messages import Deliver, Returned, ToContainer

__all__ = ["Inbox"]

T = TypeVar("T")


class Inbox:
    """Reads the data connection.

    Args:
        context: Has the channel and the inputs in flight.
        slot: The slot that runs user code on this thread and is interrupted by SIGINT; None if no slot runs here.

    Attributes:
        is_interrupted: True once SIGINT came.
    """

    def __init__(self, context: SlotContext, slot: Slot | None = None) -> None:
        self.is_interrupted = False
        self._channel = context.channel
        self._in_flight = context.in_flight
        self._slot = slot
        self._poll: select.poll | None = None
        self._is_waiting = False  # true while SIGINT may cut a read short

    def catch_interrupts(self) -> None:
        """Handle SIGINT from now on: raise KeyboardInterrupt in user code, or out of a read."""
        signal.signal(signal.SIGINT, self._on_interrupt)

    def _on_interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        self.is_interrupted = True
        if self._is_waiting or (self._slot is not None and self._slot.running):
            self._is_waiting = False
            if self._slot is not None:
                self._slot.running = False
            raise KeyboardInterrupt("the server interrupted this container")

    def receive(self) -> list[WorkItem] | None:
        """Wait for deliveries and return their work items; None when the container must exit."""
        frames = self.wait(lambda: self._read(0))
        return None if frames is None else self._enter(frames)

    def wait(self, action: Callable[[], T]) -> T | None:
        """Return what a blocking action returns; None if SIGINT came before it, or interrupts it."""
        if self.is_interrupted:
            return None
        try:
            self._is_waiting = True
            found = action()
            self._is_waiting = False
        except KeyboardInterrupt:
            return None
        return found

    def receive_unless(self, other: int) -> list[WorkItem] | None:
        """As `receive`, but return no work items once another descriptor is readable."""
        poll = self._poll
        if poll is None:
            poll = self._poll = select.poll()
            poll.register(self._channel.data.connection, select.POLLIN)
            poll.register(other, select.POLLIN)
        ready = self.wait(poll.poll)
        if ready is None:
            return None
        data = self._channel.data.connection.fileno()
        return self.poll(socket.MSG_DONTWAIT) if any(fd == data for fd, _ in ready) else []

    def poll(self, flags: int) -> list[WorkItem] | None:
        """As `receive`, without waiting; `flags` must make the read non-blocking."""
        try:
            frames = self._read(flags)
        except BlockingIOError:
            return []
        return None if frames is None else self._enter(frames)

    def _read(self, flags: int) -> list[tuple[ToContainer, bytes]] | None:
        try:
            frames = self._channel.data.receive(flags)
        except BlockingIOError:
            raise
        except (FrameError, OSError):
            die()
        if frames is None and not self._in_flight.is_draining:
            die()  # the server is gone
        return frames

    def _enter(self, frames: list[tuple[ToContainer, bytes]]) -> list[WorkItem]:
        work_items: list[WorkItem] = []
        for message, payload in frames:
            if not isinstance(message, Deliver):
                die()  # the data connection carries nothing else
            accepted = self._in_flight.accept(message, payload)
            if isinstance(accepted, Returned):
                self._channel.send(accepted)
            else:
                work_items += accepted
        return work_items
