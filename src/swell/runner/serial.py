"""Runs one sync input at a time: reading, running and answering all happen on the main thread.

The control thread cancels by a signal to the main thread. This module must not
know why an input is cancelled.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Final

from swell.errors import InputCancellation
from swell.runner.inbox import Inbox
from swell.runner.slot import Slot, SlotContext

__all__ = ["CANCEL_SIGNAL", "MainSlot", "SerialExecutor"]

CANCEL_SIGNAL: Final = signal.SIGRTMIN + 6  #: a signal that users and libraries do not use


class MainSlot(Slot):
    """The slot of the main thread, the only thread that a signal interrupts, even in a system call."""

    def __init__(self, context: SlotContext) -> None:
        super().__init__(context)
        self._thread = threading.get_ident()
        signal.signal(CANCEL_SIGNAL, self._on_cancel)

    def _interrupt(self) -> None:
        signal.pthread_kill(self._thread, CANCEL_SIGNAL)

    def _on_cancel(self, _signal: int, _frame: FrameType | None) -> None:
        if self.running and self.cancelled:
            self.running = False  # only once: the clean-up of user code is not interrupted
            raise InputCancellation("the call was cancelled")


class SerialExecutor:
    """Runs work items one after another."""

    def __init__(self, context: SlotContext) -> None:
        self._context = context
        self._slot = MainSlot(context)
        self._inbox = Inbox(context, self._slot)

    def wake(self) -> None:
        """Make `run` notice that the container drains. Called from another thread."""
        self._context.channel.stop_reading()

    def run(self) -> None:
        """Run inputs until the container has drained or is interrupted."""
        inbox, slot = self._inbox, self._slot
        inbox.catch_interrupts()
        try:
            while (work_items := inbox.receive()) is not None:
                for work in work_items:
                    slot.run(work)
                    if inbox.is_interrupted:
                        return
        except KeyboardInterrupt:  # SIGINT, or raised by user code: the input has no output, and runs again elsewhere
            return
