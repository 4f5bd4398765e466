"""Apps and their functions: opening, closing, variants, settings and questions about them.

This module must not know inputs or slots.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from swell.engine.app import App
from swell.engine.events import AppEnded
from swell.engine.intake import Intake
from swell.engine.ledger import Ledger
from swell.engine.pool import Pool
from swell.engine.scale import Scaler
from swell.errors import Error, InvalidError, NotFoundError, to_wire
from swell.model import AutoscalerChange, AutoscalerSettings, FunctionSpec
from swell.policy.placement import never_fits
from swell.policy.soundness import settings_unsoundness, unsoundness
from swell.wire.messages import (
    AppOpened,
    AutoscalerState,
    BindFunction,
    Bound,
    CloseApp,
    Done,
    Failed,
    FunctionProgress,
    GetStats,
    Notice,
    OpenApp,
    Stats,
    UpdateAutoscaler,
)

__all__ = ["Apps"]

_spec_encoder = msgspec.msgpack.Encoder(order="deterministic")


class Apps:
    """Opens and closes apps and answers what clients ask about functions."""

    def __init__(self, ledger: Ledger, intake: Intake, scaler: Scaler) -> None:
        self._ledger = ledger
        self._intake = intake
        self._scaler = scaler

    # ------------------------------------------------------------ opening and closing

    def open(self, client: int, message: OpenApp) -> None:
        """Create an app and its pools, or fail without a trace."""
        ledger = self._ledger
        app = ledger.apps.get(message.app_id)
        if app is None:
            app = App(message.app_id, message.name, None if message.detach else client, message.environment)
            try:
                specs = [self._checked(app, spec, client) for spec in message.functions]
                _check_names(specs)
            except Error as error:
                self._fail(client, message.request, error)
                return
            ledger.apps[app.id] = app
            for spec in specs:
                self._add_pool(app, spec, key=spec.name)
                app.function_ids[spec.name] = ledger.function_id(app.id, spec.name)
        ledger.tell(client, AppOpened(message.request, app.id, dict(app.function_ids)))

    def _checked(self, app: App, spec: FunctionSpec, client: int) -> FunctionSpec:
        """Return the spec as it will be run, or raise what makes it impossible."""
        unsound = unsoundness(spec)
        if unsound:
            raise InvalidError(f"{spec.name}: {unsound}")
        why = never_fits(self._ledger.rooms(), spec.resources)
        if not why:
            return spec
        on_cpu = replace(spec, resources=replace(spec.resources, gpu=()))
        may_fall_back = spec.resources.gpu and self._ledger.settings.gpu_fallback == "cpu"
        if may_fall_back and not never_fits(self._ledger.rooms(), on_cpu.resources):
            text = f"{spec.name}: {why}; running on the CPU instead (gpu_fallback = cpu)"
            self._ledger.tell(client, Notice(app.id, text))
            return on_cpu
        hint = ", or set gpu_fallback = cpu to run without" if spec.resources.gpu else ""
        raise InvalidError(f"{spec.name}: {why}{hint}")

    def _add_pool(self, app: App, spec: FunctionSpec, *, key: str) -> Pool:
        pool_id = self._ledger.function_id(app.id, key)
        pool = app.pools[pool_id] = self._ledger.pools[pool_id] = Pool(pool_id, app, spec, self._ledger.settings)
        self._ledger.touch(pool)
        return pool

    def bind(self, client: int, message: BindFunction) -> None:
        """Answer with the pool of a variant, which is made the first time it is asked for."""
        base = self._ledger.pools.get(message.function_id)
        if base is None or base.app.closing:
            self._fail(client, message.request, NotFoundError(f"function {message.function_id} does not exist"))
            return
        # The same code: a client that binds may have it unpickled, or under another path.
        variant = replace(message.spec, source=base.spec.source)
        key = f"{variant.name}/{hashlib.sha256(_spec_encoder.encode(variant)).hexdigest()}"
        pool_id = self._ledger.function_id(base.app.id, key)
        if pool_id not in self._ledger.pools:
            try:
                spec = self._checked(base.app, variant, client)
            except Error as error:
                self._fail(client, message.request, error)
                return
            self._add_pool(base.app, spec, key=key)
        self._ledger.tell(client, Bound(message.request, pool_id))

    def close(self, client: int, message: CloseApp, now: float) -> None:
        """Stop an app; the client hears when nothing of it is left."""
        app = self._ledger.apps.get(message.app_id)
        if app is None:
            self._ledger.tell(client, Done(message.request))
            return
        app.closers.append((client, message.request))
        self.stop(app, now, message.reason or "the app was stopped")

    def stop(self, app: App, now: float, why: str) -> None:
        """End an app's calls and let its containers leave."""
        if not app.closing:
            app.closing = True
            for call in [call for call in self._ledger.calls.values() if call.pool.app is app]:
                self._intake.cancel(call, now, why=why)
            for pool in app.pools.values():
                self._ledger.starved.pop(pool.id, None)
                for container in list(pool.containers.values()):
                    self._scaler.drain(container, now)
        self.end_if_empty(app)

    def end_if_empty(self, app: App) -> None:
        """Forget a closing app once its last container is gone."""
        ledger = self._ledger
        if not app.closing or app.id not in ledger.apps or any(pool.containers for pool in app.pools.values()):
            return
        del ledger.apps[app.id]
        for pool_id in app.pools:
            ledger.pools.pop(pool_id, None)
            ledger.touched.pop(pool_id, None)
        for client, request in app.closers:
            ledger.tell(client, Done(request))
        ledger.emit(AppEnded(app.id))

    def client_gone(self, client: int, now: float) -> None:
        """A client's connection ended: so do the apps that live as long as it does."""
        for app in list(self._ledger.apps.values()):
            app.closers = [closer for closer in app.closers if closer[0] != client]
            if app.client == client:
                self.stop(app, now, "the client that ran the app is gone")

    # ------------------------------------------------------------ questions and settings

    def stats(self, client: int, message: GetStats) -> None:
        """Answer with the four numbers of a pool."""
        pool = self._pool(client, message.request, message.function_id)
        if pool is None:
            return
        max_inputs = pool.spec.concurrency.max_inputs
        slots = sum(max(0, (c.own_slots or max_inputs) - c.slots_used) for c in pool.ready.values())
        waiting = pool.pending[True] + pool.pending[False]
        stats = Stats(message.request, waiting, len(pool.containers), pool.running_total, slots * pool.batch_size)
        self._ledger.tell(client, stats)

    def update_autoscaler(self, client: int, message: UpdateAutoscaler) -> None:
        """Merge a change into the run-time layer, unless what comes out is invalid; answer with what is in force."""
        pool = self._pool(client, message.request, message.function_id)
        if pool is None:
            return
        before = pool.override
        pool.set_override(_changed(before, message.change))
        problem = settings_unsoundness(pool.settings)
        if problem:
            pool.set_override(before)
            self._fail(client, message.request, InvalidError(f"{pool.spec.name}: {problem}; nothing was changed"))
            return
        self._ledger.touch(pool)
        state = AutoscalerState(message.request, pool.settings, pool.spec.autoscaler, pool.override)
        self._ledger.tell(client, state)

    def progress(self, app: App) -> Iterator[FunctionProgress]:
        """Describe every function of an app, for a live display."""
        for pool in app.pools.values():
            busy = sum(bool(container.deliveries) for container in pool.ready.values())
            yield FunctionProgress(
                pool.spec.name,
                len(pool.starting),
                busy,
                len(pool.ready) - busy,
                len(pool.backlog),
                pool.running_total,
                pool.done,
                pool.accepted,
                why_waiting(pool),
            )

    def _pool(self, client: int, request: int, function_id: str) -> Pool | None:
        pool = self._ledger.pools.get(function_id)
        if pool is None:
            text = f"function {function_id} does not exist; is its app running?"
            self._fail(client, request, NotFoundError(text))
        return pool

    def _fail(self, client: int, request: int, error: Error) -> None:
        self._ledger.tell(client, Failed(request, *to_wire(error)))


def why_waiting(pool: Pool) -> str:
    """Return why inputs of a pool wait, in words; "" if none does, or if they only wait for their turn."""
    if not len(pool.backlog):
        return ""
    if pool.held_back:
        return pool.held_back
    if not pool.backlog.count:
        return "waiting for a retry's delay"
    return "" if pool.ready else "waiting for a container to start"


def _check_names(specs: list[FunctionSpec]) -> None:
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise InvalidError(f"{name}: two functions of one app have this name; rename one of them")


#: What None resets a field to; also the platform's defaults.
_RESET = AutoscalerSettings(min_containers=0, max_containers=0, buffer_containers=0)


def _changed(override: AutoscalerSettings, change: AutoscalerChange) -> AutoscalerSettings:
    values = {
        name: getattr(_RESET, name) if value is None else value
        for name in AutoscalerChange.__struct_fields__
        if (value := getattr(change, name)) is not UNSET
    }
    return replace(override, **values)
