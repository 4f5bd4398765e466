"""The slot of a container that executes one input at a time, and answers as the runner does.

Results are sent when a delivery ends and, between inputs, every few milliseconds. This module must not know the engine,
or why it is told something.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from swell.model import OutputStatus
from swell.sim.run import Run, outcome
from swell.sim.slots import Held, Result, SlotHost
from swell.sim.work import Mishap

__all__ = ["SerialSlot"]

FLUSH_AFTER_S = 0.002  #: finished results wait no longer than this between two inputs
QUICK_S = 0.001  #: shorter inputs are executed several per entry of the agenda


class SerialSlot:
    """One input at a time; results are sent when a delivery ends and, between inputs, every few milliseconds."""

    def __init__(self, host: SlotHost) -> None:
        self._host = host
        self._queue: deque[Held] = deque()
        self._held: Held | None = None
        self._run: Run | None = None  #: executes the input before `_held.next`, unless that is a quick one
        self._done: list[Result] = []
        self._sent_at = 0.0
        self._began_at = 0.0
        self._burst = 0  #: number of the quick stretch that is executed; entries of older ones are void

    @property
    def is_idle(self) -> bool:
        """True when nothing is executed or waits."""
        return self._held is None and not self._queue

    def deliver(self, held: Held) -> None:
        """Take inputs in."""
        self._queue.append(held)
        if self._held is None:
            self._advance()

    def cancel(self, number: int, positions: Sequence[int]) -> bool:
        """Stop inputs of a delivery; False if it is not here."""
        self._catch_up()
        held = self._find(number)
        if held is None:
            return False
        for position in positions:
            if position >= held.next:
                if position < held.end and position not in held.answered:
                    held.answered.add(position)
                    self._done.append((number, position, OutputStatus.TERMINATED, b"", 0.0))
            elif held is self._held and position == held.next - 1 and self._run is not None:
                self._run.cancel()
        self._flush()
        return True

    def reclaim(self, number: int) -> bool:
        """Give back what is not begun of a delivery; False if it is not here."""
        self._catch_up()
        self._flush()
        held = self._find(number)
        if held is None:
            return False
        if held.next < held.end:
            cut = held.end = held.next
            self._host.give_back(number, cut)
        return True

    def items_taken(self, number: int, position: int, count: int) -> None:
        """A generator's consumer has come so far."""
        held, run = self._held, self._run
        if run is not None and held is not None and (held.number, held.next - 1) == (number, position):
            run.items_taken(count)

    def stop(self) -> None:
        """Execute nothing more: the container is dead."""
        self._burst += 1
        if self._run is not None:
            self._run.stop()

    def numbers(self) -> list[int]:
        """The deliveries that are here."""
        return [held.number for held in ([self._held] if self._held else []) + list(self._queue)]

    def _find(self, number: int) -> Held | None:
        if self._held is not None and self._held.number == number:
            return self._held
        return next((held for held in self._queue if held.number == number), None)

    def _flush(self) -> None:
        if self._done:
            done, self._done = self._done, []
            self._host.report(done)
        self._sent_at = self._host.clock.now

    # ------------------------------------------------------------ one input after another

    def _advance(self) -> None:
        """Begin the next input, if there is one."""
        self._began_at = self._host.clock.now
        while True:
            held = self._held
            if held is None:
                if not self._queue:
                    return
                held = self._held = self._queue.popleft()
            while held.next < held.end and held.next in held.answered:
                held.next += 1
            if held.next < held.end:
                break
            self._held = None
            self._flush()
        if self._host.clock.now - self._sent_at >= FLUSH_AFTER_S:
            self._flush()
        if self._is_quick(held.inputs[held.next]):
            self._start_burst(held)
            return
        position = held.next
        held.next += 1
        began = self._host.clock.now

        def ended(status: OutputStatus, payload: bytes) -> None:
            self._run = None
            self._done.append((held.number, position, status, payload, self._host.clock.now - began))
            self._advance()

        self._run = Run(self._host, held.number, position, held.inputs[position], ended)
        self._run.start()

    def _is_quick(self, of: tuple[str, int]) -> bool:
        work, steps = self._host.work(*of)
        return work.duration_s < QUICK_S and not work.items and work.mishap(steps) in (None, Mishap.FAIL)

    def _start_burst(self, held: Held) -> None:
        """Execute quick inputs up to the next moment at which something is sent."""
        self._burst += 1
        burst, at, position = self._burst, self._began_at, held.next
        while position < held.end:
            if position not in held.answered:
                if not self._is_quick(held.inputs[position]):
                    break
                at += self._host.work(*held.inputs[position])[0].duration_s
                if at - self._sent_at >= FLUSH_AFTER_S:
                    break
            position += 1
        held.next += 1
        self._host.began(held.number, *held.inputs[held.next - 1], self._began_at)

        def over() -> None:
            if burst == self._burst:
                self._catch_up()

        self._host.clock.at(at, over)

    def _catch_up(self) -> None:
        """Bring a quick stretch to the present."""
        held = self._held
        if held is None or self._run is not None:
            return
        now, work = self._host.clock.now, self._host.work
        while True:
            position = held.next - 1
            of = held.inputs[position]
            behaviour, steps = work(*of)
            ends_at = self._began_at + behaviour.duration_s
            if ends_at > now:
                return
            status, payload = outcome(*of, behaviour.mishap(steps))
            self._done.append((held.number, position, status, payload, behaviour.duration_s))
            self._began_at = ends_at
            while held.next < held.end and held.next in held.answered:
                held.next += 1
            due = ends_at - self._sent_at >= FLUSH_AFTER_S
            if held.next >= held.end or due or not self._is_quick(held.inputs[held.next]):
                self._burst += 1
                self._advance()
                return
            self._host.began(held.number, *held.inputs[held.next], ends_at)
            held.next += 1
