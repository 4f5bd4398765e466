"""What of a pool's spawned calls is in memory, and how much waits in the store alone.

This module must not know how the store is read, or when; that is the pager's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swell.config import Settings

if TYPE_CHECKING:
    from swell.engine.state.call import Call

__all__ = ["BacklogWindow"]


class BacklogWindow:
    """The part of the stored backlog of one pool that is in memory.

    The store has all spawned calls, in the order in which they were accepted. In memory are the first of them, `calls`,
    and of a long one only its first inputs; that one stands in `needs_refill` when few of those are left. Calls with a
    sequence over `loaded_upto` are in the store alone: `stored_calls` of them, with `stored_inputs` inputs that wait.
    """

    __slots__ = (
        "_ended_meanwhile",
        "_settings",
        "bytes_in_memory",
        "calls",
        "is_reading_calls",
        "is_turn_of_calls",
        "loaded_upto",
        "needs_refill",
        "reads",
        "stored_calls",
        "stored_inputs",
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.calls: dict[str, Call] = {}  #: spawned calls in memory that have not ended
        self.needs_refill: dict[str, Call] = {}  #: of these, the ones of which more inputs should be in memory
        self.bytes_in_memory = 0  #: payload of spawned calls
        self.stored_calls = 0
        self.stored_inputs = 0
        self.loaded_upto = 0
        self.is_reading_calls = False  #: further calls are being read
        self.is_turn_of_calls = False  #: inputs were read though there is hardly room: next, calls are
        self.reads = 0  #: calls in memory of which further inputs are being read
        self._ended_meanwhile: set[str] = set()  # while calls are read: the read may not know yet that these ended

    @property
    def is_full(self) -> bool:
        """True when as many spawned calls are in memory as should be: further ones are left to the store."""
        settings = self._settings
        return (
            self.stored_calls > 0
            or len(self.calls) >= settings.backlog_calls_max
            or self.bytes_in_memory >= settings.backlog_bytes_max
        )

    @property
    def has_calls(self) -> bool:
        """True while a spawned call goes on, in memory or in the store."""
        return bool(self.calls or self.stored_calls)

    # ------------------------------------------------------------ calls

    def add(self, call: Call) -> None:
        """Count a spawned call that is in memory."""
        self.calls[call.id] = call

    def remove(self, call: Call) -> None:
        """Forget a call that has ended, or is left to the store."""
        self.reads -= call.loading
        self.calls.pop(call.id, None)
        self.needs_refill.pop(call.id, None)

    def accept(self, sequence: int) -> None:
        """Note that a call accepted just now is in memory, and so are all before it if none is in the store alone."""
        if not self.stored_calls:
            self.loaded_upto = sequence

    def leave_to_store(self, inputs: int) -> None:
        """Count a call that was accepted and is in the store alone."""
        self.stored_calls += 1
        self.stored_inputs += inputs

    def restore(self, calls: int, inputs: int) -> None:
        """Count what a former server has left in the store."""
        self.stored_calls, self.stored_inputs = calls, inputs

    # ------------------------------------------------------------ a call's inputs

    def note_refill(self, call: Call) -> None:
        """Have more inputs of a call read if less than half of what may be in memory of one is left."""
        if call.stored and call.in_memory < self._settings.backlog_inputs_max // 2:
            self.needs_refill[call.id] = call

    def drop_refill(self, call: Call) -> None:
        """Read no more inputs of a call for now."""
        self.needs_refill.pop(call.id, None)

    def add_bytes(self, size: int) -> None:
        """Count payload that is in memory from now on."""
        self.bytes_in_memory += size

    def remove_bytes(self, size: int) -> None:
        """Count payload that was let go of."""
        self.bytes_in_memory -= size

    # ------------------------------------------------------------ reading

    def begin_reading_calls(self) -> None:
        """Note that further calls are being read."""
        self.is_reading_calls, self.is_turn_of_calls = True, False

    def end_reading_calls(self) -> set[str]:
        """Note that they were read; return the calls that have ended since, of which the read is out of date."""
        self.is_reading_calls = False
        ended, self._ended_meanwhile = self._ended_meanwhile, set()
        return ended

    def note_end(self, call: Call) -> None:
        """Note that a call has ended, for a read that is on its way."""
        if self.is_reading_calls:
            self._ended_meanwhile.add(call.id)

    def pass_by(self, sequence: int) -> None:
        """Read on after this call the next time."""
        self.loaded_upto = max(self.loaded_upto, sequence)

    def take_in(self, inputs: int) -> None:
        """Count a stored call, with so many inputs that wait, as one that is in memory."""
        self.stored_calls -= 1
        self.stored_inputs -= inputs

    def begin_reading_inputs(self, *, has_room: bool) -> None:
        """Note that further inputs of a call in memory are being read. Without room, calls have the next turn."""
        self.reads += 1
        self.is_turn_of_calls |= not has_room

    def end_reading_inputs(self) -> None:
        """Note that they were read."""
        self.reads -= 1
