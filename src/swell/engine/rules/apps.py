"""Open and close apps, change their settings, and end them.

This module must not know inputs, slots or variants, nor how one version of an app follows another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from msgspec import UNSET
from msgspec.structs import replace

from swell.engine.events import AppEnded
from swell.engine.ids import derive_function_id
from swell.engine.rules.cancelling import Cancelling
from swell.engine.rules.containers import Containers
from swell.engine.rules.schedules import Schedules
from swell.engine.rules.unchanged import unchanged
from swell.engine.state.app import App
from swell.engine.state.engine_state import EngineState
from swell.engine.state.pool import Pool
from swell.errors import Error, InvalidError, NotFoundError, to_wire
from swell.escaping import one_line
from swell.ids import id_problem
from swell.model import AppKind, AutoscalerChange, AutoscalerSettings, Deployment, Environment, FunctionSpec
from swell.names import check_text, variables_problem
from swell.policy.schedule import schedule_problem
from swell.policy.validation import settings_problem, spec_problem
from swell.records import BundleRecord, CallsCancelled, FunctionGone
from swell.states import AppState, ContainerState
from swell.wire.messages import (
    AppOpened,
    AutoscalerState,
    CloseApp,
    Done,
    Failed,
    GetStats,
    Notice,
    OpenApp,
    Stats,
    UpdateAutoscaler,
)
from swell.wire.variant import apply_changes

__all__ = ["Apps", "check_environment"]

_LEAVING = ContainerState.LEAVING
REASON_MAX = 1_000  #: characters that are kept of why a client closes its app; each of its inputs is told


class Apps:
    """Opens and closes apps, and answers questions about their functions."""

    def __init__(
        self, state: EngineState, cancelling: Cancelling, containers: Containers, schedules: Schedules
    ) -> None:
        self._state = state
        self._cancelling = cancelling
        self._containers = containers
        self._schedules = schedules

    # ------------------------------------------------------------ opening

    def open(self, client: int, message: OpenApp, bundle: bytes, now: float) -> None:
        """Create an app and its pools; if that fails, nothing is changed."""
        state = self._state
        app = state.apps.get(message.app_id)
        if app is None:
            try:
                check_text(message.name, "App name")
                check_environment(message.environment)
                specs = self._possible(message.functions, message.app_id, client, now)
            except Error as error:
                self.fail(client, message.request, error)
                return
            kind = AppKind.DETACHED if message.detach else AppKind.EPHEMERAL
            deployment = Deployment(message.app_id, int(kind.is_durable), tuple(specs), message.environment, now)
            app = App(message.name, kind, client, deployment, now)
            state.add_app(app)
            if kind.is_durable:
                state.persist(app.record())
                state.persist(deployment)
                if bundle:
                    state.persist(BundleRecord(message.environment.bundle, bundle))
            for spec in specs:
                self.add_pool(app, spec, deployment, key=spec.name)
                app.name_function(spec.name, derive_function_id(app.id, spec.name))
        ids = dict(app.function_ids)
        problems = {spec.name: self._why_without(spec) for spec in message.functions if spec.name not in ids}
        state.send_to_client(client, AppOpened(message.request, app.id, ids, problems))

    def checked(self, specs: list[FunctionSpec], app_id: str, client: int, now: float) -> list[FunctionSpec]:
        """Return specs as they will be run, or raise what makes one impossible."""
        _check_together(specs, app_id)
        with unchanged(self._state):
            return [self._checked(spec, app_id, client, now) for spec in specs]

    def _possible(self, specs: list[FunctionSpec], app_id: str, client: int, now: float) -> list[FunctionSpec]:
        """As `checked`, but without those that no node can run, unless that is all: they must not stop the others."""
        _check_together(specs, app_id)
        with unchanged(self._state):
            _check_each(specs, now)
            never = {spec.name: why for spec in specs if (why := self._impossible(spec))}
            possible = [spec for spec in specs if spec.name not in never]
            if never and not possible:
                raise InvalidError(next(iter(never.values())))
            for why in never.values():
                self._state.send_to_client(client, Notice(app_id, f"{why}. The other functions of the app run"))
            return [self._checked(spec, app_id, client, now) for spec in possible]

    def _checked(self, spec: FunctionSpec, app_id: str, client: int, now: float) -> FunctionSpec:
        _check_each([spec], now)
        if problem := self._impossible(spec):
            raise InvalidError(problem)
        why = self._state.nodes.why_never(spec.resources)
        if not why:
            return spec
        text = f"{spec.name}: {why}; running on the CPU instead (gpu_fallback = cpu)"
        self._state.send_to_client(client, Notice(app_id, text))
        return _on_cpu(spec)

    def _impossible(self, spec: FunctionSpec) -> str:
        """Return why no node can ever run a function, nor its fallback; "" if one can."""
        nodes = self._state.nodes
        why = nodes.why_never(spec.resources)
        if not why:
            return ""
        may_fall_back = spec.resources.gpu and self._state.settings.gpu_fallback == "cpu"
        if may_fall_back and not nodes.why_never(_on_cpu(spec).resources):
            return ""
        hint = ", or set gpu_fallback = cpu to run without" if spec.resources.gpu else ""
        return f"{spec.name}: {why}{hint}"

    def _why_without(self, spec: FunctionSpec) -> str:
        """Return why an app that is open is without a function. Nodes may have come since, and it stays without."""
        late = f"{spec.name}: no node could run it when its app was opened; one can now, so run the app again"
        return self._impossible(spec) or late

    def varied(self, base: FunctionSpec, changes: bytes, app: App, client: int, now: float) -> FunctionSpec:
        """Return a variant of a function as it will be run, or raise what makes it impossible."""
        with unchanged(self._state):
            return self._checked(apply_changes(base, changes), app.id, client, now)

    def add_pool(
        self, app: App, spec: FunctionSpec, deployment: Deployment, *, key: str, is_pinned: bool = False
    ) -> None:
        """Give a function its pool. `key` tells it from the others of its app."""
        state = self._state
        pool = Pool(derive_function_id(app.id, key), app, spec, state.settings, deployment, is_pinned=is_pinned)
        self._schedules.begin(pool)
        state.add_pool(pool)
        state.keep(pool)

    # ------------------------------------------------------------ closing

    def close(self, client: int, message: CloseApp, now: float) -> None:
        """Stop an app; the client is answered when nothing of it is left."""
        app = self._state.apps.get(message.app_id)
        if app is None:
            self._state.send_to_client(client, Done(message.request))
            return
        if message.when_idle and app.kind.is_durable:
            text = f"app {app.id} may outlive this server, which then would not know that it is to end: stop it at once"
            self.fail(client, message.request, InvalidError(text))
            return
        self._state.answer_at_end(app, client, message.request)
        if message.when_idle:
            self._retire(app, now)
        else:
            self.stop(app, now, message.reason[:REASON_MAX] or "the app was stopped")

    def _retire(self, app: App, now: float) -> None:
        """Stop an app when its last call has ended, which may be now. Calls that still come are its calls, too."""
        if not app.closing:
            app.retire()
            for pool in app.pools.values():
                pool.set_next_run(None)
                self._state.edges.note(pool)
            self.end_if_idle(app, now)

    def stop(self, app: App, now: float, why: str) -> None:
        """End an app's calls and let its containers leave."""
        if not app.closing:
            app.stop()
            self._state.remove_name(app)
            for call in list(app.calls.values()):
                self._cancelling.cancel(call, now, why=why)
            stored = tuple(pool.id for pool in app.pools.values() if pool.window.stored_calls)
            if stored:
                self._state.persist(CallsCancelled(stored, why, now))
            if app.kind.is_durable:
                self._state.persist(app.record(stopped_at=now))
            self._let_go(app, now)
        self.end_if_empty(app)

    def suspend(self, app: App, now: float, why: str) -> None:
        """Let an app's containers leave; its spawned calls go on with the next server, its other calls end."""
        if not app.closing:
            app.suspend()
            for call in list(app.calls.values()):
                if not call.kind.is_async:
                    self._cancelling.cancel(call, now, why=why)
            self._let_go(app, now)
        self.end_if_empty(app)

    def _let_go(self, app: App, now: float) -> None:
        for pool in app.pools.values():
            self._state.edges.note(pool)
            self._state.unblock(pool)
            ready = pool.fleet.ready
            leaving = [each for each in pool.fleet.containers.values() if each.state is _LEAVING]
            for container in (each for each in leaving if each.id not in ready):
                # It was to leave when it is done, for which it has as long as it likes: that is over.
                self._containers.drain(container, now)
            self._state.mark_dirty(pool)  # which lets its containers go

    def end_if_empty(self, app: App) -> None:
        """Forget a closing app once its last container is gone."""
        state = self._state
        if app.state not in (AppState.STOPPING, AppState.SUSPENDED):
            return
        if app.containers:
            return
        is_suspended = app.suspended
        app.end()
        state.remove_app(app)
        for pool in app.pools.values():
            for call in list(pool.window.calls.values()):  # of a suspended app: the store has it
                state.unbind(call)
            state.forget(pool)
            if not is_suspended:
                state.discard(pool)
        for function_id in list(app.dormant):
            state.remove_dormant(app, function_id)
            if app.kind.is_durable and not is_suspended:
                state.persist(FunctionGone(function_id))
        for client, request in app.closers:
            state.send_to_client(client, Done(request))
        state.emit(AppEnded(app.id))

    def client_gone(self, client: int, now: float) -> None:
        """Stop the ephemeral apps of a client that is gone, and the detached ones if they have no calls."""
        for app in self._state.clients.take_apps(client):
            if not app.remove_client(client):
                continue
            if app.kind is AppKind.EPHEMERAL:
                self.stop(app, now, "the client that ran the app is gone")
            else:
                self.end_if_idle(app, now)

    def end_if_idle(self, app: App, now: float) -> None:
        """Stop an app when its last call has ended, if it retires, or if its client is gone and nobody can call it."""
        is_left = app.kind is AppKind.DETACHED and app.owner is None
        if (is_left or app.is_retiring) and not app.has_calls:
            why = "its client is gone" if is_left else "it was replaced"
            self.stop(app, now, f"{why}, and its calls have ended")

    # ------------------------------------------------------------ questions and settings

    def stats(self, client: int, message: GetStats) -> None:
        """Answer with the four numbers of a pool."""
        pool = self._pool(client, message.request, message.function_id)
        if pool is None:
            return
        max_inputs = pool.fleet.serving.concurrency.max_inputs
        slots = sum(max(0, (c.own_slots or max_inputs) - c.slots_used) for c in pool.fleet.ready.values())
        stats = Stats(
            message.request,
            pool.counts.pending_total,
            len(pool.fleet.containers),
            pool.running,
            slots * pool.batch_size,
        )
        self._state.send_to_client(client, stats)

    def update_autoscaler(self, client: int, message: UpdateAutoscaler) -> None:
        """Merge a change into the run-time layer, unless what comes out is invalid; answer with what is in force."""
        pool = self._pool(client, message.request, message.function_id)
        if pool is None:
            return
        override = _changed(pool.override, message.change)
        # The default window is the operator's, whatever it is: a change of something else does not answer for it.
        window = override.scaledown_window
        problem = settings_problem(replace(pool.settings_under(override), scaledown_window=window))
        if problem:
            self.fail(client, message.request, InvalidError(f"{pool.spec.name}: {problem}; nothing was changed"))
            return
        if pool.override != override:
            pool.set_override(override)
            self._state.keep(pool)
        self._state.mark_dirty(pool)
        state = AutoscalerState(message.request, pool.settings, pool.spec.autoscaler, pool.override)
        self._state.send_to_client(client, state)

    def _pool(self, client: int, request: int, function_id: str) -> Pool | None:
        pool = self._state.pools.get(function_id)
        if pool is None:
            text = f"function {function_id} does not exist; is its app running?"
            self.fail(client, request, NotFoundError(text))
        return pool

    def fail(self, client: int, request: int, error: Error) -> None:
        """Tell a client why its request cannot be met."""
        self._state.send_to_client(client, Failed(request, *to_wire(error)))


