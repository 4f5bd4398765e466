"""One input being executed in a fake container: its duration, its values if it is a generator's, its mishaps.

This module must not know slots or deliveries beyond the numbers that name the input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from swell.model import MemoryExcess, OutputStatus
from swell.sim.clock import Time
from swell.sim.work import Mishap, Work, item_bytes, result_bytes
from swell.wire.messages import Message, Yielded

__all__ = ["EXCESS", "Ended", "Host", "Run"]

EXCESS = MemoryExcess(used_bytes=612 << 20, limit_bytes=256 << 20)  #: what a container is killed for

Ended = Callable[[OutputStatus, bytes], None]


class Host(Protocol):
    """The container around a run."""

    clock: Time
    items_ahead_max: int  #: values a generator may be ahead of its consumer
    interrupt_s: float  #: how long user code takes to notice a cancellation

    def send(self, message: Message, payload: bytes = b"") -> None:
        """Send something to the server."""
        ...

    def work(self, call_id: str, index: int) -> tuple[Work, int]:
        """Return what an input does, and how many mishaps are behind it."""
        ...

    def began(self, delivery: int, call_id: str, index: int, at: float) -> None:
        """Note that an input begins to execute."""
        ...

    def die_of(self, delivery: int, call_id: str, index: int, mishap: Mishap) -> None:
        """The container is killed by its input, or for the memory that it uses."""
        ...


class Run:
    """Executes one input and says once how it ended, unless the container dies first."""

    def __init__(self, host: Host, delivery: int, position: int, of: tuple[str, int], ended: Ended) -> None:
        self._host = host
        self._delivery = delivery
        self._position = position
        self._call_id, self._index = of
        self._ended = ended
        self._alive = True
        self._yielded = 0
        self._taken = 0
        self._stuck = False
        self._work, self._steps = host.work(*of)
        self._mishap = self._work.mishap(self._steps)

    def start(self) -> None:
        """Begin now."""
        self._host.began(self._delivery, self._call_id, self._index, self._host.clock.now)
        if self._work.items and self._mishap is not Mishap.HANG:
            self._after(self._work.duration_s / self._work.items, self._yield)
        elif self._mishap is not Mishap.HANG:
            self._after(self._work.duration_s, self._finish)

    def stop(self) -> None:
        """Execute and send nothing more."""
        self._alive = False

    def cancel(self) -> None:
        """Interrupt it, if it lets itself be interrupted."""
        if not self._work.resists:
            self._after(self._host.interrupt_s, lambda: self._end(OutputStatus.TERMINATED, b""))

    def items_taken(self, count: int) -> None:
        """The consumer has come so far."""
        self._taken = max(self._taken, count)
        if self._stuck:
            self._stuck = False
            self._yield()

    def _after(self, delay_s: float, action: Callable[[], None]) -> None:
        self._host.clock.after(delay_s, lambda: action() if self._alive else None)

    def _yield(self) -> None:
        if self._mishap is not None and self._yielded >= self._work.items // 2:
            self._finish()
        elif self._yielded >= self._work.items:
            self._end(OutputStatus.GENERATOR_DONE, str(self._yielded).encode())
        elif self._yielded >= self._taken + self._host.items_ahead_max:
            self._stuck = True
        else:
            value = item_bytes(self._call_id, self._index, self._yielded)
            self._yielded += 1
            self._host.send(Yielded(self._delivery, self._position, [len(value)]), value)
            self._after(self._work.duration_s / self._work.items, self._yield)

    def _finish(self) -> None:
        if self._mishap is Mishap.KILL or self._mishap is Mishap.OUTGROW:
            self._host.die_of(self._delivery, self._call_id, self._index, self._mishap)
        else:
            self._end(*outcome(self._call_id, self._index, self._mishap))

    def _end(self, status: OutputStatus, payload: bytes) -> None:
        self._alive = False
        self._ended(status, payload)


def outcome(call_id: str, index: int, mishap: Mishap | None) -> tuple[OutputStatus, bytes]:
    """Return how an input ends that neither hangs nor kills."""
    if mishap is Mishap.FAIL:
        return OutputStatus.FAILURE, b"!" + str(index).encode()
    return OutputStatus.SUCCESS, result_bytes(call_id, index)
