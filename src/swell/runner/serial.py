"""The container that runs one sync input at a time: reading, running and answering, all on the main thread.

Cancellation comes from the thread that listens to the server, as a signal to the main thread. This module must not
know why an input is cancelled.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Final

from swell.errors import InputCancellation
from swell.runner.inbox import Inbox
from swell.runner.slot import Slot, Workbench

__all__ = ["CANCEL_SIGNAL", "MainSlot", "SerialExecutor"]

CANCEL_SIGNAL: Final = signal.SIGRTMIN + 6  #: one that users and libraries leave alone


class MainSlot(Slot):
    """The slot of the main thread, the only one that a signal can interrupt, even in a system call."""

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench)
        self._thread = threading.get_ident()
        signal.signal(CANCEL_SIGNAL, self._on_cancel)

    def _interrupt(self) -> None:
        signal.pthread_kill(self._thread, CANCEL_SIGNAL)

    def _on_cancel(self, _signal: int, _frame: FrameType | None) -> None:
        if self.running and self.cancelled:
            self.running = False  # once is enough: what user code does to clean up is not interrupted again
            raise InputCancellation("the call was cancelled")


class SerialExecutor:
    """Runs turns one after another."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._slot = MainSlot(bench)
        self._inbox = Inbox(bench, self._slot)

    def wake(self) -> None:
        """Make `run` notice that the container drains. Called from another thread."""
        self._bench.channel.stop_reading()

    def run(self) -> None:
        """Serve until the container has drained, or is interrupted."""
        inbox, slot = self._inbox, self._slot
        inbox.catch_interrupts()
        try:
            while (turns := inbox.receive()) is not None:
                for turn in turns:
                    slot.run(turn)
                    if inbox.is_interrupted:
                        return
        except KeyboardInterrupt:  # in user code, or raised by it: that input has no output, and will run elsewhere
            return
