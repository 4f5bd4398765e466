"""What of a pool's spawned calls is in memory, and how much waits in the store alone.

This module must not know how the store is read, or when; that is the pager's business.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from swell.config import Settings

if TYPE_CHECKING:
    from swell.engine.state.call import Call

__all__ = ["BacklogWindow"]


class BacklogWindow:
    """The part of the stored backlog of one pool that is in memory.

    The store has all spawned calls, in the order in which they were accepted. In memory are the first of them, `calls`,
    and of a long one only its first inputs; that one stands in `needs_refill` when few of those are left, until more
    are being read. Calls with a sequence over `loaded_upto` are in the store alone: `stored_calls` of them, with
    `stored_inputs` inputs that wait.
    """

    __slots__ = (
        "_ended_meanwhile",
        "_settings",
        "bytes_in_memory",
        "calls",
        "exhausted",
        "is_reading_calls",
        "is_turn_of_calls",
        "loaded_upto",
        "needs_refill",
        "reads",
        "stored_calls",
        "stored_inputs",
        "tails",
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.calls: dict[str, Call] = {}  #: spawned calls in memory that have not ended
        #: Of these, the ones of which more inputs should be in memory, and are not being read. The first comes first.
        self.needs_refill: OrderedDict[str, Call] = OrderedDict()
        #: Of those, the ones without any in memory; or with some by now, as that is seen when they are looked at.
        self.exhausted: OrderedDict[str, Call] = OrderedDict()
        self.tails: OrderedDict[str, Call] = OrderedDict()  #: with inputs in the store alone; or with none by now
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
        self.tails.pop(call.id, None)
        self.drop_refill(call)

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
        """Have more inputs of a call read if less than half of what may be in memory of one is left.

        To be called whenever there are more in the store alone, or fewer in memory.
        """
        if not call.stored:
            return
        self.tails[call.id] = call
        in_memory = call.in_memory
        if in_memory < self._settings.backlog_inputs_max // 2 and not call.loading:
            self.needs_refill[call.id] = call
            if not in_memory:
                self.exhausted[call.id] = call

    def drop_refill(self, call: Call) -> None:
        """Read no more inputs of a call for now."""
        self.needs_refill.pop(call.id, None)
        self.exhausted.pop(call.id, None)

    def next_refill(self, *, has_room: bool) -> Call | None:
        """Return the call of which more inputs are to be read first. Without room, it is one that has none in memory.

        What is looked at in vain is not looked at again, so that this costs nothing when there is nothing to do.
        """
        if has_room:
            return next(iter(self.needs_refill.values()), None)
        while self.exhausted:
            call = next(iter(self.exhausted.values()))
            if not call.in_memory:
                return call
            del self.exhausted[call.id]  # some inputs of it came back
        return None

    def first_tail(self) -> Call | None:
        """Return a call with inputs that are in the store alone, if none are being read; else None."""
        while self.tails and not self.reads:
            call = next(iter(self.tails.values()))
            if call.stored:
                return call
            del self.tails[call.id]
        return None

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

    def begin_reading_inputs(self, call: Call, *, has_room: bool) -> None:
        """Note that further inputs of a call in memory are being read. Without room, calls have the next turn."""
        self.drop_refill(call)
        self.reads += 1
        self.is_turn_of_calls |= not has_room

    def end_reading_inputs(self) -> None:
        """Note that they were read."""
        self.reads -= 1
