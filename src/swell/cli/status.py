"""`swell status`: whether the server that stays runs, where, and how much there is. This module must not know more."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Final

import click

from swell.cli.options import json_option
from swell.cli.rpc import ask
from swell.cli.show import former, terminal
from swell.cli.show.json_output import fields_of, print_json
from swell.cli.show.times import duration_text
from swell.config import Settings
from swell.discovery import data_dir
from swell.documents.server import server_status
from swell.errors import ConnectionError
from swell.server.data_directory import holder
from swell.wire.queries import GetStatus, Status

__all__ = ["status"]

EXIT_NOT_RUNNING: Final = 3  #: as service managers understand it


@click.command(epilog="Example: swell status || swell start", short_help="Tell how the server that stays is doing.")
@json_option
def status(as_json: bool) -> None:
    """Tell whether the server that stays runs, and how it is doing.

    Exit code: 0 if it runs, 3 if not.
    """
    settings = Settings.load()
    try:
        found = ask(Status, GetStatus)
    except ConnectionError as error:
        directory = data_dir(settings)
        pid = holder(Path(directory))
        if as_json:
            print_json({"is_running": False, "pid": pid, "data_dir": directory})
        elif pid is None:
            terminal.line(str(error))
        else:
            terminal.line(
                f"a server (pid {pid}) has the data directory {directory} and does not answer: it begins or ends"
            )
        sys.exit(EXIT_NOT_RUNNING)
    if as_json:
        print_json(_as_json(found))
    else:
        _print(found)


def _as_json(found: Status) -> dict[str, Any]:
    here = {
        "is_running": True,
        "uptime_s": round(time.time() - found.started_at, 3),
        "admin_url": found.admin_url,
        "admin_token_file": found.admin_token_file,
    }
    return former.server_status(fields_of(server_status(found))) | here


def _print(found: Status) -> None:
    terminal.line(f"swell {found.version} runs (pid {found.pid}), for {duration_text(time.time() - found.started_at)}")
    facts = {
        "data directory": found.data_dir,
        "address": found.address,
        "web endpoints": found.web_url or found.web_trouble,
        "dashboard": f"{found.admin_url} (swell dashboard opens it)" if found.admin_url else "",
        "its token": found.admin_token_file if found.admin_url else "",
        "apps": f"{found.apps:,}",
        "containers": f"{found.containers:,}",
        "inputs": f"{found.pending:,} waiting, {found.running:,} running, {found.done:,} done since it started",
    }
    for name, value in facts.items():
        if value:
            terminal.line(f"  {name:<16}{value}")
