"""`swell app history`, `rollback` and `rollover`: the versions of a deployed App.

This module must not know what a version consists of.
"""

from __future__ import annotations

import re
from typing import Any, Final

import click

from swell.bounds import whole_number
from swell.cli.options import environment_option, json_option, strategy_option
from swell.cli.resolve import resolve_app
from swell.cli.rpc import ask
from swell.cli.show import former, terminal
from swell.cli.show.json_output import fields_of, print_json
from swell.cli.show.table import Column, print_table
from swell.cli.show.times import local
from swell.documents.apps import version as version_document
from swell.errors import InvalidError
from swell.sdk.deploy.deploying import provenance, strategy_named
from swell.wire.apps import Deployed, RedeployApp
from swell.wire.queries import AppRow, ListVersions, VersionList

__all__ = ["history", "rollback", "rollover"]

_COLUMNS: Final = (
    Column("Version"),
    Column("Live"),
    Column("Time deployed"),
    Column("Client"),
    Column("Deployed by"),
    Column("Commit"),
    Column("Tag", is_optional=True),
)


class _Version(click.ParamType[int]):
    """A version as it is shown, such as v3."""

    name = "version"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if not re.fullmatch(r"v[1-9][0-9]{0,8}", value):
            advice = f"; did you mean v{value}?" if whole_number(value) else ""
            self.fail(f"{value!r} is no version: write it as `swell app history` does, as in v3{advice}", param, ctx)
        return int(value[1:])


@click.command(short_help="List its versions.")
@click.argument("app_meant_by", metavar="APP")
@json_option
@environment_option
def history(app_meant_by: str, as_json: bool) -> None:
    """List the versions of an App, the latest first: when each was deployed, by whom and from which commit.

    A commit with * was deployed with changes that were not committed.
    """
    app_id = resolve_app(app_meant_by).app_id
    found = ask(VersionList, lambda request: ListVersions(request, app_id)).versions
    if as_json:
        print_json([former.version(fields_of(version_document(each))) for each in found])
        return
    rows = [
        (
            f"v{each.version}",
            each.is_live,
            local(each.deployed_at),
            each.provenance.client,
            each.provenance.deployed_by,
            each.provenance.commit,
            each.tag,
        )
        for each in found
    ]
    print_table(_COLUMNS, rows, nothing="It was never deployed")


@click.command(epilog="Example: swell app rollback squares v3", short_help="Make a former version live again.")
@click.argument("app_meant_by", metavar="APP")
@click.argument("version", metavar="[vN]", type=_Version(), required=False)
@strategy_option
@environment_option
def rollback(app_meant_by: str, version: int | None, strategy: str) -> None:
    """Make a former version of a deployed App live again, as a new version; by default the one before the live one."""
    row = _deployed(app_meant_by)
    wanted = version or row.version - 1
    if not wanted:
        raise InvalidError(f"{row.name} has only one version, and nothing to go back to")
    made = _redeploy(RedeployApp(0, row.app_id, wanted, strategy=strategy_named(strategy), provenance=provenance()))
    terminal.line(f"{row.name}: v{wanted} is live again, as v{made.version}")


@click.command(epilog="Example: swell app rollover squares --strategy recreate", short_help="Replace its containers.")
@click.argument("app_meant_by", metavar="APP")
@strategy_option
@environment_option
def rollover(app_meant_by: str, strategy: str) -> None:
    """Replace the containers of a deployed App by fresh ones: a new version with the same code."""
    row = _deployed(app_meant_by)
    how = strategy_named(strategy)
    made = _redeploy(RedeployApp(0, row.app_id, is_rollover=True, strategy=how, provenance=provenance()))
    terminal.line(f"{row.name}: v{made.version} is live, with the code of v{row.version} and fresh containers")


def _deployed(written: str) -> AppRow:
    row = resolve_app(written)
    if row.state != "deployed":
        raise InvalidError(f"{row.name} ({row.app_id}) is {row.state}; only what is deployed has versions to go to")
    return row


def _redeploy(message: RedeployApp) -> Deployed:
    from msgspec.structs import replace

    return ask(Deployed, lambda request: replace(message, request=request))
