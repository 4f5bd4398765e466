"""The part of an App that can be run and deployed: its name and tags, the run it is in, and how a server gets it.

Handles refer to their App by this type. This module must not know decorators, functions or classes.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from swell.errors import InvalidError
from swell.names import check_tags
from swell.sdk.connection.client import Client, client_or_daemon, daemon_client
from swell.sdk.connection.link import Link
from swell.sdk.connection.sync_async import Prepared, SyncAsync
from swell.wire.apps import AppFound, FindApp, TagApp

if TYPE_CHECKING:
    from swell.sdk.connection.session import Session
    from swell.sdk.deploy.running import RunContext
    from swell.sdk.deploy.specs import AppSpec

__all__ = ["DeployableApp"]


class DeployableApp(ABC):
    """An App without its declarations.

    Attributes:
        app_id: Id of the last run or deployment; None before the first.
        home: Client of the server on which it is deployed; None for the daemon.
    """

    def __init__(self, name: str | None, tags: Mapping[str, str]) -> None:
        self._name = name
        self._description: str | None = None
        self._tags = check_tags(tags)
        self.app_id: str | None = None
        self.home: Client | None = None
        self._session: Session | None = None
        self._included_in: list[DeployableApp] = []

    @abstractmethod
    def describe(self) -> AppSpec:
        """Return what the App consists of now, for a server to run or deploy."""

    # ------------------------------------------------------------ what it is

    @property
    def name(self) -> str | None:
        """The name it was given."""
        return self._name

    @property
    def description(self) -> str:
        """Its name, or else the name of its last run, or else the name of the running script."""
        script = getattr(sys.modules.get("__main__"), "__file__", None) or "app"
        return self._name or self._description or script.rpartition("/")[2].removesuffix(".py")

    def set_description(self, description: str) -> None:
        """Set how an App without a name is shown."""
        self._description = description

    @property
    def tags(self) -> dict[str, str]:
        """Its tags."""
        return dict(self._tags)

    @property
    def session(self) -> Session | None:
        """The run it is in now, its own or that of an App that includes it; set by the RunContext."""
        return self._session or next((app.session for app in self._included_in if app.session is not None), None)

    @session.setter
    def session(self, session: Session | None) -> None:
        self._session = session

    def __repr__(self) -> str:
        return f"<App {self.description}>"

    # ------------------------------------------------------------ running

    def run(
        self,
        *,
        name: str | None = None,
        client: Client | None = None,
        detach: bool = False,
        interactive: bool = False,
        environment_name: str | None = None,
    ) -> RunContext[Self]:
        """Run the App while a `with` block, or `async with` block, lasts.

        Args:
            name: Name under which the run is shown.
            client: Accepted for compatibility.
            detach: Let the App continue when this process exits.
            interactive: Allow interactive sessions; needs enabled output.
            environment_name: Accepted for compatibility.

        Raises:
            InvalidError: the App is running already, or a container imports this module.

        Example:
            `with app.run(): print(square.remote(7))`
        """
        from swell.sdk.deploy.running import run_app

        return run_app(self, name=name, detach=detach, interactive=interactive)

    # ------------------------------------------------------------ deploying

    @property
    def deploy(self):
        """Make the App as it is now the live version of its name on the daemon; returns the App.

        The version includes the source files, so that editing them later does not change it. Deploying again without a
        change makes no version; settings changed at run time return to the declared ones in any case. `app_id`, and the
        ids of functions that both versions have, stay.

        Args:
            name: Name to deploy it under; default: its own.
            environment_name: Accepted for compatibility.
            tag: A label of the version, at most 50 characters.
            client: How to reach the server; default: the daemon on this machine.
            strategy: "rolling": containers of the former version take inputs until replacements are ready, then finish
                what they have. "recreate": they are interrupted at once, and new ones run the interrupted inputs again.

        Raises:
            InvalidError: it has no name, or an argument or a function is not valid.
            ConnectionError: no daemon runs; `swell start` starts one.
        """
        return Prepared(self._prepare_deploy)

    def _prepare_deploy(
        self,
        *,
        name: str | None = None,
        environment_name: str | None = None,
        tag: str = "",
        client: Client | None = None,
        strategy: str = "rolling",
    ) -> SyncAsync[[], Self]:
        """Make the App live on a daemon, where it stays; as `App.deploy` says."""

        async def implementation(link: Link) -> Self:
            from swell.sdk.deploy.deploying import deploy

            deployed = await deploy(link, self.describe(), name=name, tag=tag, strategy=strategy)
            self.app_id, self.home = deployed.app_id, client
            return self

        return SyncAsync(implementation, client_or_daemon(client), "App.deploy")

    @property
    def set_tags(self) -> SyncAsync[[Mapping[str, str]], None]:
        """Replace the tags of a deployed App.

        Raises:
            InvalidError: it has no id, because it was neither deployed nor looked up; or a tag is not valid.
        """
        return SyncAsync(self._set_tags, self._home, "App.set_tags")

    async def _set_tags(self, link: Link, tags: Mapping[str, str]) -> None:
        request = link.next_request()
        await link.request(request, TagApp(request, self._deployed_id(), check_tags(tags)))

    @property
    def get_tags(self) -> SyncAsync[[], dict[str, str]]:
        """Return the tags of a deployed App.

        Raises:
            InvalidError: it has no id, because it was neither deployed nor looked up.
        """
        return SyncAsync(self._get_tags, self._home, "App.get_tags")

    async def _get_tags(self, link: Link) -> dict[str, str]:
        found = await link.ask(AppFound, lambda request: FindApp(request, self._deployed_id()))
        return found.tags

    def _home(self) -> Client:
        self._deployed_id()
        return self.home or daemon_client()

    def _deployed_id(self) -> str:
        if self.app_id is None:
            raise InvalidError(f"{self.description} has no id: deploy it, or use App.lookup({self.name!r}), first")
        return self.app_id