def _check_together(specs: list[FunctionSpec], app_id: str) -> None:
    """Refuse functions that cannot be in one app.

    Raises:
        InvalidError: two have one name or label, or the app has no proper id.
    """
    if problem := id_problem(app_id, "an app"):
        raise InvalidError(problem)
    if name := _repeated(spec.name for spec in specs):
        raise InvalidError(f"{one_line(name):.200}: two functions of one app have this name; rename one of them")
    if label := _repeated(label for spec in specs for label in _labels(spec)):
        raise InvalidError(f"two web functions of one app ask for the label {label!r:.200}; give one another label")


def _check_each(specs: list[FunctionSpec], now: float) -> None:
    """Refuse a spec that contradicts itself.

    Raises:
        InvalidError: one does.
    """
    for spec in specs:
        unsound = spec_problem(spec) or (schedule_problem(spec.schedule, now) if spec.schedule else "")
        if unsound:
            raise InvalidError(f"{one_line(spec.name):.200}: {unsound}")


def _on_cpu(spec: FunctionSpec) -> FunctionSpec:
    return replace(spec, resources=replace(spec.resources, gpu=()))


def check_environment(environment: Environment) -> None:
    """Refuse an environment in which no process can start.

    Raises:
        InvalidError: a path or a variable has a NUL in it, or a variable has no name.
    """
    if problem := variables_problem(environment.variables):
        raise InvalidError(problem)
    for name, value in environment.raw_variables:
        if not name or b"=" in name or b"\0" in name or b"\0" in value:
            raise InvalidError(f"{name!r:.200} cannot be an environment variable, by its name or its value")
    for path in (environment.python, environment.cwd, *environment.sys_path):
        if "\0" in path:
            raise InvalidError(f"{path!r:.200} has a NUL in it, which no path can have")


def _labels(spec: FunctionSpec) -> list[str]:
    return [web.label for web in spec.web_methods.values() if web.label]


def _repeated(names: Iterable[str]) -> str:
    """Return a name that is there more than once; "" if none is."""
    return next((name for name, count in Counter(names).items() if count > 1), "")


#: What None resets a field to; also the platform's defaults.
_RESET = AutoscalerSettings(min_containers=0, max_containers=0, buffer_containers=0)


def _changed(override: AutoscalerSettings, change: AutoscalerChange) -> AutoscalerSettings:
    values = {
        name: getattr(_RESET, name) if value is None else value
        for name in AutoscalerChange.__struct_fields__
        if (value := getattr(change, name)) is not UNSET
    }
    return replace(override, **values)
