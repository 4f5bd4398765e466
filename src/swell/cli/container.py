"""`swell container`: lists and stops containers on the daemon, shows their logs, and runs commands beside them.

This module must not know which environment such a command gets, or how logs are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click
from msgspec.structs import replace

from swell.cli.exec import exec_
from swell.cli.logs import Reading, log_options, print_logs
from swell.cli.options import environment_option, json_option, yes_option
from swell.cli.resolve import resolve_app, resolve_container
from swell.cli.rpc import ask
from swell.cli.show import former, terminal
from swell.cli.show.json_output import fields_of, print_json
from swell.cli.show.table import Column, print_table
from swell.cli.show.times import local
from swell.documents.containers import container_summary
from swell.names import shown_name
from swell.wire.messages import Done
from swell.wire.queries import AppList, ContainerList, ContainerRow, ListApps, ListContainers, StopContainer

__all__ = ["container"]

ENDED_SHOWN: Final = 100
EVERYTHING: Final = 1_000_000  #: entries

EXAMPLES: Final = """\b
Examples:
  swell container list --app-id squares
  swell container logs ta-K7QF2M -f
  swell container exec ta-K7QF2M python -c 'import numpy; print(numpy.__version__)'
  swell container stop ta-K7QF2M --graceful
"""

_COLUMNS: Final = (
    Column("Container ID", is_id=True),
    Column("App ID", is_id=True),
    Column("App Name"),
    Column("Function"),
    Column("State"),
    Column("Running"),
    Column("Served"),
    Column("Start Time", missing="Pending"),
)
_COLUMNS_ENDED: Final = (Column("End Time"), Column("Reason"))


@click.group(epilog=EXAMPLES, short_help="Containers: list, logs, exec, stop.")
def container() -> None:
    """Show the containers on the daemon, stop one, or run a command beside one.

    ID is the id of a container, or its beginning, as log lines show it.
    """


container.add_command(exec_)


@container.command("list", short_help="List containers; with --all, ended ones too.")
@click.option("--app-id", "app_meant_by", default="", metavar="APP", help="Only those of this App: its id or name.")
@click.option("-a", "--all", "with_ended", is_flag=True, help=f"Ended ones, too: the latest {ENDED_SHOWN}.")
@json_option
@environment_option
def list_(app_meant_by: str, with_ended: bool, as_json: bool) -> None:
    """List containers, the latest first."""
    app_id = resolve_app(app_meant_by).app_id if app_meant_by else ""
    gone = ENDED_SHOWN if with_ended else 0
    found = ask(ContainerList, lambda request: ListContainers(request, app_id, gone)).containers
    names = {row.app_id: row.name for row in ask(AppList, ListApps).apps} if gone else {}
    found = [_named(row, names) for row in found]
    if as_json:
        with_former = former.container_gone if with_ended else former.container
        print_json([with_former(fields_of(container_summary(row))) for row in found])
        return
    columns = (*_COLUMNS, *_COLUMNS_ENDED) if with_ended else _COLUMNS
    rows = [
        (
            row.container_id,
            row.app_id,
            row.app_name,
            shown_name(row.function_name),
            row.state,
            row.running,
            row.served,
            None if row.ready_at is None else local(row.ready_at),
            None if row.ended_at is None else local(row.ended_at),
            row.reason or None,
        )[: len(columns)]
        for row in found
    ]
    print_table(columns, rows, nothing="No containers: they start when there is work for them")


def _named(row: ContainerRow, names: Mapping[str, str]) -> ContainerRow:
    """Return a row with the name of its app, which the server does not know of one that was stopped."""
    return row if row.app_name else replace(row, app_name=names.get(row.app_id, ""))


@container.command(epilog="Example: swell container logs ta-K7QF2M --since 10m", short_help="Show what one wrote.")
@click.argument("container_meant_by", metavar="ID")
@click.option("--all", "everything", is_flag=True, help="Everything that is kept.")
@log_options
@environment_option
def logs(container_meant_by: str, everything: bool, **options: Any) -> None:
    """Show what a container wrote; it may have ended."""
    reading = Reading(**options)
    if everything:
        if reading.follow or reading.tail is not None:
            raise click.UsageError("--all goes without --follow and --tail")
        reading = reading._replace(tail=EVERYTHING)
    print_logs("", reading.checked(), container_id=resolve_container(container_meant_by))


@container.command(epilog="Example: swell container stop ta-K7QF2M --graceful", short_help="Stop one.")
@click.argument("container_meant_by", metavar="ID")
@click.option("--graceful", is_flag=True, help="Let it finish the inputs it runs; it gets no more.")
@yes_option
@environment_option
def stop(container_meant_by: str, graceful: bool, yes: bool) -> None:
    """Stop a container. Its inputs are interrupted and run again elsewhere, unless --graceful lets it finish them.

    Nothing is lost, so nothing is asked; --yes is accepted for compatibility.
    """
    container_id = resolve_container(container_meant_by)
    ask(Done, lambda request: StopContainer(request, container_id, graceful))
    terminal.line(f"{container_id} {'leaves when it has finished what it runs' if graceful else 'is interrupted'}")
