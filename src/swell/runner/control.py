"""The thread that receives the server's commands while inputs run: cancel, reclaim, drain, interrupt, and of leases.

This module must not know how inputs are run.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

from swell.runner.channel import Channel, die, die_if_raises
from swell.runner.in_flight import InFlight
from swell.runner.leases import Leases
from swell.wire.codec import FrameError
from swell.wire.leases import CancelDirect, OpenLease, RecallLease
from swell.wire.messages import Cancel, Drain, Interrupt, ItemsTaken, Leaving, Reclaim, ToContainer

__all__ = ["ControlListener"]


class ControlListener:
    """Carries out the server's commands.

    Attributes:
        grace_s: Seconds that the server lets the container take to exit.
    """

    def __init__(self, channel: Channel, in_flight: InFlight, grace_s: float) -> None:
        self.grace_s = grace_s
        self._channel = channel
        self._in_flight = in_flight
        self._lock = threading.Lock()
        self._wake: Callable[[], None] | None = None
        self._leases: Leases | None = None

    def start(self) -> None:
        """Start the thread that receives commands."""
        threading.Thread(target=die_if_raises, args=(self._listen,), name="swell-control", daemon=True).start()

    def attach(self, wake: Callable[[], None], leases: Leases | None = None) -> None:
        """Set the function that makes the executor notice a drain, and call it if the container drains already.

        Args:
            wake: That function.
            leases: Those of this container, if it takes direct calls.
        """
        with self._lock:
            self._wake = wake
            self._leases = leases
            is_late = self._in_flight.is_draining
        if is_late:
            wake()

    def _listen(self) -> None:
        while True:
            try:
                frames = self._channel.control.receive()
            except (FrameError, OSError):
                die()
            if frames is None:
                die()
            for message, _ in frames:
                self._handle(message)

    def _handle(self, message: ToContainer) -> None:
        in_flight = self._in_flight
        match message:
            case Cancel(delivery, positions):
                with in_flight.lock:
                    in_flight.cancel(delivery, positions)
                self._channel.flush(in_flight.take)
            case Reclaim(delivery):
                with in_flight.lock:
                    returned = in_flight.reclaim(delivery)
                self._channel.flush(in_flight.take, *([] if returned is None else [returned]))
            case ItemsTaken(delivery, position, count):
                with in_flight.lock:
                    stream = in_flight.streams.get((delivery, position))
                if stream is not None:
                    stream.acknowledge(count)
            case OpenLease() if self._leases is not None:
                self._leases.open(message)
            case RecallLease(lease) if self._leases is not None:
                self._leases.recall(lease)
            case CancelDirect(call_id) if self._leases is not None:
                self._leases.cancel(call_id)
            case Drain(grace_s):
                self.grace_s = grace_s
                self.drain()
            case Interrupt(grace_s):
                self.grace_s = grace_s
                self.return_unstarted()
                # To the main thread: the signal also ends a system call that it waits in.
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            case _:
                die()  # Load and Deliver come on the data connection only

    def drain(self) -> None:
        """Return inputs that have not started, and let the executor end when the others are done."""
        self.return_unstarted()
        with self._lock:
            wake = self._wake
        if wake is not None:
            wake()

    def return_unstarted(self) -> None:
        """Return inputs that have not started, and every delivery that still comes; recall all leases."""
        with self._in_flight.lock:
            returned = self._in_flight.drain()
        self._channel.flush(self._in_flight.take, *returned)
        if self._leases is not None:
            self._leases.drain()

    def stop_fetching(self) -> None:
        """Tell the server that this container takes no more inputs; the server answers with a drain."""
        self._channel.send(Leaving())
