"""Rows for people: a table on a terminal, aligned lines elsewhere.

A cell is a text, a number, a truth value, a time or None. This module must not know what the rows are about.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from swell.cli.show import terminal
from swell.escaping import one_line
from swell.sdk.connection.output import has_colour

__all__ = ["Column", "print_table"]

GAP: Final = "  "
SHORT_ID: Final = 9  #: characters: as many as log lines show, and enough to tell one from the others


class Column(NamedTuple):
    """One column."""

    title: str
    missing: str = ""  #: what stands for None where people read it
    is_id: bool = False  #: may be cut where there is no room for it: the beginning of an id is enough for a command
    is_optional: bool = False  #: left out where people read it, if no row has it

    def text(self, cell: Any) -> str:
        """Return a cell as people read it: one line, with nothing in it that a terminal would obey."""
        match cell:
            case None:
                return self.missing
            case bool():
                return "yes" if cell else ""
            case int():
                return f"{cell:,}"
            case datetime():
                return f"{cell:%Y-%m-%d %H:%M:%S}"
            case _:
                return one_line(str(cell))


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[Any]], *, nothing: str) -> None:
    """Print rows.

    Args:
        columns: What the cells of a row are.
        rows: The rows.
        nothing: Printed if there are no rows.
    """
    if not rows:
        terminal.line(nothing)
        return
    shown = [n for n, column in enumerate(columns) if not column.is_optional or any(row[n] for row in rows)]
    texts = [[columns[n].text(row[n]) for n in shown] for row in rows]
    show = _print_rich if has_colour(sys.stdout) else _print_plain
    show([columns[n] for n in shown], texts)


def _print_rich(columns: Sequence[Column], texts: Sequence[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    room = terminal.console().width
    if _width(columns, texts) > room:
        texts = [[_cut(column, cell) for column, cell in zip(columns, cells, strict=True)] for cells in texts]
    table = Table(*(column.title for column in columns), box=None, header_style="bold", pad_edge=False)
    for cells in texts:
        table.add_row(*map(Text, cells))  # not markup: a name may have brackets
    # Where even that is too wide, the terminal breaks the lines: better than to lose part of every cell.
    terminal.console(width=max(room, _width(columns, texts))).print(table)


def _width(columns: Sequence[Column], texts: Sequence[Sequence[str]]) -> int:
    return sum(_widths(columns, texts)) + len(GAP) * (len(columns) - 1)


def _cut(column: Column, cell: str) -> str:
    return cell[:SHORT_ID] if column.is_id else cell


def _print_plain(columns: Sequence[Column], texts: Sequence[Sequence[str]]) -> None:
    widths = _widths(columns, texts)
    for cells in ([column.title for column in columns], *texts):
        line = GAP.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        terminal.line(line.rstrip())


def _widths(columns: Sequence[Column], texts: Sequence[Sequence[str]]) -> list[int]:
    lines = ([column.title for column in columns], *texts)
    return [max(map(len, cells)) for cells in zip(*lines, strict=True)]
