"""Deploys an App: sends a version, with its source files, to the daemon.

This module must not know how files are found, or what the server does with a version.
"""

from __future__ import annotations

import os
import subprocess
import warnings
from getpass import getuser
from typing import Any, Final

from swell.errors import InvalidError, ServerWarning
from swell.escaping import many_lines, one_line
from swell.ids import APP
from swell.model import Provenance, Strategy
from swell.names import TEXT_MAX, check_object_name, check_tag
from swell.sdk.connection.client import mint_id
from swell.sdk.connection.link import Link
from swell.sdk.connection.notices import show_notices
from swell.sdk.deploy.bundling import bundle
from swell.sdk.deploy.environment import check_python
from swell.sdk.deploy.specs import AppSpec
from swell.wire.apps import DeployApp, Deployed

__all__ = ["deploy", "provenance", "strategy_named"]

_STRATEGIES: Final = {"rolling": Strategy.ROLLING, "recreate": Strategy.RECREATE}
_GIT_PATIENCE_S: Final = 5.0


async def deploy(
    link: Link, app: AppSpec, *, name: str | None = None, tag: str = "", strategy: str = "rolling"
) -> Deployed:
    """Make the App as it is now the live version of its name, and return the server's answer."""
    wanted = name or app.name
    if not wanted:
        raise InvalidError("an App needs a name to be deployed: write swell.App('name'), or give one to deploy")
    check_object_name(wanted, "App")
    check_tag(tag)
    how = strategy_named(strategy)
    if link.welcome.wants_bundles:
        check_python(link.welcome.python)
    specs, environment, archive = bundle(app, is_for_elsewhere=link.welcome.wants_bundles)
    deployed = await link.ask(
        Deployed,
        lambda request: DeployApp(
            request=request,
            app_id=mint_id(APP),
            name=wanted,
            environment=environment,
            functions=specs,
            strategy=how,
            tag=tag,
            provenance=provenance(),
            tags=dict(app.tags),
        ),
        archive,
    )
    show_notices(link)
    for text in deployed.warnings:
        warnings.warn(many_lines(text), ServerWarning, stacklevel=2)
    return deployed


def strategy_named(strategy: object) -> Strategy:
    """Return the strategy of this name.

    Raises:
        InvalidError: no strategy has this name.
    """
    found = _STRATEGIES.get(strategy) if isinstance(strategy, str) else None
    if found is None:
        raise InvalidError(f"strategy must be 'rolling' or 'recreate', not {strategy!r}")
    return found


def provenance() -> Provenance:
    """Return the user who deploys, the version of swell, and the commit, as far as they are known."""
    from importlib.metadata import version

    return Provenance(one_line(_user())[:TEXT_MAX], f"swell {version('swell')}", _commit(os.getcwd()))


def _user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):  # a user id without a name
        return str(os.getuid())


def _commit(directory: str) -> str:
    """Return the commit of a git work tree, with a star if files have changed since; "" outside of one."""
    status = _git(directory, "status", "--porcelain", "--untracked-files=no")
    commit = _git(directory, "rev-parse", "HEAD")
    return "" if status is None or not commit else commit[:7] + "*" * bool(status)


def _git(directory: str, *arguments: str) -> str | None:
    command: list[Any] = ["git", "-C", directory, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_PATIENCE_S, check=True)
    except (OSError, subprocess.SubprocessError):  # no git, or no work tree
        return None
    return done.stdout.strip()
