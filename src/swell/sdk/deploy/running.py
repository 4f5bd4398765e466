"""Runs an App: finds or starts a server, opens the App there, and closes it at the end in any case.

This module must not know how calls are made.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from msgspec.structs import replace

from swell.config import Settings
from swell.errors import Error, InvalidError, ServerWarning
from swell.escaping import one_line
from swell.ids import APP
from swell.model import FunctionSpec
from swell.names import TEXT_MAX
from swell.sdk.connection.blocking import run_blocking
from swell.sdk.connection.client import PRIVATE, Client, daemon_address, mint_id
from swell.sdk.connection.link import UNSOLICITED, BlockingLink, Mailbox
from swell.sdk.connection.notices import show_notices
from swell.sdk.connection.output import Output, current_output
from swell.sdk.connection.private_server import PrivateServer
from swell.sdk.connection.session import Session
from swell.sdk.deploy.environment import check_python, command_line, present_environment
from swell.sdk.deploy.specs import AppSpec, specs_of, without_missing_secrets
from swell.wire.context import current_input_id, is_local
from swell.wire.exception_pickle import repr_of
from swell.wire.messages import AppOpened, CloseApp, Done, Log, Notice, OpenApp, Progress
from swell.wire.remote_traceback import plain

if TYPE_CHECKING:
    from swell.sdk.deploy.bundling import SourceCopy

__all__ = ["RunContext", "run_app"]


class Runnable(Protocol):
    """An App, as a run uses it."""

    app_id: str | None

    @property
    def description(self) -> str:
        """How it is shown if it has no name."""
        ...

    @property
    def session(self) -> Session | None:
        """The run it is in now."""
        ...

    @session.setter
    def session(self, session: Session | None) -> None: ...

    def describe(self) -> AppSpec:
        """Return what it consists of now."""
        ...


A = TypeVar("A", bound=Runnable)


def run_app(
    app: A,
    *,
    name: str | None = None,
    detach: bool = False,
    interactive: bool = False,
    source_copy: SourceCopy | None = None,
) -> RunContext[A]:
    """Prepare a run of an App.

    Args:
        app: The App.
        name: Name under which the run is shown.
        detach: Let it continue when this process exits.
        interactive: Allow interactive sessions.
        source_copy: Copies of its files, which containers read instead; they belong to the caller.

    Raises:
        InvalidError: the App runs already, a container imports the module that does this, or `interactive` without
        output.
    """
    if app.session is not None:
        raise InvalidError(f"{app.description} is already running; use it, or end that run first")
    if not is_local() and current_input_id() is None:
        raise InvalidError(
            "app.run() was called in global scope while a container imported the module; put it under "
            '`if __name__ == "__main__":` at the top level of the script'
        )
    if interactive and current_output() is None:
        raise InvalidError("interactive=True needs enabled output: put the run inside `with swell.enable_output():`")
    return RunContext(app, name, detach=detach, source_copy=source_copy)


class RunContext(Generic[A]):
    """One run of an App, for `with` or `async with`; its value is the App."""

    def __init__(self, app: A, name: str | None, *, detach: bool, source_copy: SourceCopy | None = None) -> None:
        self._app = app
        self._name = name
        self._detach = detach
        self._source_copy = source_copy
        self._server: PrivateServer | None = None
        self._client: Client | None = None
        self._link: BlockingLink | None = None
        self._close_request = 0
        self._listener: threading.Thread | None = None
        self._owner = 0  #: pid of the process that began the run

    # ------------------------------------------------------------ begin

    def __enter__(self) -> A:
        app = self._app
        if app.session is not None:
            raise InvalidError(f"{app.description} is already running")
        self._owner = os.getpid()
        described, problems = without_missing_secrets(app.describe())
        specs = specs_of(described) if self._source_copy is None else self._source_copy.specs
        try:
            settings = Settings.load()
            client = self._client = Client(self._address(settings), settings.token, settings)
            link = self._link = client.new_link()
            opened = self._open(link, described, specs)
        except BaseException:
            self._release()
            raise
        app.app_id = opened.app_id
        _show(problems)
        problems |= {name: InvalidError(why) for name, why in opened.problems.items()}
        app.session = Session(client, opened.app_id, opened.function_ids, problems)
        app.session.begin()
        return app

    def _address(self, settings: Settings) -> str:
        """Return the address of the server: the one in the settings, or the daemon, or a private one."""
        if settings.server not in ("", PRIVATE):
            return settings.server
        found = "" if settings.server == PRIVATE else daemon_address(settings)
        if found:
            return found
        self._server = PrivateServer.join()
        return self._server.address

    def _open(self, link: BlockingLink, described: AppSpec, specs: list[FunctionSpec]) -> AppOpened:
        output = current_output()
        environment, archive = present_environment(), b""
        is_for_elsewhere = link.welcome.wants_bundles
        if is_for_elsewhere:
            check_python(link.welcome.python)
        if self._source_copy is not None and is_for_elsewhere:
            from swell.sdk.deploy.bundling import bundle_copy

            specs, environment, archive = bundle_copy(self._source_copy)
        elif self._source_copy is not None:
            environment = self._source_copy.environment
        elif is_for_elsewhere or (self._detach and self._server is None):
            # Containers do not see its files; or it continues when this program has ended, and edits of its files must
            # not change it.
            from swell.sdk.deploy.bundling import bundle

            specs, environment, archive = bundle(described, is_for_elsewhere=is_for_elsewhere)
        environment = replace(environment, argv=command_line())
        self._close_request = link.next_request()

        def open_app(request: int) -> OpenApp:
            title = one_line(self._name or self._app.description)[:TEXT_MAX]
            is_watched = output is not None
            return OpenApp(
                request=request,
                app_id=mint_id(APP),
                name=title,
                environment=environment,
                functions=specs,
                watch=is_watched,
                detach=self._detach,
            )

        opened = run_blocking(link.ask(AppOpened, open_app, archive))
        show_notices(link)
        if output is not None:
            mailbox = link.open(UNSOLICITED, self._close_request)
            link.close(link.unsolicited)
            self._listener = threading.Thread(
                target=_listen, args=(link, mailbox, output), name="swell-output", daemon=True
            )
            self._listener.start()
        return opened

    # ------------------------------------------------------------ end

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if self._owner != os.getpid():
            return False  # a forked child leaves the block: the run belongs to the parent, and continues
        app, session = self._app, self._app.session
        parting = self._parting()
        try:
            if session is not None and self._link is not None:
                session.end()
                self._close(self._link, session.app_id, "" if exc is None else plain(repr_of(exc)[:1_000]))
        finally:
            app.session = None
            self._release()
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            output = current_output()
            if output is not None:
                output.notice(parting)
            else:
                sys.stderr.write(f"{parting}\n")
            return True
        return False

    def _parting(self) -> str:
        """Return the message for a user who ends the run by Ctrl-C."""
        if not self._detach or self._server is not None:
            return "App aborted"
        app_id = self._app.app_id
        return (
            "Shutting down. The App goes on until the calls that were spawned have ended: "
            f"`swell app logs -f {app_id}` shows what it prints, `swell app stop {app_id}` stops it"
        )

    def _close(self, link: BlockingLink, app_id: str, reason: str) -> None:
        """Stop the App, and wait until all of its containers have ended."""
        if self._detach or link.broken is not None:
            return
        message = CloseApp(self._close_request, app_id, reason)
        if self._listener is None:
            run_blocking(link.request(self._close_request, message))
        else:
            link.send(message)
            self._listener.join()

    def _release(self) -> None:
        if self._link is not None:
            self._link.shut()
        if self._client is not None:
            self._client.shut()
        server, self._server = self._server, None
        if server is not None:
            server.leave()

    # ------------------------------------------------------------ async form

    async def __aenter__(self) -> A:
        import asyncio

        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        import asyncio

        return await asyncio.to_thread(self.__exit__, kind, exc, traceback)


def _show(problems: Mapping[str, Error]) -> None:
    """Tell which functions the run is without, as what the server tells is told."""
    output = current_output()
    for problem in problems.values():
        text = f"{problem}. The other functions of the app run"
        if output is not None:
            output.notice(text)
        else:
            warnings.warn(text, ServerWarning, stacklevel=2)


def _listen(link: BlockingLink, mailbox: Mailbox, output: Output) -> None:
    """Show the server's messages about the App, until the App is closed or the connection ends."""
    while True:
        try:
            message, payload = run_blocking(link.receive(mailbox))
        except Error:
            return  # calls that wait for results raise their own errors
        match message:
            case Log():
                output.log(message, payload.decode(errors="replace"))
            case Progress():
                output.progress(message)
            case Notice():
                output.notice(message.text)
            case Done():
                return
            case _:
                pass
