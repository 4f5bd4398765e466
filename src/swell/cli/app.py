"""`swell app`: lists, shows, tags and stops the Apps on the daemon.

This module must not know how versions follow each other, or how logs are read.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import click

from swell.cli.app_versions import history, rollback, rollover
from swell.cli.logs import Reading, log_options, print_logs
from swell.cli.options import environment_option, json_option, yes_option
from swell.cli.resolve import match_app, resolve_app, resolve_container
from swell.cli.rpc import ask
from swell.cli.show import former, terminal
from swell.cli.show.addresses import shown_url
from swell.cli.show.describe import containers_text, inputs_text, plan_text, schedule_text, settings_text
from swell.cli.show.json_output import fields_of, print_json
from swell.cli.show.table import Column, print_table
from swell.cli.show.times import local, time_text
from swell.documents.apps import app_detail, app_summary
from swell.errors import InvalidError
from swell.names import check_tags, shown_name
from swell.wire.apps import AppFound, FindApp, StopApp, TagApp
from swell.wire.messages import Done
from swell.wire.queries import AppDescription, AppList, AppRow, DescribeApp, FunctionRow, ListApps, VersionRow

__all__ = ["app"]

EXAMPLES: Final = """\b
Examples:
  swell app list
  swell app show squares
  swell app logs squares -f
  swell app history squares
  swell app rollback squares v3
  swell app stop squares
