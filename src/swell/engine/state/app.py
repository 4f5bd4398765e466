"""An app as the engine sees it. This module must not know containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swell.model import AppKind, Deployment
from swell.records import AppRecord, FunctionRecord

if TYPE_CHECKING:
    from swell.engine.state.pool import Pool

__all__ = ["App"]


class App:
    """A named set of pools, in one live version."""

    def __init__(self, name: str, kind: AppKind, owner: int | None, deployment: Deployment, created_at: float) -> None:
        self.id = deployment.app_id
        self.name = name
        self.kind = kind
        self.owner = owner  #: the client that runs it, while that is there
        self.deployment = deployment  #: its live version
        self.created_at = created_at
        self.tags: dict[str, str] = {}
        self.pools: dict[str, Pool] = {}
        self.function_ids: dict[str, str] = {}  #: of the live version, by name
        self.dormant: dict[str, FunctionRecord] = {}  #: variants that are put away, by id
        self.closing = False
        self.is_retiring = False  #: it is to be stopped at the end of its last call
        self.suspended = False  #: closing because the server stops: what it has not finished, it will go on with
        self.closers: list[tuple[int, int]] = []  #: (client, request) to answer when nothing is left

    @property
    def may_end_idle(self) -> bool:
        """True if the end of its last call may be its own."""
        return self.is_retiring or self.kind is AppKind.DETACHED

    def record(self, stopped_at: float | None = None) -> AppRecord:
        """Return what is kept of a lasting app."""
        version = self.deployment.version
        return AppRecord(self.id, self.name, self.kind, self.created_at, version, stopped_at, self.tags)
