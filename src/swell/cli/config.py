"""`swell config`: lists every setting, its value, and where to change it.

This module must not know what a setting does; its definition tells that.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import click

from swell.cli.show import terminal
from swell.cli.show.json_output import print_json
from swell.config import Settings, describe
from swell.escaping import one_line

__all__ = ["config"]

SECRETS: Final = ("token",)


@click.command(epilog="Example: SWELL_DEFAULT_SCALEDOWN_WINDOW=10 swell config --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def config(as_json: bool) -> None:
    """List all settings. The environment goes before ~/.swell.toml, and that before the defaults."""
    settings = Settings.load()
    rows = [_row(settings, *row) for row in describe()]
    if as_json:
        print_json(rows)
    elif sys.stdout.isatty():
        _print_table(rows)
    else:
        for row in rows:
            terminal.line(f"{row['environment_variable']}={row['value']}  # {row['meaning']}")


def _row(settings: Settings, name: str, variable: str, default: str, meaning: str) -> dict[str, Any]:
    value: Any = getattr(settings, name)
    if name in SECRETS and value:
        value = "***"
    return {
        "setting": name,
        "environment_variable": variable,
        "value": value,
        "default": default,
        "meaning": meaning,
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table("Setting", "Environment variable", "Value", "Meaning", box=None, header_style="bold")
    for row in rows:
        style = "" if repr(row["value"]) == row["default"] else "bold"
        value = one_line(str(row["value"]))
        table.add_row(row["setting"], row["environment_variable"], value, row["meaning"], style=style)
    terminal.console().print(table)
