"""An app as the engine sees it. This module must not know containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swell.model import Environment

if TYPE_CHECKING:
    from swell.engine.pool import Pool

__all__ = ["App"]


class App:
    """A named set of pools, owned by a client unless detached."""

    def __init__(self, app_id: str, name: str, client: int | None, environment: Environment) -> None:
        self.id = app_id
        self.name = name
        self.client = client  #: whose end is the app's end; None for an app that outlives its clients
        self.environment = environment
        self.pools: dict[str, Pool] = {}
        self.function_ids: dict[str, str] = {}
        self.closing = False
        self.closers: list[tuple[int, int]] = []  #: (client, request) to answer when nothing is left
