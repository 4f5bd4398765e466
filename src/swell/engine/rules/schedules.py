"""Spawn scheduled functions when they are due, without arguments.

A run that was missed is not run later; the function's log says so. This module must not know calendars.
"""

from __future__ import annotations

from swell.engine.events import LogNotice
from swell.engine.ids import derive_scheduled_call_id
from swell.engine.rules.admission import Admission
from swell.engine.state.engine_state import EngineState
from swell.engine.state.pool import Pool
from swell.engine.state.timers import Timer
from swell.model import CallKind
from swell.policy.schedule import missed_runs, next_run
from swell.wire.arguments import NO_ARGUMENTS
from swell.wire.messages import OpenCall

__all__ = ["Schedules"]

NOBODY = 0  #: the number that no client has


class Schedules:
    """Keeps the times at which functions are due, and spawns them."""

    def __init__(self, state: EngineState, admission: Admission) -> None:
        self._state = state
        self._admission = admission

    def begin(self, pool: Pool) -> None:
        """Set when a function is due for the first time since its deployment, if it has a schedule."""
        schedule, since = pool.spec.schedule, pool.deployment.deployed_at
        pool.set_next_run(None if schedule is None else next_run(schedule, since, self._timezone, since=since))

    def resume(self, pool: Pool, due: float, now: float) -> None:
        """Take over a schedule from a former server, which would have run the function next at `due`."""
        missed = self._advance(pool, due, now)
        if missed:
            self._log_notice(pool, f"{_runs(missed)} missed while the server was down, and skipped")
            self._state.keep(pool)

    def check(self, pool: Pool, now: float) -> None:
        """Spawn a pool's function if its schedule is due, and note when it is due again."""
        due = pool.next_run
        if pool.spec.schedule is None or due is None or pool.app.closing:
            return
        if now < due:
            pool.timers.arm(Timer.SCHEDULE, due)
            return
        late = self._advance(pool, due, now) - 1
        if late > 0:
            self._log_notice(pool, f"{_runs(late)} skipped: the machine slept, or was very busy, when due")
        call_id = derive_scheduled_call_id(pool.id, due)
        opened = OpenCall(call_id, pool.id, "", CallKind.SPAWN, [len(NO_ARGUMENTS)], sealed=True)
        if self._state.store_trouble:
            self._log_notice(pool, f"a scheduled run was skipped: {self._state.store_trouble}")
        elif not self._admission.begin(pool, NOBODY, opened, NO_ARGUMENTS, now):
            self._log_notice(pool, "a scheduled run was skipped: too many inputs wait already")
        self._state.keep(pool)

    def _advance(self, pool: Pool, due: float, now: float) -> int:
        """Note when a function is due after `now`; return how often it was from `due` on."""
        assert pool.spec.schedule is not None
        count, at = missed_runs(pool.spec.schedule, due, now, self._timezone, since=pool.deployment.deployed_at)
        pool.set_next_run(at)
        return count

    @property
    def _timezone(self) -> str:
        return self._state.settings.timezone

    def _log_notice(self, pool: Pool, text: str) -> None:
        self._state.emit(LogNotice(pool.app.id, pool.spec.name, text))


def _runs(count: int) -> str:
    return "1 scheduled run was" if count == 1 else f"{count} scheduled runs were"
