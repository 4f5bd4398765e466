"""Everything that the command line prints: one function for each kind of text, and each escapes it.

Names, messages and logs are written by others: see `swell.escaping`. A tidiness test refuses `print`, `click.echo`,
`sys.stdout.write` and rich's Console in every other file of this package. This module must not know what is printed.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Final, TextIO

import click

from swell.escaping import json_document, many_lines, one_line

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

__all__ = [
    "confirm",
    "console",
    "copy",
    "flush",
    "line",
    "literal",
    "misuse",
    "render",
    "styled",
    "text",
    "warning",
    "write_log_lines",
]

_YELLOW: Final = "yellow"


def line(value: str = "", *, bold: bool = False, colour: str | None = None, err: bool = False) -> None:
    """Print one line: a line feed in it is escaped, too, so that no name can look like a line of its own.

    Args:
        value: The line, without its end.
        bold: In bold letters, on a terminal.
        colour: By name, on a terminal.
        err: To stderr in place of stdout.
    """
    click.secho(one_line(value), bold=bold or None, fg=colour, err=err)


def text(value: str, *, err: bool = False) -> None:
    """Print a text that may have several lines."""
    click.echo(many_lines(value), err=err)


def warning(value: str) -> None:
    """Print a warning to stderr."""
    line(f"Warning: {value}", colour=_YELLOW, err=True)


def literal(document: str) -> None:
    """Print a JSON document to stdout, for a program: escaped so that its meaning is unchanged."""
    click.echo(json_document(document))


def styled(rendered: str) -> None:
    """Write what `render` has returned to stderr: its content is escaped, its colours are swell's."""
    sys.stderr.write(rendered)


def write_log_lines(lines: str, *, flush_now: bool) -> None:
    """Write to stdout what `led_lines` has made of logs, which escapes them."""
    sys.stdout.write(lines)
    if flush_now:
        sys.stdout.flush()


def copy(stream: int, data: bytes) -> None:
    """Write to stdout (1) or stderr (2) what a command has written that the user has given this terminal."""
    while data:
        data = data[os.write(stream, data) :]


def flush() -> None:
    """Flush stdout before another program takes the terminal."""
    sys.stdout.flush()


def misuse(error: click.ClickException) -> None:
    """Print an error of usage, and the usage, to stderr."""
    shown = io.StringIO()
    error.show(shown)
    sys.stderr.write(many_lines(shown.getvalue()))


def confirm(question: str) -> None:
    """Ask for confirmation.

    Raises:
        Abort: the user refused.
    """
    click.confirm(one_line(question), abort=True)


def console(stream: TextIO | None = None, *, width: int | None = None) -> Console:
    """Return a console of rich that takes nothing in a text for markup, emoji or a link.

    What is printed on it must be escaped already: `escaping.one_line` for a cell.
    """
    from rich.console import Console

    return Console(file=stream, width=width, markup=False, emoji=False, highlight=False)


def render(content: RenderableType, stream: TextIO) -> str:
    """Return what a console of a stream would print, with its colours."""
    target = console(stream)
    with target.capture() as captured:
        target.print(content)
    return captured.get()
