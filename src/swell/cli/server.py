"""`swell start`, `stop`, `restart` and `status`: the daemon, in the background or for a supervisor such as systemd.

This module must not know how a process is started or ended.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final

import click

from swell.cli import exit_codes
from swell.cli.backend_choice import backend_options, chosen, prefer
from swell.cli.options import json_option
from swell.cli.rpc import ask
from swell.cli.server_process import end, launch, log_path, turn
from swell.cli.show import former, terminal
from swell.cli.show.json_output import fields_of, print_json
from swell.cli.show.numbers import Seconds
from swell.cli.show.times import duration_text
from swell.config import Settings
from swell.discovery import announced, data_dir
from swell.documents.server import server_status
from swell.errors import ConflictError, ConnectionError
from swell.escaping import one_line
from swell.sdk.connection.client import daemon_address
from swell.sdk.connection.link import is_elsewhere
from swell.server.data_directory import holder, make_data_dir, unwritable
from swell.server.remembered import remember, remembered
from swell.wire.queries import GetStatus, Status

__all__ = ["restart", "start", "status", "stop"]

SLACK_S: Final = 15.0  #: beyond the grace of containers, for writing down what they have not finished

START_EXAMPLES: Final = """\b
Examples:
  swell start                            in the background; returns when it is up
  SWELL_DATA_DIR=~/other swell start     another one, with Apps of its own
  swell start --foreground               under systemd: see docs/swell.service
  SWELL_LISTEN_PORT=8702 swell start     for programs on other machines, too: see docs/elsewhere.md
  swell start --backend ray              with the nodes of the Ray cluster of this machine
