"""Runs one sync input at a time: reading, running and answering all happen on the main thread.

The control thread cancels by a signal to the main thread. This module must not
know why an input is cancelled.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import suppress
from functools import partial
from time import perf_counter
from types import FrameType
from typing import Final

from swell.errors import InputCancellation
from swell.runner.direct_call import READ_BYTES, DirectCall, Lease
from swell.runner.in_flight import WorkItem
from swell.runner.inbox import Inbox
from swell.runner.leases import Leases
from swell.runner.result_codec import TERMINATED, Outcome
from swell.runner.slot import Slot, SlotContext
from swell.wire import codec
from swell.wire.codec import FrameError
from swell.wire.leases import NOT_BEGUN, CallAnswer

__all__ = ["CANCEL_SIGNAL", "MainSlot", "SerialExecutor"]

CANCEL_SIGNAL: Final = signal.SIGRTMIN + 6  #: a signal that users and libraries do not use
NOTHING_YET: Final = -1


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
    """Runs work items one after another, and between them the calls of clients that have a lease."""

    def __init__(self, context: SlotContext, leases: Leases | None = None) -> None:
        self._context = context
        self._slot = MainSlot(context)
        self._inbox = Inbox(context, self._slot)
        self._leases = leases
        self._view = memoryview(bytearray(READ_BYTES if leases else 0))

    def wake(self) -> None:
        """Make `run` notice that the container drains. Called from another thread."""
        self._context.channel.stop_reading()

    def run(self) -> None:
        """Run inputs until the container has drained or is interrupted."""
        inbox, slot, leases = self._inbox, self._slot, self._leases
        inbox.catch_interrupts()
        try:
            while (work_items := inbox.receive() if leases is None else self._receive(leases)) is not None:
                for work in work_items:
                    slot.run(work)
                    if inbox.is_interrupted:
                        return
        except KeyboardInterrupt:  # SIGINT, or raised by user code: the input has no output, and runs again elsewhere
            return
        finally:
            if leases is not None:
                leases.stop()

    # ------------------------------------------------------------ leases

    def _receive(self, leases: Leases) -> list[WorkItem] | None:
        """Run the calls of clients that have a lease until there are work items; None when the container must exit."""
        inbox = self._inbox
        while not inbox.is_interrupted:
            while leases.connected:
                self._serve(leases, leases.connected.popleft())
                if inbox.is_interrupted:
                    return None
            work_items = inbox.receive_unless(leases.bell)
            if work_items is None or work_items:
                return work_items
            with suppress(BlockingIOError):
                os.eventfd_read(leases.bell)
        return None

    def _serve(self, leases: Leases, lease: Lease) -> None:
        """Run the calls of one client until its connection ends.

        A wait for a call ends every few milliseconds, for a look at the data connection. To wait for both would take
        longer than all else.
        """
        inbox, connection, queue, view = self._inbox, lease.connection, lease.queue, self._view
        assert connection is not None
        receive = partial(_receive, connection, view)
        size: int | None = 0
        try:
            while True:
                lease.take_in(view[:size])
                while queue:
                    self._answer(leases, lease, connection, queue.popleft())
                    if inbox.is_interrupted:
                        return
                while (size := inbox.wait(receive)) == NOTHING_YET:
                    self._run_waiting()
                if size is None:  # interrupted
                    return
                if not size:
                    break
        except FrameError:
            pass  # it is told by the end of its connection, as a stranger
        leases.finish(lease)

    def _answer(self, leases: Leases, lease: Lease, connection: socket.socket, call: DirectCall) -> None:
        slot = self._slot
        outcome: Outcome = NOT_BEGUN, b"", False
        if leases.begin(lease, call, slot):
            outcome = slot.run_direct(call, call.method)
            leases.stop_cancelling(call)
            if slot.cancelled:
                outcome = TERMINATED
            call.took_s = perf_counter() - call.began
        status, data, is_blob = outcome
        call.status = status
        try:
            connection.sendall(codec.encode(CallAnswer(call.call_id, status, is_blob), data), socket.MSG_NOSIGNAL)
        except OSError:  # the client is gone: what it has sent behind this is not begun
            leases.close(lease)
            if is_blob:
                slot.discard(data)
        leases.report(lease, call)

    def _run_waiting(self) -> None:
        """Run what has come on the data connection."""
        for work in self._inbox.poll(socket.MSG_DONTWAIT) or ():  # its end is that of the lease, too
            self._slot.run(work)
            if self._inbox.is_interrupted:
                return


def _receive(connection: socket.socket, view: memoryview) -> int:
    """Read from a client; return the bytes, 0 at the end, NOTHING_YET if none came for some time."""
    try:
        return connection.recv_into(view)
    except BlockingIOError:
        return NOTHING_YET
    except OSError:
        return 0
