"""`swell start`: the server that stays, in the background or for a supervisor such as systemd.

This module must not know how a server is started or found.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Final

import click

from swell.cli.background import launch, log_path, turn
from swell.cli.show import terminal
from swell.config import Settings
from swell.discovery import data_dir
from swell.errors import ConflictError
from swell.sdk.connection.client import lasting_address
from swell.server.data_directory import holder

__all__ = ["start", "start_in_background"]

EXAMPLES: Final = """\b
Examples:
  swell start                            in the background; returns when it is up
  SWELL_DATA_DIR=~/other swell start     another one, with apps of its own
  swell start --foreground               under systemd: see docs/swell.service
"""


@click.command(epilog=EXAMPLES, short_help="Start the server that stays.")
@click.option("--foreground", is_flag=True, help="Stay in this terminal, or under its supervisor, and log to stderr.")
def start(foreground: bool) -> None:
    """Start the server that stays: deployed Apps live there, and what was spawned goes on there.

    It keeps what must survive in its data directory, writes what it has to say to server.log there, and goes on until
    `swell stop`. Where one runs already, nothing happens.
    """
    settings = Settings.load()
    directory = Path(data_dir(settings))
    if foreground:
        _stay_here(directory, settings)
    else:
        start_in_background(directory, settings)


def start_in_background(directory: Path, settings: Settings) -> None:
    """Start a server unless one runs, and say so."""
    with turn(directory):
        pid = holder(directory)
        if pid is None:
            pid = launch(directory)
            terminal.line(
                f"The server runs (pid {pid}). What it keeps is in {directory}; its log is {log_path(directory)}"
            )
        elif lasting_address(settings):
            terminal.line(f"The server runs already (pid {pid}), on {directory}")
        else:
            raise ConflictError(
                f"a server (pid {pid}) has the data directory {directory} and does not answer: perhaps it is about to "
                "end. Try again in a moment; `swell stop` waits until it is gone"
            )


def _stay_here(directory: Path, settings: Settings) -> None:
    from swell.server.main import stay

    with contextlib.ExitStack() as until_up:
        until_up.enter_context(turn(directory))

        def up() -> None:
            until_up.close()
            _notify_supervisor()

        stay(directory, settings, up)


def _notify_supervisor() -> None:
    """Tell systemd, if it asked to be told, that the server is up (`Type=notify`)."""
    address = os.environ.pop("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket
        address = f"\0{address[1:]}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.sendto(b"READY=1", address)