"""

_timeout_option = click.option(
    "--timeout",
    type=Seconds(min=0),
    metavar="SECONDS",
    help="How long to wait; by default the grace of containers (exit_grace_s) and some seconds.",
)


# ---------------------------------------------------------------- starting and stopping


@click.command(epilog=START_EXAMPLES, short_help="Start the daemon.")
@click.option("--foreground", is_flag=True, help="Run in this terminal, or under its supervisor, and log to stderr.")
@backend_options
def start(foreground: bool, backend: str | None, address: str | None) -> None:
    """Start the daemon: the server that deployed Apps live on, and that runs spawned calls to their end.

    It keeps Apps, calls and results in its data directory, logs to server.log there, and runs until `swell stop`. If it
    runs already, nothing happens.

    Where its containers run is remembered in the data directory.
    """
    settings = Settings.load()
    directory = Path(data_dir(settings))
    if where := chosen(backend, address):
        _remember(directory, where)
        prefer(where)
    settings = Settings.load(remembered=remembered(directory))
    if foreground:
        _serve_here(directory, settings)
    else:
        _start_in_background(directory, settings)


@click.command(epilog="Example: swell stop --timeout 120", short_help="Stop the daemon.")
@_timeout_option
def stop(timeout: float | None) -> None:
    """Stop the daemon, and wait until all processes that it started have ended.

    Containers may finish the inputs they run, within exit_grace_s. Deployed Apps and spawned calls are kept and go on
    with the next start; calls by remote() and map() end. If no daemon runs, nothing happens.
    """
    settings = Settings.load()
    directory = Path(data_dir(settings))
    if _stop(directory, settings, timeout) is None:
        terminal.line(f"No server runs on {directory}")


@click.command(epilog="Example: SWELL_STORE_SYNC=normal swell restart", short_help="Restart the daemon.")
@_timeout_option
def restart(timeout: float | None) -> None:
    """Stop the daemon, if it runs, and start it: with settings that have changed, or a new version of swell.

    Deployed Apps and spawned calls go on. Programs that wait for a spawned call connect again by themselves.
    """
    settings = Settings.load()
    directory = Path(data_dir(settings))
    _stop(directory, settings, timeout)
    _start_in_background(directory, settings)


def _remember(directory: Path, where: dict[str, str]) -> None:
    pid = holder(directory)
    if pid is not None:
        raise ConflictError(
            f"a server (pid {pid}) runs on {directory}, and its containers stay where they are: `swell stop` first"
        )
    make_data_dir(directory)
    try:
        remember(directory, where)
    except OSError as error:
        raise unwritable(directory, error) from None


def _start_in_background(directory: Path, settings: Settings) -> None:
    with turn(directory):
        pid = holder(directory)
        if pid is None:
            pid = launch(directory)
            terminal.line(
                f"The server runs (pid {pid}). What it keeps is in {directory}; its log is {log_path(directory)}"
            )
            _print_remote_address(directory)
        elif daemon_address(settings):
            terminal.line(f"The server runs already (pid {pid}), on {directory}")
        else:
            raise ConflictError(
                f"a server (pid {pid}) has the data directory {directory} and does not answer: perhaps it is about to "
                "end. Try again in a moment; `swell stop` waits until it is gone"
            )


def _print_remote_address(directory: Path) -> None:
    """Show how programs on other machines reach the server that has just been started."""
    found = announced(str(directory))
    if found is not None and found.remote_address:
        token = f"$(cat {found.remote_token_file})" if found.remote_token_file else "… (as it is set here)"
        terminal.line("Programs on other machines reach it by")
        terminal.line(f"  SWELL_SERVER={found.remote_address}")
        terminal.line(f"  SWELL_TOKEN={token}")


def _serve_here(directory: Path, settings: Settings) -> None:
    from swell.server.main import run_daemon

    with contextlib.ExitStack() as until_up:
        until_up.enter_context(turn(directory))

        def up() -> None:
            until_up.close()
            _notify_supervisor()

        run_daemon(directory, settings, up)


def _notify_supervisor() -> None:
    """Notify systemd that the server is up, if its unit has `Type=notify`."""
    address = os.environ.pop("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket
        address = f"\0{address[1:]}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.sendto(b"READY=1", address)


def _stop(directory: Path, settings: Settings, timeout: float | None) -> int | None:
    """Stop the server of a data directory; return its pid, None if there was none."""
    pid = end(directory, settings.exit_grace_s + SLACK_S if timeout is None else timeout)
    if pid is not None:
        terminal.line(f"The server is stopped (pid {pid})")
    return pid


# ---------------------------------------------------------------- status


@click.command(epilog="Example: swell status || swell start", short_help="Show whether the daemon runs.")
@json_option
def status(as_json: bool) -> None:
    """Show whether the daemon runs, where, and how many Apps, containers and inputs it has.

    Exit code: 0 if it runs, 3 if not.
    """
    settings = Settings.load()
    try:
        found = ask(Status, GetStatus)
    except ConnectionError as error:
        _print_not_running(data_dir(settings), error, as_json=as_json)
        sys.exit(exit_codes.NOT_RUNNING)
    if as_json:
        print_json(_as_json(found))
    else:
        _print(found)


def _print_not_running(directory: str, error: ConnectionError, *, as_json: bool) -> None:
    is_remote = is_elsewhere(Settings.load().server)
    pid = None if is_remote else holder(Path(directory))
    if as_json:
        print_json({"is_running": False, "pid": pid, "data_dir": "" if is_remote else directory})
    elif pid is None:
        terminal.line(str(error))
    else:
        terminal.line(f"a server (pid {pid}) has the data directory {directory} and does not answer: it begins or ends")


def _as_json(found: Status) -> dict[str, Any]:
    here = {
        "is_running": True,
        "uptime_s": round(time.time() - found.started_at, 3),
        "admin_url": found.admin_url,
        "admin_token_file": found.admin_token_file,
        "remote_token_file": found.remote_token_file,
    }
    return former.server_status(fields_of(server_status(found))) | here


def _print(found: Status) -> None:
    terminal.line(f"swell {found.version} runs (pid {found.pid}), for {duration_text(time.time() - found.started_at)}")
    facts = {
        "data directory": found.data_dir,
        "address": found.address,
        "elsewhere": f"SWELL_SERVER={found.remote_address}" if found.remote_address else "",
        "with the token": (found.remote_token_file or "in SWELL_TOKEN") if found.remote_address else "",
        "nodes": found.nodes_trouble,
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
    for node in found.refused_nodes:
        terminal.line(f"  node {one_line(node.name)} was refused: {one_line(node.reason)}")
