"""MemoryStore: keeps records as long as the process lives. Touches no disk.

This module must not know the engine, an event loop or a clock.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from swell.model import Deployment
from swell.ports import Failed, ReadFailed
from swell.records import (
    AppRecord,
    BundleRecord,
    CallsCancelled,
    ContainerRecord,
    FunctionGone,
    FunctionRecord,
    LoadedCall,
    LoadedSpans,
    Record,
    Restored,
    StoredCall,
    StoredOutput,
    Trace,
    Window,
)
from swell.store.memory.apps import MemoryApps
from swell.store.memory.calls import MemoryCalls
from swell.store.window import ReadBudget

__all__ = ["MemoryStore"]

T = TypeVar("T")


class MemoryStore:
    """Implements `swell.ports.Store` with dictionaries: a record is at once as durable as it will ever be.

    Args:
        soon: schedules a function; functions are called in order and never at once: an event loop's `call_soon`.
    """

    def __init__(self, soon: Callable[[Callable[[], None]], object]) -> None:
        self._soon = soon
        self._calls = MemoryCalls()
        self._apps = MemoryApps()

    def restore(self) -> Restored:
        """Return the recorded state: nothing, in a new process."""
        apps, deployments = self._apps.going_on()
        functions = tuple(self._apps.functions.values())
        return Restored(tuple(apps), tuple(deployments), functions, self._calls.waiting(), self._calls.sequence)

    def append(self, record: Record) -> None:
        """Take a record."""
        match record:
            case CallsCancelled():
                self._calls.cancel(record, self._apps.functions.keys())
            case AppRecord() | Deployment() | BundleRecord() | FunctionRecord() | FunctionGone() | ContainerRecord():
                self._apps.take(record)
            case _:
                self._calls.take(record)

    def commit(self, then: Callable[[], None], *, alone: bool = False) -> None:
        """Call `then` soon: never inside `commit`, as with a store that waits for a disk."""
        self._soon(then)

    # ------------------------------------------------------------ calls

    def read_call(
        self, call_id: str, then: Callable[[StoredCall | None], None], *, failed: Failed | None = None
    ) -> None:
        """Read the record of a call."""
        self._read(then, failed, lambda: self._stored(call_id))

    def read_outputs(
        self,
        call_id: str,
        first: int,
        last: int,
        then: Callable[[list[StoredOutput]], None],
        *,
        failed: Failed | None = None,
    ) -> None:
        """Read results."""
        self._read(then, failed, lambda: self._outputs(call_id, first, last))

    def read_trace(
        self, call_id: str, index: int, then: Callable[[Trace | None], None], *, failed: Failed | None = None
    ) -> None:
        """Read the trace of an input."""
        self._read(then, failed, lambda: self._trace(call_id, index))

    def load_call(
        self,
        call_id: str,
        window: Window,
        then: Callable[[LoadedCall | StoredCall | None], None],
        *,
        failed: Failed | None = None,
    ) -> None:
        """Read a call, to resume it."""
        self._read(then, failed, lambda: self._loaded(call_id, window))

    def load_calls(
        self,
        function_id: str,
        after: int,
        calls_max: int,
        window: Window,
        then: Callable[[list[LoadedCall]], None],
    ) -> None:
        """Read unfinished calls of a function, to resume them."""
        budget, loaded = ReadBudget(window), list[LoadedCall]()
        for call in self._calls.going_on(function_id, after):
            if len(loaded) == calls_max or (loaded and budget.is_spent):
                break
            loaded.append(call.load(budget))
        self._answer(then, loaded)

    def load_spans(self, call_id: str, first: int, window: Window, then: Callable[[LoadedSpans], None]) -> None:
        """Read more spans of a call."""
        call = self._calls.get(call_id)
        nothing = LoadedSpans(call_id, [], [], first)
        self._answer(then, call.load_spans(first, ReadBudget(window)) if call is not None else nothing)

    def expire(
        self, ended_before: float, forget_before: float, containers_max: int, then: Callable[[list[str]], None]
    ) -> None:
        """Drop old results, then forget older calls, containers and apps."""
        names = self._calls.expire(max(ended_before, forget_before))
        self._calls.forget(forget_before)
        self._apps.forget(forget_before, containers_max)
        self._answer(then, names)

    # ------------------------------------------------------------ apps

    def read_apps(self, then: Callable[[list[AppRecord]], None], *, failed: Failed | None = None) -> None:
        """Read all apps, the latest first."""
        self._read(then, failed, self._apps.latest_apps)

    def read_deployments(
        self, app_id: str, then: Callable[[list[Deployment]], None], *, failed: Failed | None = None
    ) -> None:
        """Read the versions of an app, the latest first."""
        self._read(then, failed, lambda: self._apps.deployments(app_id))

    def read_deployment(
        self, app_id: str, version: int, then: Callable[[Deployment | None], None], *, failed: Failed | None = None
    ) -> None:
        """Read one version of an app."""
        self._read(then, failed, lambda: self._apps.deployment(app_id, version))

    def read_bundle(self, digest: str, then: Callable[[bytes | None], None], *, failed: Failed | None = None) -> None:
        """Read source files."""
        self._read(then, failed, lambda: self._apps.bundles.get(digest))

    def read_containers(
        self, app_id: str, latest: int, then: Callable[[list[ContainerRecord]], None], *, failed: Failed | None = None
    ) -> None:
        """Read stopped containers, the latest first."""
        self._read(then, failed, lambda: self._apps.latest_containers(app_id, latest))

    def read_container(
        self, container_id: str, then: Callable[[ContainerRecord | None], None], *, failed: Failed | None = None
    ) -> None:
        """Read one stopped container."""
        self._read(then, failed, lambda: self._apps.containers.get(container_id))

    def close(self) -> None:
        """Do nothing: memory needs no release."""

    # ------------------------------------------------------------ reading

    def _stored(self, call_id: str) -> StoredCall | None:
        call = self._calls.get(call_id)
        return call.stored() if call is not None else None

    def _outputs(self, call_id: str, first: int, last: int) -> list[StoredOutput]:
        call = self._calls.get(call_id)
        return list(call.outputs(first, last)) if call is not None else []

    def _trace(self, call_id: str, index: int) -> Trace | None:
        call = self._calls.get(call_id)
        return call.trace(index) if call is not None else None

    def _loaded(self, call_id: str, window: Window) -> LoadedCall | StoredCall | None:
        call = self._calls.get(call_id)
        if call is None:
            return None
        return call.load(ReadBudget(window)) if call.ended_at is None else call.stored()

    def _read(self, then: Callable[[T], None], failed: Failed | None, read: Callable[[], T]) -> None:
        try:
            found = read()
        except Exception as error:
            if failed is None:
                raise
            unread = ReadFailed(f"a defect in the store ({error!r})")
            unread.__cause__ = error
            self._soon(partial(failed, unread))
        else:
            self._answer(then, found)

    def _answer(self, then: Callable[[T], None], value: T) -> None:
        self._soon(partial(then, value))
