"""Reads deliveries from the server on the main thread, until the container is to leave: after a drain, or by SIGINT.

This module must not know how inputs are run.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

from swell.runner.channel import die
from swell.runner.in_flight import Turn
from swell.runner.slot import Slot, Workbench
from swell.wire.codec import FrameError
from swell.wire.messages import Deliver, Returned, ToContainer

__all__ = ["Inbox"]

T = TypeVar("T")


class Inbox:
    """What arrives on the data channel.

    Args:
        bench: Whose channel and ledger are used.
        slot: Runs user code on this thread, and is interrupted by SIGINT; None if no slot does.

    Attributes:
        is_interrupted: True once SIGINT came.
    """

    def __init__(self, bench: Workbench, slot: Slot | None = None) -> None:
        self.is_interrupted = False
        self._channel = bench.channel
        self._ledger = bench.ledger
        self._slot = slot
        self._is_waiting = False  # true while SIGINT may cut a read short

    def catch_interrupts(self) -> None:
        """Let SIGINT end the container from now on: KeyboardInterrupt appears in user code, or ends a read."""
        signal.signal(signal.SIGINT, self._on_interrupt)

    def _on_interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        self.is_interrupted = True
        if self._is_waiting or (self._slot is not None and self._slot.running):
            self._is_waiting = False
            if self._slot is not None:
                self._slot.running = False
            raise KeyboardInterrupt("the container was told to leave")

    def receive(self) -> list[Turn] | None:
        """Wait for the server and return what is to run; None when the container is to leave."""
        frames = self.wait(lambda: self._read(0))
        return None if frames is None else self._enter(frames)

    def wait(self, action: Callable[[], T]) -> T | None:
        """Return what a blocking action returns; None if SIGINT came before, or cuts it short."""
        if self.is_interrupted:
            return None
        try:
            self._is_waiting = True
            found = action()
            self._is_waiting = False
        except KeyboardInterrupt:
            return None
        return found

    def poll(self, flags: int) -> list[Turn] | None:
        """As `receive`, but return what is there; `flags` must make the socket not wait."""
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
        if frames is None and not self._ledger.is_draining:
            die()  # the server is gone
        return frames

    def _enter(self, frames: list[tuple[ToContainer, bytes]]) -> list[Turn]:
        turns: list[Turn] = []
        for message, payload in frames:
            if not isinstance(message, Deliver):
                die()  # nothing else may come on this channel
            accepted = self._ledger.accept(message, payload)
            if isinstance(accepted, Returned):
                self._channel.send(accepted)
            else:
                turns += accepted
        return turns
