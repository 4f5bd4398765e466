"""`swell token`: makes, lists and revokes the tokens of web functions with `requires_proxy_auth=True`.

This module must not know how a request shows its token.
"""

from __future__ import annotations

from typing import Final

import click

from swell.cli.options import json_option
from swell.cli.rpc import require_local
from swell.cli.show import terminal
from swell.cli.show.json_output import print_json
from swell.cli.show.table import Column, print_table
from swell.cli.show.times import local
from swell.config import Settings
from swell.discovery import proxy_tokens_path
from swell.edge.gateway import token_file

__all__ = ["token"]

_COLUMNS: Final = (Column("Token ID"), Column("Name", is_optional=True), Column("Created at"))


@click.group(short_help="Tokens for web functions that ask for one.")
def token() -> None:
    """Make and revoke the tokens that web functions with `requires_proxy_auth=True` ask for.

    A token is valid for all of them, on every server with the same data directory, until it is revoked.
    """
    require_local("these tokens are kept")


@token.command(
    epilog='Example: curl -H "Swell-Key: wk-…" -H "Swell-Secret: ws-…" http://127.0.0.1:8700/squares-site/',
    short_help="Make one.",
)
@click.option("--name", default="", metavar="TEXT", help="A note of its purpose.")
@json_option
def create(name: str, as_json: bool) -> None:
    """Make a token, and show its secret: only now, as it is not kept."""
    made, secret = token_file.create(proxy_tokens_path(Settings.load()), name)
    if as_json:
        print_json({"token_id": made.token_id, "secret": secret, "name": name})
        return
    terminal.line(f"Swell-Key: {made.token_id}")
    terminal.line(f"Swell-Secret: {secret}")
    terminal.line(
        "Send both as headers, or as Authorization: Bearer KEY.SECRET. The secret is not shown again.", err=True
    )


@token.command(name="list", short_help="List them.")
@json_option
def list_tokens(as_json: bool) -> None:
    """List the valid tokens, without their secrets."""
    tokens = token_file.read(proxy_tokens_path(Settings.load()))
    if as_json:
        print_json([{"token_id": t.token_id, "name": t.name, "created_at": local(t.created_at)} for t in tokens])
        return
    rows = [(each.token_id, each.name, local(each.created_at)) for each in tokens]
    print_table(_COLUMNS, rows, nothing="There are no tokens")


@token.command(short_help="Revoke one.")
@click.argument("token_id", metavar="ID")
def revoke(token_id: str) -> None:
    """Revoke a token; it is refused from the next request on."""
    token_file.revoke(proxy_tokens_path(Settings.load()), token_id)
    terminal.line(f"{token_id} is revoked")
