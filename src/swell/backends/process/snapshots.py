"""The snapshots of a backend: which function has one, which orders wait for one, and which functions cannot have one.

This module must not know how containers are forked, or what else reaches the listener.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from itertools import count

from swell.backends.process.containers import Parent
from swell.backends.process.snapshot import SnapshotHandle, SnapshotState
from swell.backends.process.template import TemplateHandle
from swell.ports import LaunchOrder
from swell.wire.template import Reply

__all__ = ["Snapshots"]

SNAPSHOTS_MAX = 16  #: kept at once; each holds the memory of one function's code
IDLE_S = 300.0  #: how long one is kept that has no container


class Snapshots:
    """The templates of single functions."""

    def __init__(
        self,
        log_line_max: int,
        on_reply: Callable[[SnapshotHandle, Reply], None],
        on_output: Callable[[str, str, str], None],
        parents: Callable[[], set[Parent]],
    ) -> None:
        """Begin with none.

        Args:
            log_line_max: characters after which a line of output is split.
            on_reply: gets the replies of snapshots.
            on_output: gets (container id, stream, text) of what is written on behalf of a waiting container.
            parents: returns the templates that have containers now.
        """
        self._log_line_max = log_line_max
        self._on_reply = on_reply
        self._on_output = on_output
        self._parents = parents
        self._by_function: dict[str, SnapshotHandle] = {}  # the one unused longest first
        self._by_id: dict[str, SnapshotHandle] = {}  # also the ones that are ending
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._numbers = count(1)

    def parent_for(self, order: LaunchOrder, base: TemplateHandle, variables: Mapping[str, str]) -> Parent | None:
        """Return what to fork this container from; None when the order waits here until that is known.

        Raises:
            OSError: too many open files.
        """
        snapshot = self._by_function.pop(order.function_id, None)
        if snapshot is not None and not snapshot.matches(order):
            self._retire(snapshot)
            snapshot = None
        if snapshot is None:
            self._make_room()
            name = f"snapshot-{next(self._numbers)}"
            snapshot = SnapshotHandle(
                snapshot_id=name,
                order=order,
                base=base,
                variables=variables,
                log_line_max=self._log_line_max,
                on_reply=self._on_reply,
                on_output=self._on_output,
            )
            self._by_id[name] = snapshot
        self._by_function[order.function_id] = snapshot
        self._check_later(snapshot)
        match snapshot.state:
            case SnapshotState.OPEN:
                return snapshot
            case SnapshotState.REJECTED:
                return base
            case SnapshotState.LOADING:
                snapshot.waiting[order.container_id] = order
                return None

    def get(self, child_id: str) -> SnapshotHandle | None:
        """Return the snapshot of that name."""
        return self._by_id.get(child_id)

    def pids(self) -> set[int]:
        """Return the process ids of the snapshots that have been forked."""
        return {snapshot.pid for snapshot in self._by_id.values() if snapshot.pid}

    def of(self, base: TemplateHandle) -> list[SnapshotHandle]:
        """Return the snapshots that were forked from a template."""
        return [snapshot for snapshot in self._by_id.values() if snapshot.base is base]

    def withdraw(self, container_id: str) -> bool:
        """Forget an order that waits here; return False if none of that name does."""
        for snapshot in self._by_id.values():
            if snapshot.waiting.pop(container_id, None) is not None:
                if not snapshot.waiting:
                    self._retire(snapshot)  # no order waits for it, and the user's code may never return
                return True
        return False

    def finish_loading(self, snapshot: SnapshotHandle, state: SnapshotState) -> list[LaunchOrder]:
        """Set the state of a snapshot that was loading; return the orders that waited for it."""
        snapshot.finish_output()
        snapshot.state = state
        orders = list(snapshot.waiting.values())
        snapshot.waiting.clear()
        return orders

    def forget(self, snapshot: SnapshotHandle) -> None:
        """Forget a snapshot whose process is gone. That a function's was rejected is remembered."""
        self._by_id.pop(snapshot.id, None)
        if snapshot.state is not SnapshotState.REJECTED and self._by_function.get(snapshot.function_id) is snapshot:
            del self._by_function[snapshot.function_id]

    def close(self) -> None:
        """Cancel all timers."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _check_later(self, snapshot: SnapshotHandle) -> None:
        """Check again after IDLE_S whether it is used."""
        timer = self._timers.pop(snapshot.id, None)
        if timer is not None:
            timer.cancel()
        self._timers[snapshot.id] = asyncio.get_running_loop().call_later(IDLE_S, self._check_idle, snapshot)

    def _check_idle(self, snapshot: SnapshotHandle) -> None:
        del self._timers[snapshot.id]
        if self._is_used(snapshot):
            self._check_later(snapshot)
        else:
            self._retire(snapshot)

    def _is_used(self, snapshot: SnapshotHandle) -> bool:
        return bool(snapshot.waiting) or snapshot in self._parents()

    def _make_room(self) -> None:
        for snapshot in list(self._by_function.values()):
            if len(self._by_function) < SNAPSHOTS_MAX:
                return
            if not self._is_used(snapshot):
                self._retire(snapshot)

    def _retire(self, snapshot: SnapshotHandle) -> None:
        """Use it for no further order, and end it unless it is used: then it is checked again later."""
        if self._by_function.get(snapshot.function_id) is snapshot:
            del self._by_function[snapshot.function_id]
        if not self._is_used(snapshot):
            snapshot.kill()
