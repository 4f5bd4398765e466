"""Finds an app by its name or id: a running one in the engine, a stopped one in the store.

This module must not know what is asked about an app.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from swell.engine.views.snapshot import SnapshotView
from swell.errors import NotFoundError, ServiceError, to_wire
from swell.ports import ReadFailed, Store
from swell.records import AppRecord
from swell.server.connection import Connection
from swell.server.defects import Defects
from swell.wire.messages import Failed

__all__ = ["AppLookup", "not_read"]


class AppLookup:
    """Answers on the connection that asked, if there is no such app or the store cannot be read.

    Args:
        snapshot: the apps that run.
        store: has the apps that were stopped, too.
        defects: answers for a defect in what follows a read.
    """

    def __init__(self, snapshot: SnapshotView, store: Store, defects: Defects) -> None:
        self._snapshot = snapshot
        self._store = store
        self._defects = defects

    def read(self, to: Connection, request: int, then: Callable[[list[AppRecord]], None]) -> None:
        """Call `then` with all durable apps that the store remembers."""
        self._store.read_apps(self._defects.answering(to, request, then), failed=partial(not_read, to, request))

    def find_record(self, to: Connection, request: int, name: str, then: Callable[[AppRecord], None]) -> None:
        """Call `then` with what the store remembers of an app, the latest of that name."""

        def found(recorded: list[AppRecord]) -> None:
            record = next((each for each in recorded if name in (each.name, each.app_id)), None)
            if record is None:
                error = NotFoundError(f"No App with name {name!r}: `swell app list` shows all")
                to.send(Failed(request, *to_wire(error)))
            else:
                then(record)

        self.read(to, request, found)

    def find_id(self, to: Connection, request: int, name: str, then: Callable[[str], None]) -> None:
        """Call `then` with the id of an app that runs, or ran."""
        app = self._snapshot.app(name)
        if app is not None:
            then(app.id)
        else:
            self.find_record(to, request, name, lambda record: then(record.app_id))


def not_read(to: Connection, request: int, why: ReadFailed) -> None:
    """Answer that the store cannot be read."""
    to.send(Failed(request, *to_wire(ServiceError(str(why)))))
