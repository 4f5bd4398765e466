"""Variants: functions with other parameters or options, each a pool of its own. How they come, go, and come back.

A variant is asked for in two ways, and that decides what may be done with it.

- A *program* binds it (BindFunction). The program has shown the server's token, and may name the id at any later
  time: in a handle that it keeps, or has sent to another program. So the id stays good.
- A *request* over HTTP names a function and parameters of its class, in the one message that also begins the call.
  Everybody may send such requests, with any number of values, and no client learns the id. A variant that only
  requests have asked for is *public*: a function has at most `web_variants_max` of them. Once a program binds it, it
  is not public.

A variant is idle while it has no containers, no calls, and no settings that want containers. When it was idle for its
scaledown window, it is put away: its pool ends. What is kept depends on who may ask for the variant again:

    public, settings as declared         nothing: the next request makes it as the first one did
    public, settings of run time         its record: it comes back with them, whether a request or a program asks
    bound by a program                   its record: naming its id, or binding it again, brings it back

The record is the row that the store has of the pool anyway, so that putting away and bringing back seldom write.
After a restart, a variant without stored calls is put away from the beginning: a server does not start with the
pools, or the containers, of what was asked for once.

When a function has all the public variants that it may have, and a request asks for another, the longest idle one is
put away at once. One with containers is not, even if those are idle: otherwise requests with ever new values would
stop the containers of everybody else. Nor is one whose last container could not start: with its pool would end the
pause before the next start, and requests with values that a class does not bear could start containers without end.
If none is left, the request is refused, with the scaledown window as the time after which to try again.

Every step costs the same however many variants there are: each has a deadline of its own among those of its pool, and
the idle ones of a function stand in the order in which they became idle. This module must not know inputs or HTTP.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from msgspec.structs import replace

from swell.engine.ids import derive_function_id
from swell.engine.rules.admission import Admission
from swell.engine.rules.apps import Apps
from swell.engine.state.app import App
from swell.engine.state.engine_state import EngineState
from swell.engine.state.pool import Pool
from swell.engine.state.timers import Timer
from swell.engine.state.variant import Variant
from swell.errors import Error, NotFoundError, ResourceExhausted
from swell.model import AutoscalerSettings, CallKind, Deployment
from swell.records import FunctionGone, FunctionRecord
from swell.wire.messages import BindFunction, Bound, OpenCall
from swell.wire.variant import merged_changes, parameter_changes

__all__ = ["Variants", "base_id", "pinned_key"]


class Variants:
    """Makes variants, puts them away, and brings them back."""

    def __init__(self, state: EngineState, apps: Apps, admission: Admission) -> None:
        self._state = state
        self._apps = apps
        self._admission = admission

    # ------------------------------------------------------------ asking for one

    def bind(self, client: int, message: BindFunction, now: float) -> None:
        """Answer a program with the id of a variant, which is made the first time it is asked for."""
        try:
            base = self._base(message.function_id, client, now)
            pool = self._find(base, message.changes, client, now, is_public=False)
        except Error as error:
            self._apps.fail(client, message.request, error)
        else:
            self._state.send_to_client(client, Bound(message.request, pool.id))

    def open(self, client: int, message: OpenCall, payload: bytes, now: float) -> None:
        """Begin a call of a variant: a request's, with parameters, or one of a variant that may be put away."""
        try:
            pool = self._of_request(message, client, now) if message.parameters else self._awake(message, client, now)
        except Error as error:
            if not message.resent:  # else the call may have begun, and ended, when there was such a variant
                self._admission.refuse(client, message.call_id, 0, error)
                return
            pool = None
        if pool is not None:
            message = replace(message, function_id=pool.id, parameters=b"")
        self._admission.open(client, message, payload, now)  # which says what is wrong, if there is no such pool

    def wake(self, client: int, request: int, function_id: str, now: float) -> bool:
        """Bring a function back that a program names, if it is put away; False after telling why it cannot be had."""
        try:
            self._bring_back(function_id, client, now)
        except Error as error:
            self._apps.fail(client, request, error)
            return False
        return True

    def _of_request(self, message: OpenCall, client: int, now: float) -> Pool | None:
        base = self._state.pools.get(message.function_id)
        if base is None or base.app.closing or base.is_retired or self._state.is_stopping:
            return None
        if message.kind is not CallKind.WEB or message.method not in base.web_methods:
            return None
        return self._find(base, parameter_changes(message.parameters), client, now, is_public=True)

    def _awake(self, message: OpenCall, client: int, now: float) -> Pool | None:
        return None if self._state.is_stopping else self._bring_back(message.function_id, client, now)

    def _bring_back(self, function_id: str, client: int, now: float) -> Pool | None:
        app = self._state.dormant.get(function_id)
        if app is None or app.closing:
            return None
        record = app.dormant[function_id]
        base = self._base(base_id(self._state, record), client, now)
        return self._find(base, record.changes, client, now, is_public=False)

    def _base(self, function_id: str, client: int, now: float) -> Pool:
        """Return the pool of a function of which somebody wants a variant.

        Raises:
            NotFoundError: there is none, or it takes no calls any more.
        """
        pool = self._state.pools.get(function_id) or self._bring_back(function_id, client, now)
        if pool is None or pool.app.closing or pool.is_retired:
            raise NotFoundError(f"function {function_id} does not exist")
        return pool

    # ------------------------------------------------------------ making one, or bringing one back

    def _find(self, base: Pool, changes: bytes, client: int, now: float, *, is_public: bool) -> Pool:
        """Return the pool of a variant; it is made, or made again, if there is none.

        Raises:
            Error: it cannot be had, or there are too many that requests have asked for.
        """
        state = self._state
        outer = base.variant
        if outer is not None:  # a variant of a variant is one of the same base
            changes, base = merged_changes(outer.changes, changes), self._base(outer.base_id, client, now)
        pool_id = derive_function_id(base.app.id, _key(base, changes))
        pool = state.pools.get(pool_id)
        if pool is None:
            pool = self._made(base, pool_id, changes, client, now, is_public=is_public)
        elif pool.is_retired:  # the live version could not have it when it was deployed, and can now
            spec = self._apps.varied(base.spec, changes, base.app, client, now)
            pool.become(spec, _deployment_of(base))
            pool.set_retired(False)
            state.keep(pool)
            state.mark_dirty(pool)
        if pool.variant is not None and pool.variant.is_public and not is_public:
            state.no_longer_public(pool)
            pool.variant.mark_bound()
            state.keep(pool)
        return pool

    def _made(self, base: Pool, pool_id: str, changes: bytes, client: int, now: float, *, is_public: bool) -> Pool:
        state, app = self._state, base.app
        record = app.dormant.get(pool_id)
        is_public = is_public and (record is None or record.is_public)
        if record is not None and record.version == base.version:
            spec = record.spec
        else:
            spec = self._apps.varied(base.spec, changes, app, client, now)
        if is_public:
            self._make_room(base)
        pool = Pool(
            pool_id,
            app,
            spec,
            state.settings,
            _deployment_of(base),
            variant=Variant(base.id, changes, is_public=is_public),
            is_pinned=base.is_pinned,
            is_recorded=record is not None and app.kind.is_durable,
        )
        if record is not None:
            state.remove_dormant(app, pool_id)
            pool.set_override(record.override)
        state.add_pool(pool)
        if record is None or record != pool.record():
            state.keep(pool)
        return pool

    def _make_room(self, base: Pool) -> None:
        """Make sure that one more public variant may be made.

        Raises:
            ResourceExhausted: there are `web_variants_max`, and none of them is idle. Those whose containers are idle
                will be, when their scaledown window is over.
        """
        most, public = self._state.settings.web_variants_max, self._state.public_variants.get(base.id)
        count, longest_idle = (0, None) if public is None else (len(public.pools), public.longest_idle)
        if count < most:
            return
        if longest_idle is None:
            raise ResourceExhausted("web_variants_max", most, float(base.settings.scaledown_window or 0))
        self._put_away(longest_idle)

    # ------------------------------------------------------------ putting one away

    def put_away_if_idle(self, pool: Pool, now: float) -> bool:
        """Put a variant away if it was idle for its scaledown window, and return True; else note whether it is idle."""
        variant = pool.variant
        assert variant is not None, "functions as declared are never put away"
        public = self._state.public_variants.get(variant.base_id) if variant.is_public else None
        if pool.app.closing or pool.is_retired or not pool.is_idle:
            variant.mark_busy()
            if public is not None:
                public.mark_busy(pool)
            return False
        until = variant.mark_idle(now) + (pool.settings.scaledown_window or 0)
        if public is not None and pool.id not in public.idle and pool.makes_room:
            public.mark_idle(pool)
        if now >= until:
            self._put_away(pool)
            return True
        pool.timers.arm(Timer.PUT_AWAY, until)
        return False

    def _put_away(self, pool: Pool) -> None:
        pool.app.remove_pool(pool)
        self._state.forget(pool)
        if pool.is_public and pool.override == AutoscalerSettings():
            self._state.discard(pool)
        else:
            self._state.add_dormant(pool.app, pool.record())

    # ------------------------------------------------------------ while they are put away

    def restore(self, app: App, record: FunctionRecord) -> bool:
        """Leave a variant put away that a former server has left without calls; False if it must have its pool."""
        settings = record.spec.autoscaler.merge(record.override)
        if not record.changes or record.is_retired or settings.min_containers:
            return False
        if record.is_public and record.override == AutoscalerSettings():
            self._state.persist(FunctionGone(record.function_id))
        else:
            self._state.add_dormant(app, record)
        return True

    def forget_missing(self, app: App, names: Collection[str]) -> None:
        """Forget the variants whose function a new version lacks; `names` are the functions that it has."""
        for record in list(app.dormant.values()):
            if not record.is_pinned and record.spec.name not in names:
                self._forget(app, record)

    def drop_overrides(self, app: App) -> None:
        """Return to the settings that are declared, as every deploy does, also for what is put away."""
        for record in list(app.dormant.values()):
            if record.override == AutoscalerSettings():
                continue
            if record.is_public:
                self._forget(app, record)
                continue
            renewed = replace(record, override=AutoscalerSettings())
            self._state.add_dormant(app, renewed)
            if app.kind.is_durable:
                self._state.persist(renewed)

    def _forget(self, app: App, record: FunctionRecord) -> None:
        self._state.remove_dormant(app, record.function_id)
        if app.kind.is_durable:
            self._state.persist(FunctionGone(record.function_id))


def _deployment_of(base: Pool) -> Deployment:
    """Return the version that a variant of a function runs: of the same code, and of the app's age."""
    return replace(base.app.deployment, version=base.version, environment=base.deployment.environment)


def _key(base: Pool, changes: bytes) -> str:
    """Return what tells a variant from the other pools of its app."""
    name = pinned_key(base.spec.name, base.version) if base.is_pinned else base.spec.name
    return f"{name}/{hashlib.sha256(changes).hexdigest()}"


def pinned_key(name: str, version: int) -> str:
    """Return what tells a function of a pinned version from the other pools of its app."""
    return f"{name}@{version}"


def base_id(state: EngineState, record: FunctionRecord) -> str:
    """Return the id of the function that a recorded variant is one of."""
    name = record.spec.name
    return derive_function_id(record.app_id, pinned_key(name, record.version) if record.is_pinned else name)
