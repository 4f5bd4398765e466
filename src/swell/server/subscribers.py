"""Connections that show a running app: they get its log lines as they appear, and its progress a few times a second.

This module must not know the engine's state beyond what it is handed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from swell.server.connection import Connection
from swell.wire.messages import FunctionProgress, Log, Progress

__all__ = ["Subscribers"]

PROGRESS_EVERY_S = 0.1


class Skipped:
    """Log lines that were left out for a connection that does not read."""

    __slots__ = ("lines", "size")

    def __init__(self) -> None:
        self.lines = 0
        self.size = 0


class Subscribers:
    """Sends logs and progress of apps to the connections that follow them."""

    def __init__(
        self, describe: Callable[[str], list[FunctionProgress]], take_changed: Callable[[], Iterable[str]]
    ) -> None:
        """`describe` returns the progress of an app's functions, `take_changed` the apps that may have made some."""
        self._describe = describe
        self._take_changed = take_changed
        self._by_app: dict[str, dict[int, Connection]] = {}
        self._apps_of: dict[int, set[str]] = {}  # by connection
        self._last: dict[str, list[FunctionProgress]] = {}
        self._skipped: dict[tuple[int, str], Skipped] = {}  # by connection and app
        self._timer: asyncio.TimerHandle | None = None

    def follow(self, app_id: str, connection: Connection) -> None:
        """Send a connection the logs and the progress of an app from now on."""
        self._by_app.setdefault(app_id, {})[connection.number] = connection
        self._apps_of.setdefault(connection.number, set()).add(app_id)

    def leave(self, connection: Connection) -> None:
        """Stop sending to a connection."""
        for app_id in self._apps_of.pop(connection.number, ()):
            subscribers = self._by_app[app_id]
            del subscribers[connection.number]
            if not subscribers:
                self.ended(app_id)

    def ended(self, app_id: str) -> None:
        """Forget an app."""
        self._last.pop(app_id, None)
        for number in self._by_app.pop(app_id, ()):
            apps = self._apps_of[number]
            apps.discard(app_id)
            if not apps:
                del self._apps_of[number]

    def log(self, app_id: str, function_name: str, container_id: str, stream: str, text: str) -> None:
        """Pass on lines that a container wrote."""
        subscribers = self._by_app.get(app_id)
        if subscribers:
            message, payload = Log(app_id, function_name, container_id, stream), text.encode()
            for connection in subscribers.values():
                if connection.is_lagging:
                    self._skip(connection, message, payload)
                else:
                    connection.send(message, payload)

    def _skip(self, connection: Connection, message: Log, payload: bytes) -> None:
        """Leave out lines for a connection that does not read, and tell it their number when it reads again.

        What a container prints must not wait for a terminal, and cannot wait in memory for ever.
        """
        key = connection.number, message.app_id
        if key not in self._skipped:
            self._skipped[key] = Skipped()
            connection.when_read(lambda: self._tell_skipped(connection, message.app_id))
        skipped = self._skipped[key]
        skipped.lines += payload.count(b"\n")
        skipped.size += len(payload)

    def _tell_skipped(self, connection: Connection, app_id: str) -> None:
        skipped = self._skipped.pop((connection.number, app_id), None)
        if skipped is not None:
            text = (
                f"{skipped.lines:,} lines ({skipped.size:,} bytes) are left out here: they were printed while nobody "
                "read what this program shows\n"
            )
            connection.send(Log(app_id, "swell", "", "system"), text.encode())

    def schedule_progress(self) -> None:
        """Schedule sending progress."""
        if self._by_app and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PROGRESS_EVERY_S, self.send_progress)

    def send_progress(self) -> None:
        """Send the progress of every followed app that has changed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for app_id in self._take_changed():
            subscribers = self._by_app.get(app_id)
            functions = self._describe(app_id) if subscribers else []
            if subscribers and functions and functions != self._last.get(app_id):
                self._last[app_id] = functions
                for connection in subscribers.values():
                    connection.send_latest((Progress, app_id), Progress(app_id, functions))
