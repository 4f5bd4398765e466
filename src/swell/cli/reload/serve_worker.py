"""A worker of `swell serve`: loads the user's file, opens the App, and holds it open until the command stops it.

Each worker is a process of its own, so that no module of an older state of the files is loaded in it. Containers read
copies of the files, so that saving a file changes nothing for a worker that runs. This module must not know when a
worker is started, or what is shown of it.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
import threading
import time
import traceback
import warnings
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

from swell.cli import reference
from swell.cli.app_choice import choose_app
from swell.cli.failure import text_of
from swell.cli.reload.serve_protocol import RETIRE, Created, Failed, Opened, Relay
from swell.cli.show import terminal
from swell.cli.show.addresses import web_addresses
from swell.config import Settings
from swell.errors import ConnectionError, Error
from swell.sdk.connection.blocking import run_blocking
from swell.sdk.connection.output import enable_output
from swell.sdk.deploy.bundling import copy_sources
from swell.sdk.deploy.roots import Roots
from swell.sdk.deploy.running import run_app
from swell.sdk.deploy.specs import without_missing_secrets
from swell.signals import reset_signals
from swell.wire.messages import CloseApp

if TYPE_CHECKING:
    from swell.cli.reference import Reference
    from swell.sdk.app import App
    from swell.sdk.connection.session import Session

__all__ = ["main"]

_HERE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
LOOK_AGAIN_S: Final = 0.1  #: between checks whether a retired worker has to end at once


def main() -> None:
    """Entry point of `python -m swell.cli.reload.serve_worker`; `swell serve` starts it."""
    parser = argparse.ArgumentParser(
        prog="swell.cli.reload.serve_worker", description="A worker of swell serve, which starts it."
    )
    parser.add_argument(
        "--control-fd", type=int, required=True, help="read: a byte retires the worker, end of file closes it"
    )
    parser.add_argument("--reports-fd", type=int, required=True, help="written: what happens")
    parser.add_argument("--copy-dir", required=True, help="to be made, for copies of the user's files")
    parser.add_argument("--module", action="store_true", help="APP_REF names a module")
    parser.add_argument("--name", help="what to call the App")
    parser.add_argument("app_ref", metavar="APP_REF")
    options = parser.parse_args()
    for fd in (options.control_fd, options.reports_fd):
        os.set_inheritable(fd, False)
    reset_signals()
    relay = Relay(options.reports_fd)
    app: App | None = None
    with suppress(ConnectionError), ExitStack() as stack:  # the command shows that the server has ended
        app = _open(options, relay, stack)
        if app is not None:
            _hold(app, options.control_fd, relay)
    terminal.flush()
    os._exit(0 if app is not None else 1)  # threads that the user's modules have started do not keep it


def _open(options: argparse.Namespace, relay: Relay, stack: ExitStack) -> App | None:
    """Load the App and open it; report success or failure."""
    try:
        meant = reference.parse(options.app_ref, is_module=options.module, command="swell serve")
        sys.argv = [meant.source]
        app = choose_app(meant, reference.load(meant))
        app.set_description(_plain_name(meant))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "installed as editable")  # those are watched by nobody, as ever
            source_copy = copy_sources(without_missing_secrets(app.describe())[0], options.copy_dir)
        stack.enter_context(enable_output(relay))
        stack.enter_context(run_app(app, name=options.name, source_copy=source_copy))
    except BaseException as error:
        relay.send(Failed(text_of(error), _files_read(options, error)))
        return None
    relay.send(Opened(source_copy.files))
    return app


def _plain_name(meant: Reference) -> str:
    return meant.source if meant.is_module else os.path.basename(meant.source).removesuffix(".py")


def _files_read(options: argparse.Namespace, error: BaseException) -> list[str]:
    """Return the user's files that have to do with a failure: those imported, that raised, or are no Python."""
    roots = Roots(sys.path)
    found = {os.path.abspath(options.app_ref.partition("::")[0])}
    found.update(file for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None)))
    seen: BaseException | None = error
    while seen is not None:
        found.update(frame.f_code.co_filename for frame, _ in traceback.walk_tb(seen.__traceback__))
        if isinstance(seen, SyntaxError) and seen.filename:
            found.add(seen.filename)
        seen = seen.__cause__ or seen.__context__
    return sorted(
        file for file in found if os.path.isfile(file) and not file.startswith(_HERE) and not roots.is_installed(file)
    )


def _hold(app: App, control_fd: int, relay: Relay) -> None:
    """Return when the App is to be closed."""
    session = app.session
    assert session is not None
    sender = threading.Thread(target=_send_urls, args=(app, session, relay), name="swell-urls", daemon=True)
    sender.start()
    if os.read(control_fd, 1) == RETIRE:
        _finish(session, control_fd)


def _send_urls(app: App, session: Session, relay: Relay) -> None:
    try:
        relay.send(Created(web_addresses(app, session.client, session.function_ids)))
    except Error as error:
        relay.send(Created({}, str(error)))


def _finish(session: Session, control_fd: int) -> None:
    """Have the server close the App when idle; return then, when that takes too long, or when the control pipe ends.

    The server closes it in the step in which its last request ends, so that none is cut off. A request that was routed
    to it before its successor had the labels, and arrives after that step, finds no such App: the edge, which knows the
    new routes by then, sends it to the successor.
    """
    until = time.monotonic() + Settings.load().exit_grace_s
    with suppress(Error):  # the server is gone, and everything with it
        link = session.client.blocking_link()
        request = link.next_request()
        done = link.open(request)
        link.send(CloseApp(request, session.app_id, "a newer worker has replaced it", when_idle=True))
        while not done.messages and time.monotonic() < until:
            if select.select([control_fd], [], [], 0)[0]:
                return
            run_blocking(link.changed(done, time.monotonic() + LOOK_AGAIN_S))


if __name__ == "__main__":
    main()
