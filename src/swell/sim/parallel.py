"""The slots of containers that execute several inputs at once: each by itself, or as batches.

They answer as the runner does. This module must not know the engine, or why it is told something.
"""

from __future__ import annotations

from collections.abc import Sequence

from swell.model import OutputStatus
from swell.sim.run import Run, outcome
from swell.sim.slots import Held, Result, SlotHost
from swell.sim.work import Mishap

__all__ = ["BatchSlots", "ParallelSlots"]


class ParallelSlots:
    """Every input at once, each in a slot of its own."""

    def __init__(self, host: SlotHost, slots: int) -> None:
        self._host = host
        self._slots = slots
        self._runs: dict[tuple[int, int], Run] = {}

    @property
    def is_idle(self) -> bool:
        """True when nothing is executed or waits."""
        return not self._runs

    def deliver(self, held: Held) -> None:
        """Take inputs in."""
        for position, of in enumerate(held.inputs):
            if position in held.answered:
                continue
            self._start(held.number, position, of)

    def _start(self, number: int, position: int, of: tuple[str, int]) -> None:
        assert len(self._runs) < self._slots, f"{len(self._runs) + 1} inputs in {self._slots} slots"
        began = self._host.clock.now

        def ended(status: OutputStatus, payload: bytes) -> None:
            del self._runs[number, position]
            self._host.report([(number, position, status, payload, self._host.clock.now - began)])

        run = self._runs[number, position] = Run(self._host, number, position, of, ended)
        run.start()

    def cancel(self, number: int, positions: Sequence[int]) -> bool:
        """Stop inputs of a delivery; False if it is not here."""
        found = False
        for position in positions:
            run = self._runs.get((number, position))
            if run is not None:
                found = True
                run.cancel()
        return found or any(key[0] == number for key in self._runs)

    def reclaim(self, number: int) -> bool:
        """Give back what is not begun of a delivery; False if it is not here."""
        return any(key[0] == number for key in self._runs)

    def items_taken(self, number: int, position: int, count: int) -> None:
        """A generator's consumer has come so far."""
        run = self._runs.get((number, position))
        if run is not None:
            run.items_taken(count)

    def stop(self) -> None:
        """Execute nothing more: the container is dead."""
        for run in self._runs.values():
            run.stop()


class BatchSlots:
    """Inputs of a delivery all together, each batch in a slot of its own."""

    def __init__(self, host: SlotHost, slots: int, size_max: int) -> None:
        self._host = host
        self._slots = slots
        self._size_max = size_max
        self._batches: dict[int, Held] = {}

    @property
    def is_idle(self) -> bool:
        """True when nothing is executed or waits."""
        return not self._batches

    def deliver(self, held: Held) -> None:
        """Take inputs in."""
        assert len(held.inputs) <= self._size_max, f"batch of {len(held.inputs)} over {self._size_max}"
        assert len(self._batches) < self._slots, f"{len(self._batches) + 1} batches in {self._slots} slots"
        if held.answered:  # cancelled before it arrived: any cancelled input cancels its batch
            rest = [position for position in range(len(held.inputs)) if position not in held.answered]
            if rest:
                self._host.report([(held.number, position, OutputStatus.TERMINATED, b"", 0.0) for position in rest])
            return
        self._batches[held.number] = held
        behaviours = [self._host.work(*of) for of in held.inputs]
        for of in held.inputs:
            self._host.began(held.number, *of, self._host.clock.now)
        mishaps = [work.mishap(steps) for work, steps in behaviours]
        if Mishap.HANG not in mishaps:
            took = max(work.duration_s for work, _ in behaviours)
            self._host.clock.after(took, lambda: self._over(held, mishaps, took))

    def _over(self, held: Held, mishaps: list[Mishap | None], took: float) -> None:
        if self._batches.get(held.number) is not held:
            return
        for deadly in (Mishap.KILL, Mishap.OUTGROW):
            if deadly in mishaps:
                self._host.die_of(held.number, *held.inputs[mishaps.index(deadly)], deadly)
                return
        del self._batches[held.number]
        results: list[Result] = []
        for position, (of, mishap) in enumerate(zip(held.inputs, mishaps, strict=True)):
            results.append((held.number, position, *outcome(*of, mishap), 0.0 if position else took))
        self._host.report(results)

    def cancel(self, number: int, positions: Sequence[int]) -> bool:
        """Stop inputs of a delivery; False if it is not here."""
        held = self._batches.get(number)
        if held is None:
            return False
        if not any(self._host.work(*held.inputs[position])[0].resists for position in positions):
            self._host.clock.after(self._host.interrupt_s, lambda: self._interrupt(held))
        return True

    def _interrupt(self, held: Held) -> None:
        if self._batches.get(held.number) is held:
            del self._batches[held.number]
            everything = range(len(held.inputs))
            self._host.report([(held.number, position, OutputStatus.TERMINATED, b"", 0.0) for position in everything])

    def reclaim(self, number: int) -> bool:
        """Give back what is not begun of a delivery; False if it is not here."""
        return number in self._batches

    def items_taken(self, number: int, position: int, count: int) -> None:
        """A generator's consumer has come so far."""
        return

    def stop(self) -> None:
        """Execute nothing more: the container is dead."""
        self._batches.clear()