"""

_COLUMNS: Final = (
    Column("App ID", is_id=True),
    Column("Name"),
    Column("State"),
    Column("Version", is_optional=True),
    Column("Containers"),
    Column("Waiting"),
    Column("Running"),
    Column("Created at"),
    Column("Stopped at", is_optional=True),
)


@click.group(epilog=EXAMPLES, short_help="Apps: list, show, stop, logs, versions.")
def app() -> None:
    """Show and change the Apps on the daemon.

    APP is the name of an App, its id, or the beginning of that.
    """


app.add_command(history)
app.add_command(rollback)
app.add_command(rollover)


@app.command("list", short_help="List Apps that run, or were stopped lately.")
@json_option
@environment_option
def list_(as_json: bool) -> None:
    """List the Apps that run, and those that were stopped lately; the latest first."""
    apps = ask(AppList, ListApps).apps
    if as_json:
        print_json([former.app_in_list(fields_of(app_summary(row))) for row in apps])
        return
    rows = [
        (
            row.app_id,
            row.name,
            row.state,
            f"v{row.version}" if row.version else None,
            row.containers,
            row.pending,
            row.running,
            local(row.created_at),
            None if row.stopped_at is None else local(row.stopped_at),
        )
        for row in apps
    ]
    print_table(_COLUMNS, rows, nothing="No Apps: `swell deploy` makes one that stays")


# ---------------------------------------------------------------- one App


@app.command(short_help="Show one: functions, containers, and why so many.")
@click.argument("app_meant_by", metavar="APP")
@json_option
@environment_option
def show(app_meant_by: str, as_json: bool) -> None:
    """Show an App with its functions: containers, inputs, settings in force, and why that many containers."""
    app_id = resolve_app(app_meant_by).app_id
    found = ask(AppDescription, lambda request: DescribeApp(request, app_id))
    if as_json:
        print_json(former.app_shown(fields_of(app_detail(found))))
    else:
        _print(found)


def _print(found: AppDescription) -> None:
    row = found.app
    version = f", v{row.version}" if row.version else ""
    terminal.line(f"{row.name} ({row.app_id}): {row.state}{version}", bold=True)
    terminal.line(f"  created     {time_text(local(row.created_at))}")
    if row.stopped_at is not None:
        terminal.line(f"  stopped     {time_text(local(row.stopped_at))}")
    if found.live is not None and row.state == "deployed":
        terminal.line(f"  deployed    {_deployment_text(found.live)}")
    if found.tags:
        terminal.line(f"  tags        {_tags_text(found.tags)}")
    for function in found.functions:
        terminal.line()
        terminal.line(f"  {_function_title(function, row)}", bold=True)
        for name, text in _function_facts(function).items():
            if text:
                terminal.line(f"    {name:<12}{text}")
    if found.urls:
        terminal.line()
        terminal.line("  web endpoints", bold=True)
        for name, url in found.urls.items():
            terminal.line(f"    {name:<12}{shown_url(url, is_site=name in found.sites)}")


def _deployment_text(live: VersionRow) -> str:
    made = live.provenance
    by = f" by {made.deployed_by}" if made.deployed_by else ""
    commit = f", commit {made.commit}" if made.commit else ""
    tag = f", tag {live.tag}" if live.tag else ""
    return f"{time_text(local(live.deployed_at))}{by}{commit}{tag}"


def _function_title(function: FunctionRow, of: AppRow) -> str:
    name = shown_name(function.name)
    if function.is_retired:
        return f"{name} (no longer in this App: it finishes what it has)"
    return name if function.version == of.version or not of.version else f"{name} (v{function.version})"


def _function_facts(function: FunctionRow) -> dict[str, str]:
    return {
        "containers": containers_text(function),
        "wanted": plan_text(function),
        "inputs": inputs_text(function),
        "settings": settings_text(function.settings),
        "placement": function.placement,
        "schedule": schedule_text(function) if function.schedule else "",
        "id": function.function_id,
    }


@app.command(epilog="Example: swell app tag squares team=vision stage=", short_help="Show or set tags.")
@click.argument("app_meant_by", metavar="APP")
@click.argument("tags", metavar="[KEY=VALUE]...", nargs=-1)
@environment_option
def tag(app_meant_by: str, tags: tuple[str, ...]) -> None:
    """Show the tags of a deployed App, or set some of them. KEY= removes one; the others stay."""
    app_id = resolve_app(app_meant_by).app_id
    present = ask(AppFound, lambda request: FindApp(request, app_id)).tags
    for text in tags:
        key, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"{text!r} is no tag: write KEY=VALUE, or KEY= to remove it")
        present = {**present, key: value} if value else {name: kept for name, kept in present.items() if name != key}
    if tags:
        wanted = check_tags(present)
        ask(Done, lambda request: TagApp(request, app_id, wanted))
    terminal.line(_tags_text(present) or "no tags")


def _tags_text(tags: dict[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in tags.items())


@app.command(short_help="Stop one for good.")
@click.argument("app_meant_by", metavar="APP")
@yes_option
@environment_option
def stop(app_meant_by: str, yes: bool) -> None:
    """Stop an App for good: stop its containers and end its calls. Returns when nothing of it is left."""
    row = match_app(ask(AppList, ListApps).apps, app_meant_by)
    title = f"{row.name} ({row.app_id})"
    if row.state == "stopped":
        raise InvalidError(f"{title} is stopped already")
    if not yes:
        _confirm(title, row)
    ask(Done, lambda request: StopApp(request, row.app_id))
    terminal.line(f"{title} is stopped")


def _confirm(title: str, row: AppRow) -> None:
    inputs = row.pending + row.running
    loss = f"{row.containers:,} containers leave, and {inputs:,} inputs end ({row.running:,} of them running)"
    if not sys.stdin.isatty():
        raise InvalidError(f"{title} was not stopped: {loss}. There is no terminal to ask on; --yes means it")
    terminal.confirm(f"Stop {title}? {loss}. It cannot be undone")


# ---------------------------------------------------------------- logs

LOG_EXAMPLES: Final = """\b
Examples:
  swell app logs squares                  the latest 100 entries
  swell app logs squares -f               these, and those that follow
  swell app logs squares --since 2h --search error
  swell app logs squares --since 2026-05-01T14:00 --until 2026-05-01T15:00 -s stderr
  swell app logs squares --function square --timestamps -n 20
"""


@app.command(epilog=LOG_EXAMPLES, short_help="Show what its containers wrote.")
@click.argument("app_meant_by", metavar="APP")
@click.option("--function", default="", metavar="NAME", help="Only what this function, or class, wrote.")
@click.option("--function-call", default="", metavar="ID", help="Only what was written while inputs of this call ran.")
@click.option("--container", default="", metavar="ID", help="Only what this container wrote.")
@log_options
@environment_option
def logs(app_meant_by: str, function: str, function_call: str, container: str, **options: Any) -> None:
    """Show what the containers of an App wrote, and messages of swell about it."""
    reading = Reading(**options).checked()
    app_id = resolve_app(app_meant_by).app_id
    container_id = resolve_container(container) if container else ""
    print_logs(app_id, reading, function=function, call_id=function_call, container_id=container_id)
