"""What one simulated input does when it is run: how long it takes, and what goes wrong with it first.

Values only. This module must not know who runs an input.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from swell.model import AutoscalerChange, CallKind

__all__ = ["CallPlan", "Mishap", "Tuning", "Work", "input_bytes", "input_of", "item_bytes", "result_bytes"]


class Mishap(Enum):
    """What an attempt does instead of succeeding."""

    FAIL = "fail"  #: raises
    HANG = "hang"  #: never ends by itself
    KILL = "kill"  #: takes its container with it
    OUTGROW = "outgrow"  #: uses more memory than its container may, which is killed for that


class Work(Struct, frozen=True):
    """The behaviour of one input."""

    duration_s: float
    mishaps: tuple[Mishap, ...] = ()  #: of the first attempts, one each; after them it succeeds
    always_kills: bool = False
    items: int = 0  #: values it yields, if it is a generator's
    resists: bool = False  #: does not stop when it is cancelled
    is_blob: bool = False  #: its argument and its result travel as references

    def mishap(self, steps: int) -> Mishap | None:
        """Return what goes wrong in the attempt that follows `steps` mishaps, None if nothing does."""
        if self.always_kills:
            return Mishap.KILL
        return self.mishaps[steps] if steps < len(self.mishaps) else None


class CallPlan(Struct, frozen=True):
    """One call that a simulated client makes."""

    call_id: str
    function: str
    kind: CallKind
    works: tuple[Work, ...]
    opens_at: float
    method: str = ""
    span_max: int = 100  #: inputs sent in one message
    window: int = 1_000  #: inputs sent and not answered
    cancels_after_s: float | None = None
    terminates: bool = False  #: the cancellation asks for the container's end, too
    watches: bool = False  #: a spawned call whose results are asked for
    repeats: bool = False  #: a request whose end is told twice
    parameters: bytes = b""  #: of the class: a request names them, a program binds the variant that has them


class Tuning(Struct, frozen=True):
    """Settings of a variant that a program changes at a time, or with an empty change only reads."""

    at: float
    function: str
    parameters: bytes
    change: AutoscalerChange


def input_bytes(call_id: str, index: int) -> bytes:
    """The payload of an input: names it, so that a wrong slice is noticed wherever it arrives."""
    return f"{call_id}/{index}".encode()


def input_of(payload: str) -> tuple[str, int]:
    """Return which input a payload names."""
    call_id, _, index = payload.rpartition("/")
    return call_id, int(index)


def result_bytes(call_id: str, index: int) -> bytes:
    """The payload of a successful result."""
    return b"=" + input_bytes(call_id, index)


def item_bytes(call_id: str, index: int, number: int) -> bytes:
    """The payload of a generator's value, counted from 0."""
    return f"{call_id}/{index}#{number}".encode()
