"""`swell serve`: an App while it is being written, with its web functions' URLs; reloaded when a file is saved.

This module must not know how workers are started or replaced.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import click

from swell.cli import exit_codes, reference
from swell.cli.options import environment_option
from swell.cli.reload.reload_worker import ReloadTarget
from swell.cli.reload.reloader import INTERRUPTED, Reloader
from swell.cli.show.display import Display
from swell.cli.show.numbers import Seconds
from swell.config import Settings
from swell.sdk.connection.client import PRIVATE, Client, daemon_address
from swell.sdk.connection.private_server import PrivateServer

__all__ = ["serve"]

EXAMPLES: Final = """\b
Examples:
  swell serve site.py                     the App that the variable app holds
  swell serve site.py::shop               the one in another variable
  swell serve -m package.site             in a module, by its dotted name
  swell serve site.py --timeout 600       for ten minutes
"""


@click.command(epilog=EXAMPLES, short_help="Run the App of a file, and reload it whenever a file is saved.")
@click.option("-m", "is_module", is_flag=True, help="APP_REF names a module, as in package.module::app.")
@click.option("-n", "--name", help="What to call this run, and its URLs.")
@click.option("--timeout", "timeout_s", type=Seconds(min=0, min_open=True), help="End after so many seconds.")
@click.option("--timestamps", is_flag=True, help="Begin every log line with the local time.")
@environment_option
@click.argument("app_ref", metavar="APP_REF")
def serve(app_ref: str, is_module: bool, name: str | None, timeout_s: float | None, timestamps: bool) -> None:
    """Run an App until Ctrl-C, with the URLs of its web functions, and reload it whenever one of its files is saved.

    The files are those that its code imports. A fresh process loads the changed App and takes over without losing a
    request; if it cannot load the App, the error is shown, and the process before goes on.

    APP_REF is path.py or path.py::variable; the variable is app if none is named.
    """
    meant = reference.parse(app_ref, is_module=is_module, command="swell serve")
    settings = Settings.load()
    with (
        Display(name or meant.source, timestamps=timestamps) as display,
        tempfile.TemporaryDirectory(prefix="swell-serve-") as copies,
        _server(settings) as address,
    ):
        client = Client(address, settings.token, settings)
        target = ReloadTarget(app_ref, is_module, name, address)
        why = asyncio.run(Reloader(target, client, display, copies, timeout_s=timeout_s).run())
        if why == INTERRUPTED:
            display.notice("App aborted")
    if why == INTERRUPTED:
        sys.exit(exit_codes.INTERRUPTED)


@contextmanager
def _server(settings: Settings) -> Generator[str]:
    """Yield the address of the server: the one that is named, the daemon, or a private one."""
    if settings.server not in ("", PRIVATE):
        yield settings.server
        return
    found = "" if settings.server == PRIVATE else daemon_address(settings)
    if found:
        yield found
        return
    server = PrivateServer.join()
    try:
        yield server.address
    finally:
        server.leave()
