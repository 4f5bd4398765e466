"""Apps on the server that stays, as handles: deploying one, looking one up, its tags.

This module must not know what a version consists of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from swell.errors import InvalidError
from swell.names import check_object_name, check_tags
from swell.sdk.connection.client import Client, lasting_client, mint_id
from swell.sdk.connection.link import Link
from swell.sdk.connection.sync_async import Dual
from swell.sdk.deploy.deploying import deploy as deploy_version
from swell.wire.apps import AppFound, FindApp, TagApp

if TYPE_CHECKING:
    from swell.sdk.app import App

__all__ = ["deploy", "find", "get_tags", "set_tags"]


def _reached_by(client: Client | None) -> Callable[[], Client]:
    return lasting_client if client is None else lambda: client


def deploy(app: App, client: Client | None) -> Dual[..., App]:
    """Return what deploys an App, in both forms."""

    async def implementation(link: Link, *, name: str | None, tag: str, strategy: str) -> App:
        deployed = await deploy_version(link, app, name=name, tag=tag, strategy=strategy)
        app.app_id, app.home = deployed.app_id, client
        return app

    return Dual(implementation, _reached_by(client), "App.deploy")


def find(name: str, client: Client | None, *, create_if_missing: bool) -> Dual[[], AppFound]:
    """Return what finds a deployed App, in both forms."""
    check_object_name(name, "App")

    async def implementation(link: Link) -> AppFound:
        request = link.next_request()
        new_id = mint_id("ap-") if create_if_missing else ""
        found, _ = await link.request(request, FindApp(request, name, new_id))
        assert isinstance(found, AppFound)
        return found

    return Dual(implementation, _reached_by(client), "App.lookup")


def set_tags(app: App) -> Dual[[Mapping[str, str]], None]:
    """Return what replaces the tags of an App, in both forms."""

    async def implementation(link: Link, tags: Mapping[str, str]) -> None:
        request = link.next_request()
        await link.request(request, TagApp(request, _id_of(app), check_tags(tags)))

    return Dual(implementation, lambda: _home_of(app), "App.set_tags")


def get_tags(app: App) -> Dual[[], dict[str, str]]:
    """Return what reads the tags of an App, in both forms."""

    async def implementation(link: Link) -> dict[str, str]:
        request = link.next_request()
        found, _ = await link.request(request, FindApp(request, _id_of(app)))
        assert isinstance(found, AppFound)
        return found.tags

    return Dual(implementation, lambda: _home_of(app), "App.get_tags")


def _home_of(app: App) -> Client:
    """Return the client of the server that has an App."""
    _id_of(app)
    return app.home or lasting_client()


def _id_of(app: App) -> str:
    if app.app_id is None:
        raise InvalidError(f"{app.description} has no id: deploy it, or use App.lookup({app.name!r}), first")
    return app.app_id
