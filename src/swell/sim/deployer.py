"""A fake client of a durable app: deploys version after version, spawns calls, and comes back when its server does.

This module must not know the engine; it sees only what a client sees.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from swell.errors import ConnectionError, NotFoundError
from swell.model import CallKind, Environment, FunctionSpec, Strategy
from swell.sim.bindings import Bindings
from swell.sim.clock import Clock
from swell.sim.following import Following
from swell.sim.request import Request
from swell.sim.spawned import SpawnedCall
from swell.sim.work import CallPlan, Tuning
from swell.wire import apps
from swell.wire import messages as m
from swell.wire.web import Leased

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
    tunings: tuple[Tuning, ...] = ()
    redeploys: bool = True  #: when it comes back to a server, though its version was live


class Deployer:
    """One client, over all its connections."""

    def __init__(self, plan: LastingPlan, clock: Clock, kill: Callable[[str], None]) -> None:
        self.plan = plan
        self.spawned: dict[str, SpawnedCall] = {}
        self.versions: list[int] = []  #: that the server said are live
        self._clock = clock
        self._send: Say | None = None
        self._wanted = 0  #: index of the version that should be live
        self._function_ids: dict[str, str] = {}
        self._waited_for: dict[str, Following] = {}
        self._requests: dict[str, Request] = {}  # over HTTP
        self._kill = kill
        self._bindings = Bindings(self.send)
        self._is_live = False  # it was told that the version that it wants is
        self._due: list[CallPlan] = []
        self._made = 0
        for number, version in enumerate(plan.versions):
            if number:
                clock.at(version.at, lambda n=number: self._want(n))
        for call in plan.calls:
            clock.at(call.opens_at, lambda c=call: self._make(c))
        for tuning in plan.tunings:
            clock.at(tuning.at, lambda t=tuning: self._tune(t))

    @property
    def is_over(self) -> bool:
        """True when it expects nothing more."""
        all_made = self._made == len(self.plan.calls) and not self._due
        calls = (*self.spawned.values(), *self._waited_for.values(), *self._requests.values())
        return all_made and all(call.is_over for call in calls)

    # ------------------------------------------------------------ connections

    def connected(self, send: Say) -> None:
        """There is a connection: make sure that the version is live, and go on."""
        self._send = send
        if self.plan.redeploys or not self._is_live:
            self._deploy()  # what is bound comes after it: the server may not know the app
        self._bindings.connected()
        if self._is_live:
            self._make_due()
        for call in self.spawned.values():
            call.connected(send)

    def disconnected(self) -> None:
        """The server is gone. What was waited for has failed."""
        self._send = None
        self._waited_for.clear()
        self._bindings.disconnected()
        for request in self._requests.values():
            request.server_gone()
        for call in self.spawned.values():
            call.disconnected()

    def send(self, message: m.Message, payload: bytes = b"") -> None:
        """Send a message, if a server is there."""
        if self._send is not None:
            self._send(message, payload)

    # ------------------------------------------------------------ doing

    def _want(self, number: int) -> None:
        self._wanted = number
        self._deploy()

    def _tune(self, tuning: Tuning) -> None:
        if self._send is not None and self._function_ids:
            self._bindings.tune(self._function_ids[tuning.function], tuning.parameters, tuning.change)

    def _deploy(self) -> None:
        self._is_live = False
        self._bindings.settings_dropped()
        plan, version = self.plan, self.plan.versions[self._wanted]
        self.send(
            apps.DeployApp(
                request=DEPLOY,
                app_id=plan.app_id,
                name=plan.name,
                environment=ENVIRONMENT,
                functions=list(version.functions),
                strategy=version.strategy,
            )
        )

    def _make(self, plan: CallPlan) -> None:
        self._made += 1
        if not self._function_ids or (self._send is None and plan.kind is not CallKind.SPAWN):
            self._due.append(plan)
            return
        function_id = self._function_ids[plan.function]
        if plan.kind is CallKind.WEB:
            request = Request(
                plan=plan,
                function_id=function_id,
                clock=self._clock,
                send=self.send,
                ended=lambda: None,
                kill=self._kill,
            )
            self._requests[plan.call_id] = request
            request.pump()
        elif plan.parameters:
            self._made -= 1
            self._bindings.use(function_id, plan.parameters, lambda variant: self._call(plan, variant))
        else:
            self._made -= 1
            self._call(plan, function_id)

    def _call(self, plan: CallPlan, function_id: str) -> None:
        """Make a call; the connection may have gone since it was bound."""
        self._made += 1
        if self._send is None and plan.kind is not CallKind.SPAWN:
            return
        if plan.kind is CallKind.SPAWN:
            call = self.spawned[plan.call_id] = SpawnedCall(plan, function_id, self._clock)
            if self._send is not None:
                call.connected(self._send)
        else:
            waited = self._waited_for[plan.call_id] = Following(plan, function_id, self._clock, self.send, lambda: None)
            waited.pump()

    # ------------------------------------------------------------ hearing

    def receive(self, message: m.Message, payload: bytes) -> None:
        """A message arrived."""
        if self._bindings.received(message):
            return
        match message:
            case apps.Deployed():
                self._deployed(message)
            case m.Failed():
                assert message.request != DEPLOY or message.code == ConnectionError.code, message.text  # it is stopping
            case Leased():
                if message.call_id in self._requests:
                    self._requests[message.call_id].leased(message)
            case m.Accepted():
                self.spawned[message.call_id].heard_accepted(message)
            case m.Refused():
                self._refused(message)
            case m.Outputs():
                self._ended(message, payload)
            case m.Notice():
                pass
            case _:
                raise AssertionError(f"a client is not told {type(message).__name__}")

    def _deployed(self, message: apps.Deployed) -> None:
        assert not self.versions or message.version >= self.versions[-1] - 1, "versions go back by more than a crash"
        self.versions.append(message.version)
        self._is_live = True
        known, self._function_ids = self._function_ids, message.function_ids
        for name, function_id in known.items():
            assert message.function_ids.get(name, function_id) == function_id, f"{name} has another id now"
        self._make_due()

    def _make_due(self) -> None:
        due, self._due = self._due, []
        for plan in due:
            self._made -= 1
            self._make(plan)

    def _refused(self, message: m.Refused) -> None:
        call_id = message.call_id
        is_known = message.code != NotFoundError.code or "does not exist" not in message.text
        assert is_known, f"the id that {call_id} names is not good any more: {message.text}"
        if call_id in self._requests:
            self._requests[call_id].refused()
        elif call_id in self.spawned:
            self.spawned[call_id].heard_refused(message)
        elif call_id in self._waited_for:
            self._waited_for[call_id].refused(message)

    def _ended(self, message: m.Outputs, payload: bytes) -> None:
        call_id = message.call_id
        if call_id in self._requests:
            self._requests[call_id].outputs(message)
        elif call_id in self.spawned:
            self.spawned[call_id].heard_outputs(message, payload)
        elif call_id in self._waited_for:
            self._waited_for[call_id].outputs(message, payload)
