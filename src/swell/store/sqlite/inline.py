"""Which commits are made on the event loop's thread, in the journal: light ones, while the disk is quick.

A commit in the writer's thread costs two switches between threads, a message to the event loop and a transaction: with
a disk that is quick, more than one write and the wait for it. But while the event loop waits for a disk, it does
nothing else. So a commit is made there only if its records are *light*, if the loop has served nobody lately but those
who wait for commits, if most of the latest commits in the thread were *quick*, and as long as the loop loses no more
than a small share of its time to those that are not. Such a commit goes into debt with what it took too long, and debts
are paid off slowly: after one of 60 ms, all go to the thread for about 1.4 s, and then for as long as they are not
quick there. So nobody waits for the disk who would not anyway; a disk that is always slow is never waited for, and one
that stalls now and then seldom.

Pure. This module must not know how a commit is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from swell.records import (
    AttemptRecord,
    CallEnded,
    CallGrown,
    CallRecord,
    OutputsRecord,
    Record,
    SpanRecord,
    SpansDone,
)

__all__ = ["InlineRule", "weight"]

QUICK_S: Final = 0.001  #: a commit that took no longer was quick
DEBT_MAX_S: Final = 0.005  #: what the event loop may be in debt with before commits go to the thread
PAID_SHARE: Final = 0.04  #: so much of a second is paid off in a second
ALONE_S: Final = 0.02  #: for so long nobody else was served
QUICK_IN_THREAD: Final = 8  #: quick commits in the thread, above those that were not, before one on the event loop
WEIGHT_MAX: Final = 256 << 10  #: of what is committed on the event loop

#: The weight of a record is about that of its bytes, with so much for its rows: some 100 spawns are light.
_ROW: Final = 1_024
_ENDED_INPUTS_MAX: Final = 1_000  #: an ended call's spans go: of a call with no more inputs, few
_TOO_HEAVY: Final = 1 << 40
_WITH_BYTES: Final = (SpanRecord, OutputsRecord)
_SMALL: Final = (CallRecord, CallGrown, AttemptRecord)


class InlineRule:
    """Decides by how long light commits took."""

    def __init__(self) -> None:
        self._quick = 0  # 0..QUICK_IN_THREAD: commits in the thread that were quick, less those that were not
        self._alone_from = 0.0
        self._debt_s = 0.0
        self._noted_at = 0.0  # the debt was so much then

    def allows(self, now: float, *, alone: bool) -> bool:
        """True if a light commit may be made on the event loop's thread. `alone`: as in `Store.commit`."""
        if not alone:
            self._alone_from = now + ALONE_S
        if now < self._alone_from:
            return False
        return self._quick >= QUICK_IN_THREAD and (not self._debt_s or self._debt(now) <= DEBT_MAX_S)

    def took(self, took_s: float, now: float, *, inline: bool) -> None:
        """Note how long a commit waited for the disk, on the event loop's thread or in the writer's."""
        late_s = took_s - QUICK_S
        if not inline:
            step = -1 if late_s > 0 else 1
            self._quick = min(max(self._quick + step, 0), QUICK_IN_THREAD)
        elif late_s > 0:
            self._debt_s, self._noted_at = self._debt(now) + late_s, now
            if self._debt_s > DEBT_MAX_S:
                self._quick = 0

    def _debt(self, now: float) -> float:
        return max(0.0, self._debt_s - (now - self._noted_at) * PAID_SHARE)


def weight(records: Iterable[Record]) -> int:
    """Return how much there is to write; over WEIGHT_MAX for what may take long, however small it looks."""
    total = 0
    for record in records:
        if isinstance(record, _WITH_BYTES):
            total += _ROW + len(record.payload) + 8 * len(record.ends)
        elif isinstance(record, _SMALL):
            total += _ROW
        elif isinstance(record, SpansDone):
            total += _ROW * len(record.firsts)
        elif isinstance(record, CallEnded) and record.num_inputs <= _ENDED_INPUTS_MAX:
            total += _ROW
        else:  # the end of a long call, an app's record, or the cancellation of many calls
            total += _TOO_HEAVY
    return total
