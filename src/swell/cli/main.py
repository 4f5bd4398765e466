"""The `swell` command: finds the subcommand, runs it, and turns every error into a message and an exit code.

Subcommands are imported when they are used. This module must not know what any of them does.
"""

from __future__ import annotations

import os
import select
import sys
from importlib import import_module
from typing import Final

import click

from swell.cli import exit_codes
from swell.cli.show import terminal
from swell.errors import InvalidError
from swell.standard_streams import open_closed

__all__ = ["main", "swell"]

#: Subcommands, and the module of each.
COMMANDS: Final = {
    "app": "app",
    "call": "call",
    "config": "config",
    "container": "container",
    "dashboard": "dashboard",
    "deploy": "deploy",
    "node": "node",
    "restart": "server",
    "run": "run",
    "serve": "serve",
    "start": "server",
    "status": "server",
    "stop": "server",
    "token": "token",
    "why": "why",
}

STDOUT: Final = 1  #: file descriptor


class _Commands(click.Group):
    """A group that imports a subcommand when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        return None if module is None else getattr(import_module(f"swell.cli.{module}"), cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and (name.endswith(".py") or "::" in name):
            raise InvalidError(f"{name!r} is not a command; to run it, write: swell run {' '.join(args)}")
        self.commands = dict.fromkeys(COMMANDS, click.Command(None))  # what click searches for a near miss
        return super().resolve_command(ctx, args)


def _show_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        terminal.line(f"swell {version('swell')}")
        ctx.exit()


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start here: swell run examples/hello.py",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
def swell() -> None:
    """Run Python functions in pools of containers that swell with demand and subside to zero."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command line and leave the process.

    Exit codes: 0 success, 1 an error, 2 a command line that cannot be understood, 130 Ctrl-C; a program that calls
    `sys.exit` decides for itself.

    Args:
        arguments: Those after `swell`; by default the process's own.
    """
    open_closed()
    # Not click's own main(): that one would swallow an EOFError or a broken pipe of the user's program.
    try:
        with swell.make_context("swell", list(sys.argv[1:] if arguments is None else arguments)) as ctx:
            swell.invoke(ctx)
        if _reader_left():
            sys.exit(exit_codes.ERROR)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.ClickException as misuse:
        terminal.misuse(misuse)
        sys.exit(misuse.exit_code)
    except (KeyboardInterrupt, click.Abort):
        terminal.text("\nAborted", err=True)
        sys.exit(exit_codes.INTERRUPTED)
    except SystemExit as leaving:
        if leaving.code is None or isinstance(leaving.code, int):
            raise
        terminal.text(f"{leaving.code}", err=True)  # Python would print it as it is, and it may come from a container
        sys.exit(exit_codes.ERROR)
    except BaseException as error:
        if isinstance(error, BrokenPipeError) and _reader_left():
            sys.exit(exit_codes.ERROR)
        from swell.cli.failure import report

        report(error)
        sys.exit(exit_codes.ERROR)


def _reader_left() -> bool:
    """Return whether the reader of stdout has left, as in `swell run … | head`; then discard further output."""
    poll = select.poll()
    poll.register(STDOUT, 0)
    if not any(events & select.POLLERR for _, events in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)  # or Python would complain at its exit
    return True
