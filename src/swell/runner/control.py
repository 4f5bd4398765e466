"""The thread that listens to the server's orders while inputs run: cancel, give back, drain, leave.

This module must not know how inputs are run.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

from swell.runner.channel import Channel, die, die_if_raises
from swell.runner.in_flight import Ledger
from swell.wire.codec import FrameError
from swell.wire.messages import Cancel, Drain, Interrupt, ItemsTaken, Leaving, Reclaim, ToContainer

__all__ = ["Orders"]


class Orders:
    """Carries out the server's orders.

    Attributes:
        grace_s: Seconds the server gives the container to leave.
    """

    def __init__(self, channel: Channel, ledger: Ledger, grace_s: float) -> None:
        self.grace_s = grace_s
        self._channel = channel
        self._ledger = ledger
        self._lock = threading.Lock()
        self._wake: Callable[[], None] | None = None

    def start(self) -> None:
        """Begin to listen, on a thread of its own."""
        threading.Thread(target=die_if_raises, args=(self._listen,), name="swell-orders", daemon=True).start()

    def attach(self, wake: Callable[[], None]) -> None:
        """`wake` makes the executor notice that the container drains."""
        with self._lock:
            self._wake = wake
            is_late = self._ledger.is_draining
        if is_late:
            wake()

    def _listen(self) -> None:
        while True:
            try:
                frames = self._channel.orders.receive()
            except (FrameError, OSError):
                die()
            if frames is None:
                die()
            for message, _ in frames:
                self._carry_out(message)

    def _carry_out(self, message: ToContainer) -> None:
        ledger = self._ledger
        match message:
            case Cancel(delivery, positions):
                with ledger.lock:
                    ledger.cancel(delivery, positions)
                self._channel.flush(ledger.take)
            case Reclaim(delivery):
                with ledger.lock:
                    returned = ledger.reclaim(delivery)
                self._channel.flush(ledger.take, *([] if returned is None else [returned]))
            case ItemsTaken(delivery, position, count):
                with ledger.lock:
                    stream = ledger.streams.get((delivery, position))
                if stream is not None:
                    stream.acknowledge(count)
            case Drain(grace_s):
                self.grace_s = grace_s
                self.drain()
            case Interrupt(grace_s):
                self.grace_s = grace_s
                self.return_unbegun()
                # To the main thread, whatever system call it is in.
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            case _:
                die()  # Load and Deliver have no place here

    def drain(self) -> None:
        """Give back what is not begun, and let the executor end when the rest is done."""
        self.return_unbegun()
        with self._lock:
            wake = self._wake
        if wake is not None:
            wake()

    def return_unbegun(self) -> None:
        """Give back what is not begun, now and from now on."""
        with self._ledger.lock:
            returned = self._ledger.drain()
        self._channel.flush(self._ledger.take, *returned)

    def stop_fetching(self) -> None:
        """Tell the server that this container takes no more inputs; it answers with a drain."""
        self._channel.send(Leaving())
