"""Chooses an App of a user's module: the one that is named, the variable `app`, or the only one there is.

This module must not know what is done with it.
"""

from __future__ import annotations

from types import ModuleType

from swell.cli.reference import Reference, near
from swell.errors import InvalidError
from swell.sdk.app import App

__all__ = ["choose_app"]

DEFAULT_VARIABLE = "app"  #: of the App, if none is named


def choose_app(reference: Reference, module: ModuleType) -> App:
    """Return the App that a reference names.

    Raises:
        InvalidError: there is none, none of that name, or more than one; the message lists them.
    """
    apps = {name: value for name, value in vars(module).items() if isinstance(value, App)}
    wanted = reference.name or DEFAULT_VARIABLE
    if wanted in apps:
        return apps[wanted]
    if not apps:
        raise InvalidError(f"there is no App in {reference.source}: it needs an app = swell.App('name') of its own")
    if reference.name:
        problem = f"{reference.source} has no App {reference.name!r}{near(reference.name, apps)}"
        if hasattr(module, reference.name):
            problem = f"{reference.name!r} in {reference.source} is no App"
    elif len({id(app) for app in apps.values()}) == 1:
        return next(iter(apps.values()))
    else:
        problem = f"say which App of {reference.source} is meant"
    listing = "\n".join(f"  {reference.naming(name)}  ({app.description})" for name, app in apps.items())
    raise InvalidError(f"{problem}:\n{listing}")
