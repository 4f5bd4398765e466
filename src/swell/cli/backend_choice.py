"""Options that say where containers run, of the commands that start a server. This module must not know either."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from swell.errors import InvalidError

__all__ = ["backend_options", "chosen", "prefer"]

F = TypeVar("F", bound=Callable[..., Any])


def backend_options(command: F) -> F:
    """Add --backend and --address to a command."""
    backend = click.option(
        "--backend",
        type=click.Choice(["process", "agents", "ray"]),
        help="Where containers run: on this machine, on local nodes, or on a Ray cluster.",
    )
    address = click.option(
        "--address", metavar="auto|local|HOST:PORT", help="With --backend ray: the head of the cluster; auto finds it."
    )
    return backend(address(command))


def chosen(backend: str | None, address: str | None) -> dict[str, str]:
    """Return the settings that the options choose; none without options.

    Raises:
        InvalidError: an address without Ray.
    """
    if address is not None and backend != "ray":
        raise InvalidError("--address is that of a Ray cluster: give --backend ray with it")
    settings = {} if backend is None else {"backend": backend}
    return settings if address is None else {**settings, "ray_address": address}


def prefer(settings: dict[str, str]) -> None:
    """Have the server that this command starts use settings, whatever environment and file say."""
    os.environ.update({f"SWELL_{name.upper()}": value for name, value in settings.items()})
