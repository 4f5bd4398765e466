"""What the oracle knows of functions: those of apps that were opened or deployed, and their variants.

This module must not know calls.
"""

from __future__ import annotations

from collections.abc import Iterator

from swell.model import FunctionSpec
from swell.wire.apps import DeployApp, Deployed
from swell.wire.messages import AppOpened, BindFunction, Bound, OpenApp

__all__ = ["Functions"]


class Functions:
    """Specs by function id, and the apps that functions belong to."""

    def __init__(self) -> None:
        self.specs: dict[str, FunctionSpec] = {}
        self.lasting: set[str] = set()  #: functions of durable apps
        self._apps: dict[str, tuple[int, bool, list[FunctionSpec]]] = {}  # client, lives on, functions
        self._app_of: dict[str, str] = {}
        self._deploying: dict[int, DeployApp] = {}  # by client
        self._binding: dict[tuple[int, int], str] = {}  # functions of which a variant was asked for

    def app_of(self, function_id: str) -> str:
        """Return the app of a function; "" of one that is not known."""
        return self._app_of.get(function_id, "")

    @property
    def apps(self) -> list[str]:
        """The apps that were opened."""
        return list(self._apps)

    def apps_that_end_with(self, client: int) -> Iterator[str]:
        """Yield the apps that do not outlive a client."""
        return (app_id for app_id, (owner, lives_on, _) in self._apps.items() if owner == client and not lives_on)

    # ------------------------------------------------------------ what clients ask for

    def deploys(self, client: int, message: DeployApp) -> None:
        """A client deploys an app."""
        self._deploying[client] = message

    def binds(self, client: int, message: BindFunction) -> None:
        """A client asks for a variant."""
        self._binding[client, message.request] = message.function_id

    def opens(self, client: int, message: OpenApp) -> None:
        """A client opens an app."""
        self._apps.setdefault(message.app_id, (client, message.detach, message.functions))

    # ------------------------------------------------------------ what they are answered

    def opened(self, message: AppOpened) -> None:
        """The functions of an app have ids."""
        _, lives_on, specs = self._apps[message.app_id]
        self._learn(message.app_id, specs, message.function_ids, lasts=lives_on)

    def deployed(self, client: int, message: Deployed) -> None:
        """The functions of a durable app have ids."""
        self._learn(message.app_id, self._deploying[client].functions, message.function_ids, lasts=True)

    def bound(self, client: int, message: Bound) -> None:
        """A variant runs the same code under the same limits as its function."""
        base_id, variant_id = self._binding.pop((client, message.request)), message.function_id
        self.specs[variant_id] = self.specs[base_id]
        self._app_of[variant_id] = self._app_of[base_id]
        if base_id in self.lasting:
            self.lasting.add(variant_id)

    def _learn(self, app_id: str, specs: list[FunctionSpec], ids: dict[str, str], *, lasts: bool) -> None:
        for spec in specs:
            self.specs[ids[spec.name]] = spec
            self._app_of[ids[spec.name]] = app_id
            if lasts:
                self.lasting.add(ids[spec.name])
