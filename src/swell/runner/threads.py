"""Runs several sync inputs at the same time, each on a thread of its own; the main thread reads.

This module must not know the server's commands, or what inputs do.
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
from swell.runner.in_flight import WorkItem
from swell.runner.inbox import Inbox
from swell.runner.slot import Slot, SlotContext

__all__ = ["ThreadExecutor", "ThreadPool", "ThreadSlot"]


class ThreadSlot(Slot):
    """The slot of a thread other than the main one: an exception can be raised in it, but not in a system call."""

    def _interrupt(self) -> None:
        if self.running:
            self._put(ctypes.py_object(InputCancellation))

    def _settle(self) -> None:
        self._context.leave_if_forked()  # a forked child has the lock as it was
        with self._in_flight.lock:  # `cancel` holds it, too: once this is over, no exception is pending
            super()._settle()
            if self.cancelled:
                self._put(None)

    def start(self) -> None:
        """Bind this slot to the present thread."""
        self._thread = threading.get_ident()

    def _put(self, exception: ctypes.py_object[type[InputCancellation]] | None) -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), exception)


class ThreadPool:
    """Threads that run work items, at most `size`: started on demand, reused, and not joined at exit."""

    def __init__(self, context: SlotContext, size: int, on_done: Callable[[], None] | None = None) -> None:
        self._context = context
        self._size = size
        self._on_done = on_done  # called on the thread that has finished a work item
        self._waiting: queue.SimpleQueue[WorkItem] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._done = threading.Condition(self._lock)
        self._threads = 0
        self._unfinished = 0

    def submit(self, work: WorkItem) -> None:
        """Run a work item as soon as a thread is free."""
        with self._lock:
            self._unfinished += 1
            wants_thread = self._unfinished > self._threads and self._threads < self._size
            self._threads += wants_thread
        self._waiting.put(work)
        if wants_thread:
            name = f"swell-slot-{self._threads}"
            threading.Thread(target=die_if_raises, args=(self._work,), name=name, daemon=True).start()

    def _work(self) -> None:
        slot = ThreadSlot(self._context)
        slot.start()
        while True:
            work = self._waiting.get()
            try:
                slot.run(work)
            except KeyboardInterrupt:  # user code raised it: the container exits, as by an interrupt
                os.kill(os.getpid(), signal.SIGINT)
                return
            with self._lock:
                self._unfinished -= 1
                if self._unfinished == 0:
                    self._done.notify_all()
            if self._on_done is not None:
                self._on_done()

    def join(self) -> None:
        """Wait until every work item is done."""
        with self._lock:
            self._done.wait_for(lambda: self._unfinished == 0)


class ThreadExecutor:
    """Hands work items to threads."""

    def __init__(self, context: SlotContext, max_inputs: int) -> None:
        self._context = context
        self._pool = ThreadPool(context, max_inputs)
        self._inbox = Inbox(context)

    def wake(self) -> None:
        """Make `run` notice that the container drains. Called from another thread."""
        self._context.channel.stop_reading()

    def run(self) -> None:
        """Run inputs until the container has drained or is interrupted; running inputs then have no output."""
        self._inbox.catch_interrupts()
        while (work_items := self._inbox.receive()) is not None:
            for work in work_items:
                self._pool.submit(work)
        if not self._inbox.is_interrupted:
            self._inbox.wait(self._pool.join)
