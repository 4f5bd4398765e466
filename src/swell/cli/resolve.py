"""Resolves what the user wrote to an App or a container: an id, the beginning of one, or the name of an App.

This module must not know what is done with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from swell.cli.reference import near
from swell.cli.rpc import ask
from swell.errors import InvalidError, NotFoundError
from swell.escaping import one_line
from swell.ids import APP, CONTAINER, CONTAINER_LENGTH
from swell.wire.queries import AppList, AppRow, ContainerList, ListApps, ListContainers

__all__ = ["match_app", "resolve_app", "resolve_container"]

ENDED_MAX: Final = 2_000  #: ended containers that are searched


def resolve_app(written: str) -> AppRow:
    """Return the App that is meant; it may have been stopped.

    Raises:
        NotFoundError: there is none.
        InvalidError: there are several.
    """
    return match_app(ask(AppList, ListApps).apps, written)


def match_app(apps: Sequence[AppRow], written: str) -> AppRow:
    """Return the one of these Apps, the latest first, that is meant.

    An id goes before a name, and what is deployed before what runs for a while, and that before what was stopped.

    Raises:
        NotFoundError: none of them is.
        InvalidError: several are.
    """
    found = [app for app in apps if app.app_id == written]
    if not found:
        named = [app for app in apps if app.name == written]
        running = [app for app in named if app.state != "stopped"]
        deployed = [app for app in running if app.version and app.state == "deployed"]
        found = deployed or running or named[:1]
    if not found and written.startswith(APP):
        found = [app for app in apps if app.app_id.startswith(written)]
    if len(found) > 1:
        listing = "\n".join(one_line(f"  {app.app_id}  {app.name} ({app.state})") for app in found)
        raise InvalidError(f"{written!r} may be any of these; write the id of one:\n{listing}")
    if not found:
        names = dict.fromkeys(app.name for app in apps)
        hint = near(written, names) or ";"
        raise NotFoundError(f"No App with name {written!r}{hint} `swell app list` shows all")
    return found[0]


def resolve_container(written: str) -> str:
    """Return the id of the container that is meant; it may have ended.

    Raises:
        NotFoundError: none has an id that begins like this.
        InvalidError: that is not how the id of a container begins, or several begin like this.
    """
    if not written.startswith(CONTAINER):
        raise InvalidError(f"{written!r} is not the id of a container; those begin with ta-. `swell container list`")
    if len(written) >= CONTAINER_LENGTH:
        return written
    known = ask(ContainerList, lambda request: ListContainers(request, gone=ENDED_MAX)).containers
    found = list(dict.fromkeys(row.container_id for row in known if row.container_id.startswith(written)))
    if len(found) > 1:
        raise InvalidError(f"the ids of {len(found)} containers begin with {written!r}; write more of it")
    if not found:
        raise NotFoundError(f"no container's id begins with {written!r}; `swell container list` shows all")
    return found[0]
