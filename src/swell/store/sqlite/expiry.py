"""What becomes of what ended long ago: results go first, the memory of it later.

This module must not know how long anything is kept.
"""

from __future__ import annotations

from swell.store.blob_names import names_in_run, names_in_span
from swell.store.sqlite.calls import as_run, as_span
from swell.store.sqlite.database import Database

__all__ = ["expire"]


def expire(database: Database, ended_before: float, forget_before: float) -> list[str]:
    """Drop results of calls that ended before a time, and all memory of what ended before an earlier one.

    Returns:
        The names of blobs that nobody needs any more.
    """
    database.begin()
    names = _drop_results(database, max(ended_before, forget_before))
    _forget(database, forget_before)
    return names


def _drop_results(database: Database, ended_before: float) -> list[str]:
    rows = database.rows("outputs_with_blobs", ended_before=ended_before)
    names = [name for row in rows for name in names_in_run(as_run(*row))]
    spans = [as_span("", *row) for row in database.rows("leftovers")]
    names += [name for span in spans for name in names_in_span(span)]
    if spans:
        database.run("delete_leftovers")
    database.run("delete_outputs", ended_before=ended_before)
    database.run("expire_calls", ended_before=ended_before)
    return names


def _forget(database: Database, ended_before: float) -> None:
    database.run("note_forgotten")
    database.run("forget_calls", ended_before=ended_before)
    database.run("forget_containers", ended_before=ended_before)
    for (app_id,) in list(database.rows("forgettable_apps", ended_before=ended_before)):
        database.run("forget_bundles", app_id=app_id)
        database.run("forget_deployments", app_id=app_id)
        database.run("forget_app", app_id=app_id)
