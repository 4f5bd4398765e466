"""Sessions: the Apps that run in this process, and the server on which each runs.

This module must not know how an App is started or what its functions are.
"""

from __future__ import annotations

from collections.abc import Mapping

from swell.errors import Error, ExecutionError
from swell.sdk.connection.client import Client, client_from_settings

__all__ = ["Session", "current_client", "not_of_this_container", "require_running"]


class Session:
    """One run of an App: the client of its server, and its functions' ids there."""

    _running: list[Session] = []  # noqa: RUF012  (shared on purpose: the runs of this process, the latest last)

    def __init__(
        self, client: Client, app_id: str, function_ids: dict[str, str], problems: Mapping[str, Error] | None = None
    ) -> None:
        self.client = client
        self.app_id = app_id
        self.function_ids = function_ids
        self._problems = problems or {}

    def why_not(self, name: str) -> Error | None:
        """Return the error for a request of a function that the run is without; None if it is not known why."""
        error = self._problems.get(name)
        return None if error is None else type(error)(str(error))

    def begin(self) -> None:
        """Make this the session of calls that belong to no App."""
        self._running.append(self)

    def end(self) -> None:
        """Undo `begin`. May be called twice."""
        if self in self._running:
            self._running.remove(self)

    @classmethod
    def latest(cls) -> Session | None:
        """Return the last session that has begun and not ended."""
        return cls._running[-1] if cls._running else None


def current_client() -> Client:
    """Return the client of the App that runs here, or else that of the server of this container or environment.

    Raises:
        ExecutionError: there is none.
    """
    session = Session.latest()
    if session is not None:
        return session.client
    return client_from_settings()


def require_running(name: str) -> ExecutionError:
    """Return the error for a request of a Function whose App does not run."""
    return ExecutionError(
        f"{name} has not been hydrated: it has no server to run on, because its App is not running. Call it inside "
        "`with app.run():`, or run the file with `swell run`; `.local()` calls the plain function"
    )


def not_of_this_container(name: str) -> ExecutionError:
    """Return the error for a request, in a container, of a Function that its App does not have there."""
    return ExecutionError(
        f"{name} cannot be called from this container: the App that runs here is without it. If it is declared in this "
        "App, no node could run it or its Secret is missing, and the program that runs the App was told which; a "
        "Function of another App is called by its name, with `from_name`"
    )
