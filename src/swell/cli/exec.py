"""`swell container exec`: a command with the environment of a container, as its code has it, on this terminal.

The command replaces this process, so its exit code, signals and terminal are its own. It is no child of the container,
and goes on when that ends. This module must not know how a container was started.
"""

from __future__ import annotations

import os
import sys
from typing import Final

import click

from swell.cli import exit_codes
from swell.cli.options import environment_option
from swell.cli.resolve import resolve_container
from swell.cli.rpc import ask
from swell.cli.show import terminal
from swell.config import Settings
from swell.errors import InvalidError
from swell.sdk.connection.client import daemon_client
from swell.wire.queries import ContainerDescription, DescribeContainer

__all__ = ["container_environment", "exec_"]

#: Variables of this terminal, not of the program that the container's code came from.
_OF_THIS_TERMINAL: Final = ("TERM", "COLORTERM", "COLUMNS", "LINES", "NO_COLOR")

EXAMPLES: Final = """\b
Examples:
  swell container exec ta-K7QF2M bash
  swell container exec ta-K7QF2M python -c 'import torch; print(torch.cuda.device_count())'
  swell container exec ta-K7QF2M nvidia-smi
"""


@click.command(
    "exec",
    epilog=EXAMPLES,
    context_settings={"allow_interspersed_args": False},
    short_help="Run a command in the environment of one.",
)
@click.option("--pty/--no-pty", expose_value=False, help="Accepted for compatibility: the command has this terminal.")
@environment_option
@click.argument("container_meant_by", metavar="ID")
@click.argument("command", metavar="COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(container_meant_by: str, command: tuple[str, ...]) -> None:
    """Run a command in the environment of a container: its variables, directory, GPUs and Python.

    The exit code is that of the command.
    """
    container_id = resolve_container(container_meant_by)
    found = ask(ContainerDescription, lambda request: DescribeContainer(request, container_id))
    if found.node:
        raise InvalidError(
            f"container {container_id} runs on node {found.node}: a command can run beside a container only on the "
            "server's machine (backend = process)"
        )
    client, settings = daemon_client(), Settings.load()
    variables = container_environment(found, dict(os.environ), client.address, settings.token)
    directory = os.path.join(found.environment.cwd, found.workdir)
    try:
        os.chdir(directory)
    except OSError as error:
        raise InvalidError(f"cannot enter the container's directory {directory}: {error.strerror}") from None
    client.shut()
    terminal.flush()
    try:
        os.execvpe(command[0], command, variables)
    except FileNotFoundError:
        terminal.line(f"{command[0]}: there is no such command where the container runs", err=True)
        sys.exit(exit_codes.NOT_FOUND)
    except OSError as error:
        terminal.line(f"{command[0]}: {error.strerror}", err=True)
        sys.exit(exit_codes.NOT_EXECUTABLE)


def container_environment(found: ContainerDescription, here: dict[str, str], server: str, token: str) -> dict[str, str]:
    """Return the environment variables of a command beside a container.

    Args:
        found: The container.
        here: The variables of this process.
        server: Address of the server.
        token: The token of the server, if it asks for one.
    """
    environment = found.environment
    variables = dict(environment.variables)
    if environment.bundle_dir:  # so that Python finds the code as it was deployed, and not as it lies in the directory
        path = filter(None, (environment.bundle_dir, variables.get("PYTHONPATH")))
        variables["PYTHONPATH"] = os.pathsep.join(path)
        variables["PYTHONSAFEPATH"] = "1"
    variables.update(found.variables)
    if found.gpus:
        variables["CUDA_VISIBLE_DEVICES"] = ",".join(found.gpus)
    variables.update({name: here[name] for name in _OF_THIS_TERMINAL if name in here})
    programs = filter(None, (os.path.dirname(environment.python), variables.get("PATH", os.defpath)))
    variables["PATH"] = os.pathsep.join(programs)
    variables["SWELL_SERVER"] = server
    variables["SWELL_TASK_ID"] = found.container.container_id
    variables["SWELL_IS_REMOTE"] = "1"
    if token:
        variables["SWELL_TOKEN"] = token
    return variables
