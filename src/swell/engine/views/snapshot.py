"""Apps, functions, containers and calls at this moment, in rows for people.

Nothing here changes anything. This module must not know who asks, or how rows are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from swell.engine.state.app import App
from swell.engine.state.container import Container
from swell.engine.state.engine_state import EngineState
from swell.engine.state.pool import Pool
from swell.model import AppKind, DeliveryMode, FunctionSpec
from swell.policy.schedule import schedule_text
from swell.records import AppRecord, ContainerRecord
from swell.wire.messages import FunctionProgress
from swell.wire.queries import AppRow, CallReport, ContainerRow, FunctionRow

__all__ = ["SnapshotView", "function_row", "gone_row", "stopped_row", "why_waiting"]

_STATES = {
    AppKind.EPHEMERAL: "ephemeral",
    AppKind.DETACHED: "ephemeral (detached)",
    AppKind.DEPLOYED: "deployed",
}


class SnapshotView:
    """Puts the state into rows."""

    def __init__(self, state: EngineState) -> None:
        self._state = state

    def app(self, name: str) -> App | None:
        """Return the app of a name or an id, if it runs."""
        state = self._state
        return state.apps.get(state.app_names.get(name, name))

    def apps(self) -> list[AppRow]:
        """Describe all apps, the latest first."""
        rows = [self.app_row(app) for app in self._state.apps.values()]
        return sorted(rows, key=lambda row: -row.created_at)

    def app_row(self, app: App) -> AppRow:
        """Describe an app."""
        pools = app.pools.values()
        return AppRow(
            app_id=app.id,
            name=app.name,
            state="stopping…" if app.closing else _STATES[app.kind],
            containers=app.containers,
            pending=sum(pool.counts.pending_total for pool in pools),
            running=sum(pool.running for pool in pools),
            created_at=app.created_at,
            version=app.deployment.version,
        )

    def functions(self, app: App) -> list[FunctionRow]:
        """Describe the functions of an app."""
        return [function_row(pool) for pool in app.pools.values()]

    def progress(self, app_id: str) -> Iterator[FunctionProgress]:
        """Describe every function of an app, for a live display; nothing if there is no such app."""
        app = self._state.apps.get(app_id)
        for pool in () if app is None else app.pools.values():
            busy = _busy(pool)
            yield FunctionProgress(
                function_name=pool.spec.name,
                starting=len(pool.fleet.starting),
                running=busy,
                idle=len(pool.fleet.ready) + len(pool.fleet.standby) - busy,
                backlog=pool.counts.pending_total,
                running_inputs=pool.running,
                done=pool.counts.done,
                total=pool.counts.accepted,
                note=why_waiting(pool),
            )

    def containers(self, app_id: str = "") -> list[ContainerRow]:
        """Describe the containers of an app, or all, the latest first."""
        rows = [
            container_row(container)
            for container in self._state.containers.values()
            if not app_id or container.pool.app.id == app_id
        ]
        return sorted(rows, key=_latest_first)

    def latest_containers(self, most: int) -> list[ContainerRow]:
        """Describe the containers that were requested last, the latest first; at a cost for these, not for all."""
        latest = islice(reversed(self._state.containers.values()), most)
        return sorted(map(container_row, latest), key=_latest_first)

    @property
    def containers_total(self) -> int:
        """How many containers there are."""
        return len(self._state.containers)

    def container(self, container_id: str) -> ContainerRow | None:
        """Describe a container that is there, or was lately."""
        container = self._state.containers.get(container_id)
        if container is not None:
            return container_row(container)
        record = self._state.histories.container(container_id)
        return None if record is None else gone_row(record, self.app_name(record.app_id))

    def app_name(self, app_id: str) -> str:
        """Return the name of an app that runs, "" of another."""
        app = self._state.apps.get(app_id)
        return "" if app is None else app.name

    def could_hold(self, functions: Iterable[FunctionSpec]) -> bool:
        """Tell whether for each function there is a node that could hold a container of it, were that node empty."""
        return all(self._state.nodes.could_hold(spec.resources) for spec in functions)

    def is_ready(self, container_id: str) -> bool:
        """Tell whether a container has checked in."""
        container = self._state.containers.get(container_id)
        return container is not None and not container.is_starting

    def calls_in(self, container_id: str) -> tuple[str, ...]:
        """Return the calls whose inputs a container executes now."""
        container = self._state.containers.get(container_id)
        if container is None or not container.deliveries:
            return ()
        deliveries = list(container.deliveries.values())
        if deliveries[0].mode is DeliveryMode.SERIAL:
            deliveries = deliveries[:1]
        return tuple(dict.fromkeys(part.call.id for delivery in deliveries for part in delivery.parts))

    def call(self, request: int, call_id: str) -> CallReport | None:
        """Describe a call that goes on, or ended lately."""
        call = self._state.calls.get(call_id)
        if call is not None:
            history, pool = call.history, call.pool
            total = call.accepted if call.sealed else None
            return CallReport(
                request=request,
                call_id=call.id,
                app_name=pool.app.name,
                function_name=pool.spec.name,
                kind=call.kind.name.lower(),
                opened_at=history.opened_at,
                num_inputs=total,
                pending=call.pending,
                running=call.running,
                done=call.done,
                ended_at=None,
                parent=history.parent,
            )
        history = self._state.histories.call(call_id)
        if history is None:
            return None
        return CallReport(
            request=request,
            call_id=call_id,
            app_name=history.app_name,
            function_name=history.function_name,
            kind=history.kind.name.lower(),
            opened_at=history.opened_at,
            num_inputs=history.num_inputs,
            pending=0,
            running=0,
            done=history.num_inputs,
            ended_at=history.ended_at,
            parent=history.parent,
        )

    def inputs(self) -> tuple[int, int, int]:
        """Return how many inputs wait, run, and have ended since the server started."""
        pools = self._state.pools.values()
        return (
            sum(pool.counts.pending_total for pool in pools),
            sum(pool.running for pool in pools),
            self._state.ended + sum(pool.counts.done for pool in pools),
        )


def _busy(pool: Pool) -> int:
    return len(pool.fleet.ready) - len(pool.fleet.idle)


def function_row(pool: Pool) -> FunctionRow:
    """Describe a function."""
    busy, schedule = _busy(pool), pool.spec.schedule
    return FunctionRow(
        name=pool.spec.name,
        function_id=pool.id,
        version=pool.version,
        settings=pool.settings,
        starting=len(pool.fleet.starting),
        busy=busy,
        idle=len(pool.fleet.ready) + len(pool.fleet.standby) - busy,
        pending=pool.counts.pending_total,
        running=pool.running,
        done=pool.counts.done,
        plan=pool.scaling.plan.containers,
        reason=pool.scaling.plan.reason,
        held_back=pool.scaling.blocked_reason,
        schedule=schedule_text(schedule) if schedule is not None else "",
        next_run=pool.next_run,
        is_retired=pool.is_retired,
        placement=pool.spec.placement.value,
    )


def container_row(container: Container) -> ContainerRow:
    """Describe a container."""
    pool = container.pool
    return ContainerRow(
        container_id=container.id,
        app_id=pool.app.id,
        app_name=pool.app.name,
        function_name=pool.spec.name,
        state=container.shown_as,
        version=container.version,
        requested_at=container.requested_at,
        ready_at=container.ready_at,
        ended_at=None,
        running=container.running,
        served=container.served,
        node=container.place.node,
    )


def _latest_first(row: ContainerRow) -> tuple[float, str]:
    return (-row.requested_at, row.container_id)


def gone_row(record: ContainerRecord, app_name: str) -> ContainerRow:
    """Describe a container that is no more."""
    return ContainerRow(
        container_id=record.container_id,
        app_id=record.app_id,
        app_name=app_name,
        function_name=record.function_name,
        state=record.state,
        version=record.version,
        requested_at=record.requested_at,
        ready_at=record.ready_at,
        ended_at=record.ended_at,
        running=0,
        served=record.served,
        reason=record.reason,
    )


def stopped_row(record: AppRecord) -> AppRow:
    """Describe an app that is no more."""
    return AppRow(
        app_id=record.app_id,
        name=record.name,
        state="stopped",
        containers=0,
        pending=0,
        running=0,
        created_at=record.created_at,
        version=record.version,
        stopped_at=record.stopped_at,
    )


def why_waiting(pool: Pool) -> str:
    """Return why inputs of a pool wait, in words; "" if none does, or if they only wait for their turn."""
    if not pool.counts.pending_total:
        return ""
    if pool.scaling.blocked_reason:
        return pool.scaling.blocked_reason
    if not len(pool.backlog):
        return "being read from the store"
    if not pool.backlog.count:
        return "waiting for a retry's delay"
    return "" if pool.fleet.ready else "waiting for a container to start"
