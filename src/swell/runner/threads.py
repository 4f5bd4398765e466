"""The container that runs several sync inputs at once, each on a thread of its own; the main thread reads.

This module must not know what the server orders, or what inputs do.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import threading
from collections.abc import Callable

from swell.errors import InputCancellation
from swell.runner.channel import die_if_raises
from swell.runner.in_flight import Turn
from swell.runner.inbox import Inbox
from swell.runner.slot import Slot, Workbench

__all__ = ["Crew", "ThreadExecutor", "ThreadSlot"]


class ThreadSlot(Slot):
    """A slot of a thread that is not the main one: an exception can be put into it, but not into a system call."""

    def _interrupt(self) -> None:
        if self.running:
            self._put(ctypes.py_object(InputCancellation))

    def _settle(self) -> None:
        self._bench.leave_if_forked()  # a child has the lock as it was
        with self._ledger.lock:  # as `cancel` holds it, no exception can be on its way once this is over
            super()._settle()
            if self.cancelled:
                self._put(None)

    def start(self) -> None:
        """Belong to the present thread."""
        self._thread = threading.get_ident()

    def _put(self, exception: ctypes.py_object[type[InputCancellation]] | None) -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), exception)


class Crew:
    """Threads that run turns, at most `size` at a time; started when needed, reused, and left behind at the end."""

    def __init__(self, bench: Workbench, size: int, on_done: Callable[[], None] | None = None) -> None:
        self._bench = bench
        self._size = size
        self._on_done = on_done  # called on the thread that is done with a turn
        self._waiting: queue.SimpleQueue[Turn] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._done = threading.Condition(self._lock)
        self._threads = 0
        self._unfinished = 0

    def submit(self, turn: Turn) -> None:
        """Run a turn as soon as a thread is free."""
        with self._lock:
            self._unfinished += 1
            wants_thread = self._unfinished > self._threads and self._threads < self._size
            self._threads += wants_thread
        self._waiting.put(turn)
        if wants_thread:
            name = f"swell-slot-{self._threads}"
            threading.Thread(target=die_if_raises, args=(self._work,), name=name, daemon=True).start()

    def _work(self) -> None:
        slot = ThreadSlot(self._bench)
        slot.start()
        while True:
            turn = self._waiting.get()
            try:
                slot.run(turn)
            except KeyboardInterrupt:  # user code raised it: the container leaves, as if it had been interrupted
                os.kill(os.getpid(), signal.SIGINT)
                return
            with self._lock:
                self._unfinished -= 1
                if self._unfinished == 0:
                    self._done.notify_all()
            if self._on_done is not None:
                self._on_done()

    def join(self) -> None:
        """Wait until every turn is done."""
        with self._lock:
            self._done.wait_for(lambda: self._unfinished == 0)


class ThreadExecutor:
    """Hands turns to threads."""

    def __init__(self, bench: Workbench, max_inputs: int) -> None:
        self._bench = bench
        self._crew = Crew(bench, max_inputs)
        self._inbox = Inbox(bench)

    def wake(self) -> None:
        """Make `run` notice that the container drains. Called from another thread."""
        self._bench.channel.stop_reading()

    def run(self) -> None:
        """Serve until the container has drained, or is interrupted: then what runs has no output."""
        self._inbox.catch_interrupts()
        while (turns := self._inbox.receive()) is not None:
            for turn in turns:
                self._crew.submit(turn)
        if not self._inbox.is_interrupted:
            self._inbox.wait(self._crew.join)
