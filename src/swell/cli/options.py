"""Options that several commands share. This module must not know a command."""

from __future__ import annotations

import click

__all__ = ["environment_option", "json_option", "strategy_option", "yes_option"]

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")

environment_option = click.option(
    "-e", "--env", "environment", expose_value=False, metavar="NAME", help="Accepted for compatibility."
)

strategy_option = click.option(
    "--strategy",
    type=click.Choice(["rolling", "recreate"]),
    default="rolling",
    show_default=True,
    help="When former containers stop: once replacements are ready, or at once; their inputs are then run again.",
)
