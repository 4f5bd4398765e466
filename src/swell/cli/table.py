"""Rows for people and for programs: a table on a terminal, aligned lines elsewhere, JSON if it is asked for.

A cell is a text, a number, a truth value, a time or None. This module must not know what the rows are about.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import click

from swell.cli.moments import moment_text
from swell.sdk.output import has_colour

__all__ = ["Column", "print_json", "print_table"]

GAP: Final = "  "


class Column(NamedTuple):
    """One column. In JSON it is named as its title, in snake_case."""

    title: str
    missing: str = ""  #: what stands for None where people read it

    @property
    def key(self) -> str:
        """Its name in JSON."""
        return self.title.lower().replace(" ", "_")

    def text(self, cell: Any) -> str:
        """Return a cell as people read it."""
        match cell:
            case None:
                return self.missing
            case bool():
                return "yes" if cell else ""
            case int():
                return f"{cell:,}"
            case datetime():
                return moment_text(cell)
            case _:
                return str(cell)


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[Any]], *, as_json: bool, nothing: str) -> None:
    """Print rows.

    Args:
        columns: What the cells of a row are.
        rows: The rows.
        as_json: As a list of objects.
        nothing: What people read if there are no rows.
    """
    if as_json:
        keys = [column.key for column in columns]
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
    elif not rows:
        click.echo(nothing)
    else:
        texts = [[column.text(cell) for column, cell in zip(columns, row, strict=True)] for row in rows]
        show = _print_rich if has_colour(sys.stdout) else _print_plain
        show([column.title for column in columns], texts)


def print_json(value: Any) -> None:
    """Print a value as JSON; times in ISO 8601."""
    click.echo(json.dumps(value, indent=2, default=datetime.isoformat))


def _print_rich(titles: list[str], texts: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*titles, box=None, header_style="bold", pad_edge=False)
    for cells in texts:
        table.add_row(*map(Text, cells))  # not markup: a name may have brackets
    Console().print(table)


def _print_plain(titles: list[str], texts: list[list[str]]) -> None:
    lines = [titles, *texts]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for cells in lines:
        line = GAP.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        click.echo(line.rstrip())
