"""`swell restart`: the server that stays ends and begins anew. This module must not know how."""

from __future__ import annotations

from pathlib import Path

import click

from swell.cli.start import start_in_background
from swell.cli.stop import patience_option, stop_server
from swell.config import Settings
from swell.discovery import data_dir

__all__ = ["restart"]


@click.command(epilog="Example: SWELL_STORE_SYNC=normal swell restart", short_help="Restart the server that stays.")
@patience_option
def restart(timeout: float | None) -> None:
    """Stop the server that stays, if it runs, and start it: with settings that have changed, or a new version of swell.

    Deployed Apps and spawned calls go on. Programs that wait for a spawned call connect again by themselves.
    """
    settings = Settings.load()
    directory = Path(data_dir(settings))
    stop_server(directory, settings, timeout)
    start_in_background(directory, settings)
