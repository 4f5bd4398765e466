"""The surroundings of the gateway's protocols: a loop, a transport and an owner that do nothing by themselves."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any

from swell.config import Settings
from swell.edge.gateway.client import RequestSink
from swell.edge.gateway.downstream import Downstream
from swell.logs import PeerLog


class Timer:
    """A timer of a loop."""

    def __init__(self, at: float, callback: Callable[[], object]) -> None:
        self.at = at
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        """It does not fire any more."""
        self.is_cancelled = True


class Loop:
    """Calls what it is given when it is told to; time is an argument."""

    def __init__(self) -> None:
        self.now = 0.0
        self.soon: deque[Callable[[], object]] = deque()
        self.timers: list[Timer] = []

    def call_later(self, delay: float, callback: Callable[[], object]) -> Any:
        """Call it when that time has passed."""
        self.timers = [timer for timer in self.timers if not timer.is_cancelled]
        self.timers.append(Timer(self.now + delay, callback))
        return self.timers[-1]

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and fire what is due, in order."""
        end = self.now + seconds
        while due := [timer for timer in self.timers if not timer.is_cancelled and timer.at <= end]:
            first = min(due, key=lambda timer: timer.at)
            self.timers.remove(first)
            self.now = first.at
            first.callback()
            self.run()
        self.now = end

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call it at the next `run`."""
        self.soon.append(callback)

    def run(self) -> None:
        """Call all that waits."""
        while self.soon:
            self.soon.popleft()()


class Wire:
    """A transport: what was written to it, and whether it would read."""

    def __init__(self) -> None:
        self.written = b""
        self.unsent = 0  #: bytes that the other side has not taken
        self.reads = True
        self.is_ended = False
        self.is_broken = False

    def get_extra_info(self, name: str) -> object:
        """Return an address for a name of one."""
        return ("10.0.0.9", 1) if name == "peername" else None

    def write(self, data: bytes) -> None:
        """Keep what is written."""
        if not self.is_broken:
            assert not self.is_ended, "nothing is written after the end"
            self.written += data

    def can_write_eof(self) -> bool:
        """True: it can."""
        return True

    def write_eof(self) -> None:
        """End."""
        self.is_ended = True

    def close(self) -> None:
        """End."""
        self.is_ended = True

    def abort(self) -> None:
        """End at once."""
        self.is_ended = self.is_broken = True

    def is_closing(self) -> bool:
        """Return whether it has been broken."""
        return self.is_broken

    def is_reading(self) -> bool:
        """Return whether it would read."""
        return self.reads

    def pause_reading(self) -> None:
        """Read no more."""
        self.reads = False

    def resume_reading(self) -> None:
        """Go on."""
        self.reads = True

    def get_write_buffer_size(self) -> int:
        """Return what the other side has not taken."""
        return self.unsent


class Owner(ABC):
    """Takes every connection; what becomes of requests is for whoever derives from it."""

    def __init__(self, settings: Settings, peers: PeerLog | None = None) -> None:
        self.settings = settings
        self.peers = peers or PeerLog(logging.getLogger("swell.edge"))

    def enter(self, connection: Downstream) -> bool:
        """Take a connection."""
        del connection
        return True

    def turn_away(self, connection: Downstream) -> bool:
        """Nobody is turned away."""
        del connection
        return False

    def leave(self, connection: Downstream) -> None:
        """A connection has ended."""
        del connection

    @abstractmethod
    def admit(self, client: Downstream) -> RequestSink:
        """Begin with a request."""
