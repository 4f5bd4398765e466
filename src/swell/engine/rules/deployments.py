"""Deploy apps: make versions live, go back to former ones, find them by name, restore them after a restart.

A version is immutable. Making one live changes the code that the pools of an app run; how the containers of the former
one are replaced is the scaler's business. This module must not know inputs, or where versions are kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

from msgspec.structs import replace

from swell.engine.events import DeploymentRead, ReadDeployment
from swell.engine.ids import derive_function_id
from swell.engine.rules.apps import Apps, check_environment
from swell.engine.rules.containers import Containers
from swell.engine.rules.schedules import Schedules
from swell.engine.rules.variants import Variants, base_id, pinned_key
from swell.engine.state.app import App
from swell.engine.state.engine_state import EngineState
from swell.engine.state.pool import Pool
from swell.engine.state.variant import Variant
from swell.errors import ConflictError, Error, InternalError, InvalidError, NotFoundError, ServiceError
from swell.ids import id_problem
from swell.model import AppKind, AutoscalerSettings, Deployment, Environment, FunctionSpec, Provenance, Strategy
from swell.names import check_object_name, check_tag, check_tags, check_text, shown_name
from swell.records import BundleRecord, CallsCancelled, FunctionGone, FunctionRecord, Restored
from swell.wire.apps import (
    AppFound,
    DeployApp,
    Deployed,
    FindApp,
    FindFunction,
    FunctionFound,
    RedeployApp,
    StopApp,
    TagApp,
)
from swell.wire.messages import Done

__all__ = ["Deployments"]

NEAR_MAX = 500  #: names that one is compared with, to tell which was meant: about 3 ms
NO_ENVIRONMENT = Environment("", "", ())


class Deployments:
    """Makes versions live, and finds apps and functions by name."""

    def __init__(
        self, state: EngineState, apps: Apps, variants: Variants, containers: Containers, schedules: Schedules
    ) -> None:
        self._state = state
        self._apps = apps
        self._variants = variants
        self._containers = containers
        self._schedules = schedules
        self._waiting: dict[tuple[str, int], list[tuple[int, RedeployApp | FindFunction]]] = {}  # for a version

    # ------------------------------------------------------------ a new version

    def deploy(self, client: int, message: DeployApp, bundle: bytes, now: float) -> None:
        """Make a version of an app live, unless it is so already."""
        app = self._deployed(message.name)
        app_id = message.app_id if app is None else app.id
        try:
            if app is None:
                self._check_new(app_id, message.name)
            _check_version(message)
            specs = self._apps.checked(message.functions, app_id, client, now)
            renewed = {} if app is None else self._renewed(app, specs, client, now)
        except Error as error:
            self._apps.fail(client, message.request, error)
            return
        version = 1 if app is None else app.deployment.version + 1
        deployment = Deployment(
            app_id=app_id,
            version=version,
            functions=tuple(specs),
            environment=message.environment,
            deployed_at=now,
            tag=message.tag,
            provenance=message.provenance,
        )
        if app is None:
            app = self._create(message.name, deployment, now)
        elif _is_same(app.deployment, deployment) and app.tags == message.tags:
            self._drop_overrides(app)
            ids = dict(app.function_ids)
            self._state.send_to_client(client, Deployed(message.request, app.id, app.deployment.version, ids, 0.0))
            return
        app.tag(message.tags)
        if bundle:
            self._state.persist(BundleRecord(message.environment.bundle, bundle))
        self._publish(client, message, app, deployment, renewed=renewed, now=now)

    def _drop_overrides(self, app: App) -> None:
        """Return to the settings that the functions declare, as every deploy does, even one that changes nothing."""
        for pool in app.pools.values():
            if pool.override != AutoscalerSettings():
                pool.set_override(AutoscalerSettings())
                self._state.keep(pool)
                self._state.mark_dirty(pool)
        self._variants.drop_overrides(app)

    def _check_new(self, app_id: str, name: str) -> None:
        check_object_name(name, "App")
        if problem := id_problem(app_id, "an app"):
            raise InvalidError(problem)
        if app_id in self._state.apps:
            raise ConflictError(f"{app_id} is the id of another app: mint a new one")

    def _create(self, name: str, deployment: Deployment, now: float) -> App:
        app = App(name, AppKind.DEPLOYED, None, deployment, now)
        self._state.add_app(app)
        return app

    def _publish(
        self,
        client: int,
        message: DeployApp | RedeployApp,
        app: App,
        deployment: Deployment,
        *,
        renewed: dict[str, FunctionSpec | None],
        now: float,
    ) -> None:
        """Make a version live. `renewed` has what each pool runs from then on, checked before anything changes."""
        state = self._state
        specs = {spec.name: spec for spec in deployment.functions}
        app.deploy(deployment, {name: derive_function_id(app.id, name) for name in specs})
        state.persist(deployment)
        state.persist(app.record())
        for pool in list(app.pools.values()):
            if pool.is_pinned:
                continue
            spec = renewed[pool.id]
            if spec is not None:
                self._renew(pool, spec, deployment, message.strategy, now)
            else:
                self._retire(pool)
            state.edges.note(pool)
        self._variants.forget_missing(app, specs.keys())
        for name, pool_id in app.function_ids.items():
            if pool_id not in app.pools:
                self._apps.add_pool(app, specs[name], deployment, key=name)
        self._drop_overrides(app)
        ids = dict(app.function_ids)
        state.send_to_client(client, Deployed(message.request, app.id, deployment.version, ids, deployment.deployed_at))

    def _renewed(
        self, app: App, specs: Iterable[FunctionSpec], client: int, now: float
    ) -> dict[str, FunctionSpec | None]:
        """Return the spec of each pool in a new version of its app, by pool; None if the version lacks its function."""
        bases = {spec.name: spec for spec in specs}
        pools = [pool for pool in app.pools.values() if not pool.is_pinned]
        return {pool.id: self._renewed_in(pool, bases.get(pool.spec.name), client, now) for pool in pools}

    def _renewed_in(self, pool: Pool, base: FunctionSpec | None, client: int, now: float) -> FunctionSpec | None:
        if base is None or pool.variant is None:
            return base
        try:
            return self._apps.varied(base, pool.variant.changes, pool.app, client, now)
        except InternalError:
            raise
        except Error:
            return None

    def _renew(self, pool: Pool, spec: FunctionSpec, deployment: Deployment, strategy: Strategy, now: float) -> None:
        """Have a pool run another version; containers that have not served yet do not begin with the former one."""
        pool.fleet.replace([*pool.fleet.starting.values(), *pool.fleet.standby.values()])
        self._containers.end_replaced(pool, now)
        keeps_step = _is_cron(spec) and spec.schedule == pool.spec.schedule and pool.next_run is not None
        pool.become(spec, deployment)
        pool.set_retired(False)
        if strategy is Strategy.RECREATE:
            pool.fleet.replace(list(pool.fleet.ready.values()), f"version {deployment.version} replaces it")
            self._containers.end_replaced(pool, now)
            pool.become(spec, deployment)
        if not keeps_step:  # else it may be due at this very moment
            self._schedules.begin(pool)
        self._state.keep(pool)
        self._state.mark_dirty(pool)

    def _retire(self, pool: Pool) -> None:
        """Let a pool that the live version does not have finish what it has."""
        if not pool.is_retired:
            pool.set_retired(True)
            pool.set_next_run(None)
            self._state.keep(pool)
            self._state.mark_dirty(pool)

    def remove_if_drained(self, pool: Pool, now: float) -> None:
        """Forget a retired pool once it has nothing left to do."""
        if not pool.is_empty or pool.window.is_reading_calls or pool.app.closing:
            return
        self._containers.let_go(pool, now)
        if not pool.fleet.containers:
            pool.app.remove_pool(pool)
            self._state.forget(pool)
            self._state.discard(pool)

    # ------------------------------------------------------------ a former version

    def redeploy(self, client: int, message: RedeployApp, now: float) -> None:
        """Make a former version, or the live one, live anew."""
        app = self._find(client, message.request, message.app)
        if app is None:
            return
        try:
            _check_provenance(message.provenance)
        except InvalidError as error:
            self._apps.fail(client, message.request, error)
            return
        live = app.deployment.version
        version = live if message.is_rollover else message.version or live - 1
        if not live:
            text = f"no version of {app.name} was ever deployed"
            self._apps.fail(client, message.request, InvalidError(text))
        elif message.is_rollover:
            self._publish_again(client, message, app, app.deployment, now)
        elif not version:
            text = f"version 1 of {app.name} is live: there is none before it to go back to"
            self._apps.fail(client, message.request, InvalidError(text))
        elif version == live:
            text = f"version {live} of {app.name} is live already; a rollover gives it fresh containers"
            self._apps.fail(client, message.request, InvalidError(text))
        elif not 1 <= version < live:
            text = f"{app.name} has no version {version}; there are 1 to {live}, and {live} is live"
            self._apps.fail(client, message.request, NotFoundError(text))
        else:
            self._read(app, version, client, message)

    def _read(self, app: App, version: int, client: int, message: RedeployApp | FindFunction) -> None:
        waiting = self._waiting.setdefault((app.id, version), [])
        waiting.append((client, message))
        if len(waiting) == 1:
            self._state.emit(ReadDeployment(app.id, version))

    def read(self, event: DeploymentRead, now: float) -> None:
        """Continue the requests that waited for a version to be read."""
        for client, message in self._waiting.pop((event.app_id, event.version), []):
            app, found = self._state.apps.get(event.app_id), event.deployment
            if app is None or app.closing:
                text = f"{message.app} was stopped in the meantime"
                self._apps.fail(client, message.request, NotFoundError(text))
            elif event.trouble:
                self._apps.fail(client, message.request, ServiceError(event.trouble))
            elif found is None:
                self._apps.fail(client, message.request, NotFoundError(_not_kept(message, app, event.version)))
            elif isinstance(message, RedeployApp):
                self._publish_again(client, message, app, found, now)
            else:
                self._pin(app, found)
                self._tell_pinned(client, message, app)

    def _publish_again(self, client: int, message: RedeployApp, app: App, former: Deployment, now: float) -> None:
        try:
            specs = self._apps.checked(list(former.functions), app.id, client, now)
            renewed = self._renewed(app, specs, client, now)
        except Error as error:
            self._apps.fail(client, message.request, error)
            return
        deployment = replace(
            former,
            version=app.deployment.version + 1,
            functions=tuple(specs),
            deployed_at=now,
            provenance=message.provenance,
        )
        self._publish(client, message, app, deployment, renewed=renewed, now=now)

    # ------------------------------------------------------------ finding

    def _deployed(self, name: str) -> App | None:
        return self._state.apps.get(self._state.app_names.get(name, ""))

    def _find(self, client: int, request: int, name: str) -> App | None:
        """Return the deployed app of a name or id; None after telling the client that there is none."""
        app = self._deployed(name) or self._state.apps.get(name)
        if app is not None and app.kind is AppKind.DEPLOYED and not app.closing:
            return app
        error = NotFoundError(f"No App with name {name!r} is deployed{_near(name, self._state.app_names)}")
        self._apps.fail(client, request, error)
        return None

    def find_app(self, client: int, message: FindApp, now: float) -> None:
        """Tell a client which app a name stands for, making an empty one if it wants that."""
        app = self._deployed(message.app)
        if app is None and message.create_as:
            try:
                self._check_new(message.create_as, message.app)
            except Error as error:
                self._apps.fail(client, message.request, error)
                return
            app = self._create(message.app, Deployment(message.create_as, 0, (), NO_ENVIRONMENT, now), now)
            self._state.persist(app.record())
        app = app or self._find(client, message.request, message.app)
        if app is not None:
            self._state.send_to_client(
                client, AppFound(message.request, app.id, app.name, app.deployment.version, app.tags)
            )

    def find_function(self, client: int, message: FindFunction) -> None:
        """Tell a client the id of a function of a deployed app."""
        app = self._deployed(message.app)
        kind, name = _kind_of(message.name)
        if app is None or app.closing:
            near = _near(message.app, self._state.app_names)
            text = f"Lookup failed for {kind} {name!r}: no App with name {message.app!r} is deployed{near}"
            self._apps.fail(client, message.request, NotFoundError(text))
        elif not message.version:
            self._tell_found(client, message, app.pools.get(app.function_ids.get(message.name, "")), app)
        elif message.version in app.pinned_ids:
            self._tell_pinned(client, message, app)
        elif message.version == app.deployment.version:
            self._pin(app, app.deployment)
            self._tell_pinned(client, message, app)
        else:
            self._read(app, message.version, client, message)

    def _pin(self, app: App, deployment: Deployment) -> None:
        """Give every function of a version a pool that keeps that version."""
        for spec in deployment.functions:
            key = pinned_key(spec.name, deployment.version)
            if derive_function_id(app.id, key) not in app.pools:
                alone = replace(spec, autoscaler=replace(spec.autoscaler, min_containers=None), schedule=None)
                self._apps.add_pool(app, alone, deployment, key=key, is_pinned=True)

    def _tell_pinned(self, client: int, message: FindFunction, app: App) -> None:
        pool_id = derive_function_id(app.id, pinned_key(message.name, message.version))
        self._tell_found(client, message, app.pools.get(pool_id), app)

    def _tell_found(self, client: int, message: FindFunction, pool: Pool | None, app: App) -> None:
        if pool is None:
            error = NotFoundError(_lookup_failure(message, app))
            self._apps.fail(client, message.request, error)
            return
        spec = replace(pool.spec, source=replace(pool.spec.source, pickled=b""))
        self._state.send_to_client(client, FunctionFound(message.request, app.id, pool.id, pool.version, spec))

    # ------------------------------------------------------------ the rest of an app's life

    def stop(self, client: int, message: StopApp, now: float) -> None:
        """Stop an app for good; the client is answered when nothing of it is left."""
        app = self._deployed(message.app) or self._state.apps.get(message.app)
        if app is None:
            near = _near(message.app, self._state.app_names)
            text = f"No App with name {message.app!r} runs here; it may be stopped already{near}"
            self._apps.fail(client, message.request, NotFoundError(text))
            return
        self._state.answer_at_end(app, client, message.request)
        self._apps.stop(app, now, "the app was stopped")

    def tag(self, client: int, message: TagApp) -> None:
        """Replace the tags of an app."""
        app = self._find(client, message.request, message.app)
        if app is not None:
            try:
                check_tags(message.tags)
            except InvalidError as error:
                self._apps.fail(client, message.request, error)
                return
            app.tag(message.tags)
            self._state.persist(app.record())
            self._state.send_to_client(client, Done(message.request))

    def restore(self, stored: Restored, now: float) -> None:
        """Restore the apps and functions that a former server has recorded."""
        state = self._state
        state.resume_sequence(stored.sequence)
        versions = {(each.app_id, each.version): each for each in stored.deployments}
        for record in stored.apps:
            deployment = versions.get((record.app_id, record.version))
            deployment = deployment or Deployment(record.app_id, record.version, (), NO_ENVIRONMENT)
            app = App(record.name, record.kind, None, deployment, record.created_at)
            app.tag(record.tags)
            state.add_app(app)
        for function in stored.functions:
            app = state.apps.get(function.app_id)
            if app is not None and function.function_id not in stored.waiting and self._variants.restore(app, function):
                continue  # it is put away, and comes back when somebody asks for it
            if app is not None:
                self._restore_pool(app, function, versions[app.id, function.version], stored, now)
            else:  # of an app that was stopped, and whose containers had not all left when the server ended
                state.persist(FunctionGone(function.function_id))
        # What ran for clients that ran an app themselves ended with the former server.
        state.persist(CallsCancelled(None, "its app ended with the server that ran it", now))
        for app in list(state.apps.values()):
            self._apps.end_if_idle(app, now)

    def _restore_pool(
        self, app: App, record: FunctionRecord, deployment: Deployment, stored: Restored, now: float
    ) -> None:
        state = self._state
        variant = None
        if record.changes:
            variant = Variant(base_id(state, record), record.changes, is_public=record.is_public)
        pool = Pool(
            record.function_id,
            app,
            record.spec,
            state.settings,
            deployment,
            variant=variant,
            is_pinned=record.is_pinned,
            is_recorded=True,
        )
        pool.set_retired(record.is_retired)
        pool.set_override(record.override)
        state.add_pool(pool)
        if derive_function_id(app.id, pool.spec.name) == pool.id and not pool.is_retired:
            app.name_function(pool.spec.name, pool.id)
        waiting = stored.waiting.get(pool.id)
        if waiting is not None:
            pool.window.restore(waiting.calls, waiting.inputs)
            app.note_stored(pool)
            pool.counts.add_stored(waiting.inputs)
        if record.next_run is not None and pool.spec.schedule is not None:
            self._schedules.resume(pool, record.next_run, now)


def _check_version(message: DeployApp) -> None:
    """Refuse a version whose texts cannot be shown, or whose containers cannot be started.

    Raises:
        InvalidError: names the value and its bound.
    """
    check_tag(message.tag)
    check_tags(message.tags)
    _check_provenance(message.provenance)
    check_environment(message.environment)


def _check_provenance(provenance: Provenance) -> None:
    check_text(provenance.deployed_by, "name of who deploys")
    check_text(provenance.client, "name of the client")
    check_text(provenance.commit, "commit")


def _is_cron(spec: FunctionSpec) -> bool:
    return spec.schedule is not None and spec.schedule.kind == "cron"


def _is_same(live: Deployment, new: Deployment) -> bool:
    return live.functions == new.functions and live.environment == new.environment and live.tag == new.tag


def _kind_of(name: str) -> tuple[str, str]:
    return ("Cls", shown_name(name)) if name.endswith(".*") else ("Function", name)


def _near(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, islice(known, NEAR_MAX), 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _not_kept(message: RedeployApp | FindFunction, app: App, version: int) -> str:
    """Return why a version cannot be had."""
    text = f"App {app.name!r} has no version {version}"
    if isinstance(message, RedeployApp):
        return text
    kind, name = _kind_of(message.name)
    return f"Lookup failed for {kind} {name!r}: {text}"


def _lookup_failure(message: FindFunction, app: App) -> str:
    """Return why a name was not found in an app, with what may have been meant."""
    kind, name = _kind_of(message.name)
    names = [spec.name for spec in app.deployment.functions]
    hint = _near(message.name, names)
    if kind == "Function" and f"{name}.*" in names:
        hint = f"; it is a class: use Cls.from_name({message.app!r}, {name!r})"
    elif kind == "Cls" and name in names:
        hint = f"; it is a function: use Function.from_name({message.app!r}, {name!r})"
    version = f" version {message.version}" if message.version else ""
    return f"Lookup failed for {kind} {name!r}: App {message.app!r}{version} has none of that name{hint}"
