"""`swell stop`: the server that stays ends, in order, with all that it started.

This module must not know how a server is found or ended.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from swell.cli.background import end
from swell.cli.show import terminal
from swell.cli.show.numbers import Seconds
from swell.config import Settings
from swell.discovery import data_dir

__all__ = ["patience_option", "stop", "stop_server"]

SLACK_S: Final = 15.0  #: beyond the grace of containers, for writing down what they leave

patience_option = click.option(
    "--timeout",
    type=Seconds(min=0),
    metavar="SECONDS",
    help="How long to wait; by default the grace of containers (exit_grace_s) and some seconds.",
)


@click.command(epilog="Example: swell stop --timeout 120", short_help="Stop the server that stays.")
@patience_option
def stop(timeout: float | None) -> None:
    """Stop the server that stays, and wait until nothing of it is left.

    Containers may finish what they run, within exit_grace_s. Deployed Apps and spawned calls are kept and go on when it
    is started again; what was called with remote() or map() ends. Where none runs, nothing happens.
    """
    settings = Settings.load()
    directory = Path(data_dir(settings))
    if stop_server(directory, settings, timeout) is None:
        terminal.line(f"No server runs on {directory}")


def stop_server(directory: Path, settings: Settings, timeout: float | None) -> int | None:
    """Stop the server of a data directory and say so; return its pid, None if there was none."""
    pid = end(directory, settings.exit_grace_s + SLACK_S if timeout is None else timeout)
    if pid is not None:
        terminal.line(f"The server is stopped (pid {pid})")
    return pid
