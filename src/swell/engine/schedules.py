"""Functions that run by themselves: each time one is due, it is spawned without arguments.

A run that could not take place in time is not made up for; the log tells. This module must not know calendars.
"""

from __future__ import annotations

import base64
import hashlib

from swell.engine.events import Remark
from swell.engine.intake import Intake
from swell.engine.ledger import Ledger
from swell.engine.pool import Pool
from swell.model import CallKind
from swell.policy.schedule import missed_runs
from swell.wire.arguments import NO_ARGUMENTS
from swell.wire.messages import OpenCall

__all__ = ["Schedules"]

NOBODY = 0  #: the client that no client is


class Schedules:
    """Spawns what is due."""

    def __init__(self, ledger: Ledger, intake: Intake) -> None:
        self._ledger = ledger
        self._intake = intake

    def check(self, pool: Pool, now: float) -> None:
        """Spawn a pool's function if its schedule is due, and note when it is due again."""
        schedule, due = pool.spec.schedule, pool.next_run
        if schedule is None or due is None or pool.app.closing:
            return
        if now < due:
            pool.arm("schedule", due)
            return
        timezone = self._ledger.settings.timezone
        count, pool.next_run = missed_runs(schedule, due, now, timezone, since=pool.deployed_at)
        if count > 1:
            runs = "1 scheduled run was" if count == 2 else f"{count - 1} scheduled runs were"
            self._remark(pool, f"{runs} skipped: the machine slept, or was very busy, when due")
        if pool.next_run is not None:
            pool.arm("schedule", pool.next_run)
        # The id follows from the time, so that no run ever takes place twice.
        digest = hashlib.sha256(f"{pool.id}/{due!r}".encode()).digest()
        call_id = "fc-" + base64.b32encode(digest).decode().lower()[:22]
        opened = OpenCall(call_id, pool.id, "", CallKind.SPAWN, [len(NO_ARGUMENTS)], sealed=True)
        if self._ledger.store_trouble:
            self._remark(pool, f"a scheduled run was skipped: {self._ledger.store_trouble}")
        elif not self._intake.begin(pool, NOBODY, opened, NO_ARGUMENTS, now):
            self._remark(pool, "a scheduled run was skipped: too many inputs wait already")
        if pool.app.kind.is_lasting:
            self._ledger.persist(pool.record())

    def _remark(self, pool: Pool, text: str) -> None:
        self._ledger.emit(Remark(pool.app.id, pool.spec.name, text))
