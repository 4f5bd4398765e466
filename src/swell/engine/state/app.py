"""An app as the engine sees it. This module must not know containers, but how many there are."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from swell.model import AppKind, Deployment
from swell.records import AppRecord, FunctionRecord
from swell.states import AppState, step

if TYPE_CHECKING:
    from swell.engine.state.call import Call
    from swell.engine.state.pool import Pool

__all__ = ["App"]


# Bound once: a lookup in an enum would cost each event.
_RUNNING, _RETIRING, _DETACHED = AppState.RUNNING, AppState.RETIRING, AppKind.DETACHED


class App:
    """A named set of pools, in one live version.

    Its lifecycle is `state`, and changes by the verbs of that lifecycle alone (`retire`, `stop`, `suspend`, `end`).
    """

    __slots__ = (
        "_stored",
        "calls",
        "closers",
        "containers",
        "created_at",
        "deployment",
        "dormant",
        "function_ids",
        "id",
        "kind",
        "name",
        "owner",
        "pinned_ids",
        "pools",
        "state",
        "tags",
    )

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
        self.pinned_ids: dict[int, dict[str, str]] = {}  #: of the versions that have pinned pools, by version and name
        self.dormant: dict[str, FunctionRecord] = {}  #: variants that are put away, by id
        self.calls: dict[str, Call] = {}  #: in memory, and not ended
        self.containers = 0  #: of all its pools, not yet gone
        self._stored: OrderedDict[str, Pool] = OrderedDict()  # with calls in the store alone; or with none by now
        self.state = AppState.RUNNING
        self.closers: list[tuple[int, int]] = []  #: (client, request) to answer when nothing is left

    # ------------------------------------------------------------ its lifecycle

    def retire(self) -> None:
        """Note that it is to be stopped when its last call has ended."""
        if self.state is AppState.RUNNING:
            self.state = step(self.state, AppState.RETIRING)

    def stop(self) -> None:
        """Note that its calls have ended and its containers leave."""
        self.state = step(self.state, AppState.STOPPING)

    def suspend(self) -> None:
        """Note that its containers leave because the server stops; what it has not finished goes on with the next."""
        self.state = step(self.state, AppState.SUSPENDED)

    def end(self) -> None:
        """Note that nothing of it is left."""
        self.state = step(self.state, AppState.ENDED)

    @property
    def closing(self) -> bool:
        """True if it takes no more calls."""
        state = self.state
        return not (state is _RUNNING or state is _RETIRING)

    @property
    def is_retiring(self) -> bool:
        """True if it is to be stopped when its last call has ended."""
        return self.state is AppState.RETIRING

    @property
    def suspended(self) -> bool:
        """True if it is closing because the server stops."""
        return self.state is AppState.SUSPENDED

    @property
    def may_end_idle(self) -> bool:
        """True if the end of its last call may be its own."""
        return self.kind is _DETACHED or self.state is _RETIRING

    # ------------------------------------------------------------ clients

    def answer_at_end(self, client: int, request: int) -> None:
        """Have a client's request answered when nothing of it is left."""
        self.closers.append((client, request))

    def remove_client(self, client: int) -> bool:
        """Forget a client that is gone; True if it ran the app."""
        self.closers = [closer for closer in self.closers if closer[0] != client]
        if self.owner != client:
            return False
        self.owner = None
        return True

    # ------------------------------------------------------------ its calls and its containers

    def add_call(self, call: Call) -> None:
        """Count a call that is in memory."""
        self.calls[call.id] = call

    def remove_call(self, call: Call) -> None:
        """Forget a call that has ended, or is left to the store."""
        del self.calls[call.id]

    def note_stored(self, pool: Pool) -> None:
        """Note that calls of a pool are in the store alone."""
        self._stored[pool.id] = pool

    @property
    def has_calls(self) -> bool:
        """True while any of its calls goes on, in memory or in the store."""
        while self._stored and not self.calls:
            pool = next(iter(self._stored.values()))
            if pool.window.stored_calls:
                return True
            del self._stored[pool.id]
        return bool(self.calls)

    def count_container(self, change: int) -> None:
        """Count a container that is requested or, with a negative `change`, gone."""
        self.containers += change

    # ------------------------------------------------------------ its version and its pools

    def deploy(self, deployment: Deployment, function_ids: dict[str, str]) -> None:
        """Make another version live."""
        self.deployment = deployment
        self.function_ids = function_ids

    def tag(self, tags: dict[str, str]) -> None:
        """Replace its tags."""
        self.tags = tags

    def name_function(self, name: str, function_id: str) -> None:
        """Note which function a name means in the live version."""
        self.function_ids[name] = function_id

    def add_pool(self, pool: Pool) -> None:
        """Take in a new pool."""
        self.pools[pool.id] = pool
        if pool.is_pinned and pool.variant is None:
            self.pinned_ids.setdefault(pool.version, {})[pool.spec.name] = pool.id

    def remove_pool(self, pool: Pool) -> None:
        """Forget a pool that is not needed any more."""
        del self.pools[pool.id]
        self._stored.pop(pool.id, None)
        if pool.is_pinned and pool.variant is None:
            ids = self.pinned_ids[pool.version]
            del ids[pool.spec.name]
            if not ids:
                del self.pinned_ids[pool.version]

    def add_dormant(self, record: FunctionRecord) -> None:
        """Keep the record of a variant that is put away."""
        self.dormant[record.function_id] = record

    def remove_dormant(self, function_id: str) -> None:
        """Drop the record of a variant that comes back, or is forgotten."""
        del self.dormant[function_id]

    def record(self, stopped_at: float | None = None) -> AppRecord:
        """Return what is kept of a durable app."""
        version = self.deployment.version
        return AppRecord(
            app_id=self.id,
            name=self.name,
            kind=self.kind,
            created_at=self.created_at,
            version=version,
            stopped_at=stopped_at,
            tags=self.tags,
        )
