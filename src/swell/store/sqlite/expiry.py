"""Expire what ended long ago: drop results first, forget calls, containers and apps later.

This module must not know retention times.
"""

from __future__ import annotations

from typing import Final

from msgspec import json

from swell.store.blob_references import names_in_run, names_in_span
from swell.store.sqlite.calls import as_run, as_span
from swell.store.sqlite.database import Database
from swell.store.sqlite.job import UNFINISHED, Unfinished

__all__ = ["Expiry"]

#: Bounds of one step: about ten milliseconds, so that other jobs of the writer wait no longer.
CALLS_MAX: Final = 1_000
ROWS_MAX: Final = 4_000


class Expiry:
    """Drops results of calls that ended before one time, and forgets all that ended before an earlier one, in steps."""

    def __init__(self, ended_before: float, forget_before: float, containers_max: int) -> None:
        self._ended_before = max(ended_before, forget_before)
        self._forget_before = forget_before
        self._containers_max = containers_max
        self._names: list[str] = []

    def step(self, database: Database) -> list[str] | Unfinished:
        """Delete some rows; when none is left, return the names of blobs that are no longer needed."""
        database.begin()
        if self._drop_results(database) or self._take_leftovers(database) or self._forget_calls(database):
            return UNFINISHED
        if self._forget_containers(database):
            return UNFINISHED
        self._forget_apps(database)
        return self._names

    def _drop_results(self, database: Database) -> bool:
        old = [call for (call,) in database.rows("old_calls", ended_before=self._ended_before, calls_max=CALLS_MAX)]
        if not old:
            return False
        calls = json.encode(old).decode()
        carrying = list(database.rows("outputs_with_blobs", calls=calls, rows_max=ROWS_MAX))
        if carrying:
            self._names += [name for _, *row in carrying for name in names_in_run(as_run(*row))]
            database.run("delete_outputs_with_blobs", rowids=_rowids(carrying))
        elif database.run("delete_outputs", calls=calls, rows_max=ROWS_MAX) < ROWS_MAX:
            database.run("expire_calls", calls=calls)
        return True

    def _take_leftovers(self, database: Database) -> bool:
        carrying = list(database.rows("leftovers", rows_max=ROWS_MAX))
        self._names += [name for _, *row in carrying for name in names_in_span(as_span("", *row))]
        return bool(carrying) and database.run("delete_leftovers", rowids=_rowids(carrying)) > 0

    def _forget_calls(self, database: Database) -> bool:
        rows = database.rows("forgettable_calls", ended_before=self._forget_before, calls_max=CALLS_MAX)
        old = [call for (call,) in rows]
        if old:
            database.run("note_forgotten", sequence=max(old))
            database.run("forget_calls", calls=json.encode(old).decode())
        return bool(old)

    def _forget_containers(self, database: Database) -> bool:
        """Forget some containers; True if more may be left."""
        deleted = database.run(
            "forget_containers", ended_before=self._forget_before, kept_max=self._containers_max, rows_max=ROWS_MAX
        )
        return deleted >= ROWS_MAX

    def _forget_apps(self, database: Database) -> None:
        for (app_id,) in list(database.rows("forgettable_apps", ended_before=self._forget_before)):
            database.run("forget_bundles", app_id=app_id)
            database.run("forget_deployments", app_id=app_id)
            database.run("forget_app", app_id=app_id)


def _rowids(rows: list[tuple[int, ...]]) -> str:
    return json.encode([row[0] for row in rows]).decode()
