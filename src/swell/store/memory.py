"""MemoryStore: results of spawned calls, kept as long as the process lives. Touches no disk.

This module must not know the engine, or when results are forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from swell.ports import StoredCall, StoredOutput

__all__ = ["MemoryStore"]


class MemoryStore:
    """Implements `swell.ports.Store` with dictionaries: what is recorded is at once as durable as it will ever be."""

    def __init__(self) -> None:
        self._outputs: dict[str, dict[int, StoredOutput]] = {}
        self._calls: dict[str, StoredCall] = {}  # in the order in which they finished

    def record_outputs(self, call_id: str, outputs: Sequence[StoredOutput]) -> None:
        """Keep results; the first record of an input wins."""
        recorded = self._outputs.setdefault(call_id, {})
        for output in outputs:
            recorded.setdefault(output.index, output)

    def read_outputs(self, call_id: str, first: int, last: int) -> list[StoredOutput]:
        """Return the recorded results with first <= index < last, in index order."""
        recorded = self._outputs.get(call_id, {})
        if last - first <= len(recorded):
            return [recorded[index] for index in range(first, last) if index in recorded]
        return [recorded[index] for index in sorted(recorded) if first <= index < last]

    def record_call(self, call_id: str, call: StoredCall) -> None:
        """Note that a call has finished."""
        self._calls[call_id] = call

    def read_call(self, call_id: str) -> StoredCall | None:
        """Return what is kept of a finished call."""
        return self._calls.get(call_id)

    def expire(self, before: float) -> None:
        """Drop the outputs of calls that finished before that time; that they existed is remembered."""
        for call_id, call in self._calls.items():
            if call.finished_at >= before:
                return
            self._outputs.pop(call_id, None)

    def commit(self, then: Callable[[], None]) -> None:
        """Call `then` in the next turn of the event loop: never inside commit, as with a store that must wait."""
        asyncio.get_running_loop().call_soon(then)

    def close(self) -> None:
        """Release the memory."""
        self._outputs.clear()
