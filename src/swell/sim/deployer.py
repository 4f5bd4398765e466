"""A fake client of an app that stays: deploys version after version, spawns calls, and comes back when its server does.

This module must not know the engine; it sees only what a client sees.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from swell.errors import ConnectionError
from swell.model import CallKind, Environment, FunctionSpec, Strategy
from swell.sim.clock import Clock
from swell.sim.following import Following
from swell.sim.spawned import SpawnedCall
from swell.sim.work import CallPlan
from swell.wire import apps
from swell.wire import messages as m

__all__ = ["Deployer", "LastingPlan", "Version"]

ENVIRONMENT = Environment("/usr/bin/python3", "/", ())
DEPLOY = 1  #: number of the request

Say = Callable[[m.Message, bytes], None]


class Version(Struct, frozen=True):
    """What is deployed at some time."""

    at: float
    functions: tuple[FunctionSpec, ...]
    strategy: Strategy = Strategy.ROLLING


class LastingPlan(Struct, frozen=True):
    """What one such client does."""

    app_id: str
    name: str
    versions: tuple[Version, ...]
    calls: tuple[CallPlan, ...]  #: all of functions that every version has


class Deployer:
    """One client, over all its connections."""

    def __init__(self, plan: LastingPlan, clock: Clock) -> None:
        self.plan = plan
        self.spawned: dict[str, SpawnedCall] = {}
        self.versions: list[int] = []  #: that the server said are live
        self._clock = clock
        self._say: Say | None = None
        self._wanted = 0  #: index of the version that should be live
        self._function_ids: dict[str, str] = {}
        self._waited_for: dict[str, Following] = {}
        self._due: list[CallPlan] = []
        self._made = 0
        for number, version in enumerate(plan.versions):
            if number:
                clock.at(version.at, lambda n=number: self._want(n))
        for call in plan.calls:
            clock.at(call.opens_at, lambda c=call: self._make(c))

    @property
    def is_over(self) -> bool:
        """True when it expects nothing more."""
        all_made = self._made == len(self.plan.calls) and not self._due
        calls = (*self.spawned.values(), *self._waited_for.values())
        return all_made and all(call.is_over for call in calls)

    # ------------------------------------------------------------ connections

    def connected(self, say: Say) -> None:
        """There is a connection: make sure that the version is live, and go on."""
        self._say = say
        self._deploy()
        for call in self.spawned.values():
            call.connected(say)

    def disconnected(self) -> None:
        """The server is gone. What was waited for has failed."""
        self._say = None
        self._waited_for.clear()
        for call in self.spawned.values():
            call.disconnected()

    def say(self, message: m.Message, payload: bytes = b"") -> None:
        """Say something, if anybody is there to hear it."""
        if self._say is not None:
            self._say(message, payload)

    # ------------------------------------------------------------ doing

    def _want(self, number: int) -> None:
        self._wanted = number
        self._deploy()

    def _deploy(self) -> None:
        plan, version = self.plan, self.plan.versions[self._wanted]
        self.say(apps.DeployApp(DEPLOY, plan.app_id, plan.name, ENVIRONMENT, list(version.functions), version.strategy))

    def _make(self, plan: CallPlan) -> None:
        self._made += 1
        if not self._function_ids or (self._say is None and plan.kind is not CallKind.SPAWN):
            self._due.append(plan)
            return
        function_id = self._function_ids[plan.function]
        if plan.kind is CallKind.SPAWN:
            call = self.spawned[plan.call_id] = SpawnedCall(plan, function_id, self._clock)
            if self._say is not None:
                call.connected(self._say)
        else:
            waited = self._waited_for[plan.call_id] = Following(plan, function_id, self._clock, self.say, lambda: None)
            waited.pump()

    # ------------------------------------------------------------ hearing

    def hear(self, message: m.Message, payload: bytes) -> None:
        """A message arrived."""
        match message:
            case apps.Deployed():
                self._deployed(message)
            case m.Failed():
                assert message.request != DEPLOY or message.code == ConnectionError.code, message.text  # it is stopping
            case m.Accepted():
                self.spawned[message.call_id].heard_accepted(message)
            case m.Refused() | m.Outputs():
                self._heard_of(message.call_id, message, payload)
            case m.Notice():
                pass
            case _:
                raise AssertionError(f"a client is not told {type(message).__name__}")

    def _deployed(self, message: apps.Deployed) -> None:
        assert not self.versions or message.version >= self.versions[-1] - 1, "versions go back by more than a crash"
        self.versions.append(message.version)
        known, self._function_ids = self._function_ids, message.function_ids
        for name, function_id in known.items():
            assert message.function_ids.get(name, function_id) == function_id, f"{name} has another id now"
        due, self._due = self._due, []
        for plan in due:
            self._made -= 1
            self._make(plan)

    def _heard_of(self, call_id: str, message: Any, payload: bytes) -> None:
        spawned, waited = self.spawned.get(call_id), self._waited_for.get(call_id)
        if spawned is not None and isinstance(message, m.Refused):
            spawned.heard_refused(message)
        elif spawned is not None:
            spawned.heard_outputs(message, payload)
        elif waited is not None and isinstance(message, m.Refused):
            waited.refused(message)
        elif waited is not None:
            waited.outputs(message, payload)
