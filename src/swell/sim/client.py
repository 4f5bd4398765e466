"""A fake client: opens an app, makes its calls within the rules of the protocol, and checks every answer it gets.

This module must not know the engine; it sees only what a client sees.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from swell.errors import NotFoundError
from swell.model import AutoscalerChange, CallKind, Environment, FunctionSpec, OutputStatus
from swell.sim.bindings import Bindings
from swell.sim.caller import Caller, LoopPlan
from swell.sim.clock import Clock
from swell.sim.following import Following
from swell.sim.lease_socket import End, LeaseSocket
from swell.sim.request import Request
from swell.sim.work import CallPlan, Tuning
from swell.wire import messages as m
from swell.wire.leases import LeaseGranted
from swell.wire.web import Leased

__all__ = ["AppPlan", "FakeClient"]

ENVIRONMENT = Environment("/usr/bin/python3", "/", ())


class AppPlan(Struct, frozen=True):
    """What one client does."""

    app_id: str
    functions: tuple[FunctionSpec, ...]
    calls: tuple[CallPlan, ...]
    updates: tuple[tuple[float, str, AutoscalerChange], ...] = ()  #: when, of which function, what
    opens_at: float = 0.0
    closes_at: float | None = None  #: None: when all calls are over
    retires: bool = False  #: when it closes, what goes on may end first
    gone_at: float | None = None  #: the client disappears
    detach: bool = False
    take_items_every: int = 1
    tunings: tuple[Tuning, ...] = ()
    loops: tuple[LoopPlan, ...] = ()  #: programs that call again and again


class FakeClient:
    """One client with its app."""

    def __init__(
        self,
        number: int,
        plan: AppPlan,
        clock: Clock,
        send: Callable[[m.Message, bytes], None],
        *,
        kill: Callable[[str], None],
        dial: Callable[[str, End], LeaseSocket | None],
    ) -> None:
        self.number = number
        self.plan = plan
        self.calls: dict[str, Following] = {}
        self.requests: dict[str, Request] = {}
        self.callers: list[Caller] = []
        self._of_calls: dict[str, Caller] = {}  # callers by the ids of their calls
        self.is_gone = False
        self.closed = False
        self.warnings: list[str] = []
        self.failures: list[m.Failed] = []
        self._clock = clock
        self._send = send
        self._kill = kill
        self._dial = dial
        self._functions: dict[str, str] = {}
        self._bindings = Bindings(self.send)
        self._closing = False
        self._closes_when_done = plan.closes_at is None
        self._retires = plan.retires and not plan.detach
        self._finish = lambda: None
        clock.at(plan.opens_at, self._open)

    @property
    def is_over(self) -> bool:
        """True when it expects nothing more."""
        return self.is_gone or self.closed or bool(self.failures)

    def function_id(self, name: str) -> str:
        """Return the id of one of its functions."""
        return self._functions[name]

    def send(self, message: m.Message, payload: bytes = b"") -> None:
        """Send something, unless it is gone."""
        if not self.is_gone:
            self._send(message, payload)

    def leave(self) -> None:
        """It is gone, and all its connections with it."""
        self.is_gone = True
        for caller in self.callers:
            caller.leave()

    def _open(self) -> None:
        plan = self.plan
        self.send(
            m.OpenApp(
                request=1,
                app_id=plan.app_id,
                name=plan.app_id,
                environment=ENVIRONMENT,
                functions=list(plan.functions),
                watch=True,
                detach=plan.detach,
            )
        )

    def receive(self, message: m.Message, payload: bytes) -> None:
        """A message arrived."""
        if self.is_gone:
            return
        if self._bindings.received(message):
            assert not isinstance(message, m.Failed) or self._closing or "nothing was changed" in message.text, (
                message.text
            )
            return
        match message:
            case m.AppOpened():
                self._opened(message)
            case Leased():
                self.requests[message.call_id].leased(message)
            case m.Outputs() if message.call_id in self.requests:
                self.requests[message.call_id].outputs(message)
            case m.Refused() if message.call_id in self.requests:
                self.requests[message.call_id].refused()
            case LeaseGranted():
                self._granted(message)
            case m.Outputs() if message.call_id in self._of_calls:
                self._of_calls[message.call_id].outputs(message, payload)
            case m.Refused() if message.call_id in self._of_calls:
                self._of_calls[message.call_id].refused(message)
            case m.Outputs():
                self.calls[message.call_id].outputs(message, payload)
            case m.Items():
                call = self.calls[message.call_id]
                count = call.items(message, payload)
                if count % self.plan.take_items_every == 0:
                    self.send(m.TakeItems(message.call_id, message.index, count))
            case m.Refused():
                is_known = message.code != NotFoundError.code or "does not exist" not in message.text
                assert is_known or self._closing, (
                    f"the id that {message.call_id} names is not good any more: {message.text}"
                )
                self.calls[message.call_id].refused(message)
            case m.Accepted():
                self.calls[message.call_id].accepted(message)
            case m.Failed():
                assert message.request != 1, message.text
            case m.Done():
                assert not self.closed, "told twice that the app is closed"
                self.closed = True
                if self._retires:
                    self._check_retired()
            case m.Notice():
                self.warnings.append(message.text)
            case m.AutoscalerState() | m.Stats() | m.CallDescription():
                pass
            case _:
                raise AssertionError(f"a client is not told {type(message).__name__}")
        self._close_if_done()

    def _granted(self, message: LeaseGranted) -> None:
        """Give a lease to a program that has use for it, if there is one."""
        wanting = (each for each in self.callers if each.function_id == message.function_id and each.wants_lease)
        caller = next(wanting, None)
        if caller is not None:
            caller.granted(message)

    def _loop(self, plan: LoopPlan, function_id: str) -> None:
        """Begin a program, unless it is too late."""
        if self.is_gone or self._closing:
            return
        caller = Caller(plan, function_id, self._clock, send=self.send, dial=self._dial, ended=self._close_if_done)
        self.callers.append(caller)
        for i in range(len(plan.works)):
            self._of_calls[plan.call(i)] = caller

    def _opened(self, message: m.AppOpened) -> None:
        self._functions = message.function_ids
        for plan in self.plan.calls:
            function_id = message.function_ids[plan.function]
            self._clock.at(plan.opens_at, lambda p=plan, f=function_id: self.call(p, f))
        for loop in self.plan.loops:
            function_id = message.function_ids[loop.function]
            self._clock.at(loop.opens_at, lambda p=loop, f=function_id: self._loop(p, f))
        for at, function, change in self.plan.updates:
            update = m.UpdateAutoscaler(2, message.function_ids[function], change)
            self._clock.at(at, lambda u=update: self.send(u))
            self._clock.at(at, lambda f=message.function_ids[function]: self.send(m.GetStats(3, f)))
        for tuning in self.plan.tunings:
            self._clock.at(tuning.at, lambda t=tuning: self._tune(t))
        if self.plan.closes_at is not None:
            self._clock.at(self.plan.closes_at, self.close)
        self._close_if_done()

    def _tune(self, tuning: Tuning) -> None:
        if not (self.is_gone or self._closing):
            self._bindings.tune(self._functions[tuning.function], tuning.parameters, tuning.change)

    def call(self, plan: CallPlan, function_id: str) -> None:
        """Make a call now, unless it is too late."""
        if plan.parameters and plan.kind is not CallKind.WEB:
            if not (self.is_gone or self._closing):
                self._bindings.use(function_id, plan.parameters, lambda variant: self._call(plan, variant))
        else:
            self._call(plan, function_id)

    def _call(self, plan: CallPlan, function_id: str) -> None:
        if self.is_gone or self._closing:
            return
        if plan.kind is CallKind.WEB:
            request = Request(
                plan=plan,
                function_id=function_id,
                clock=self._clock,
                send=self.send,
                ended=self._close_if_done,
                kill=self._kill,
            )
            self.requests[plan.call_id] = request
            request.pump()
            return
        call = self.calls[plan.call_id] = Following(plan, function_id, self._clock, self.send, self._close_if_done)
        call.pump()

    def close_when_done(self) -> None:
        """Close the app as soon as all calls are over, whatever the plan says."""
        self._closes_when_done = True
        self._close_if_done()

    def _close_if_done(self) -> None:
        all_of_them = [*self.calls.values(), *self.requests.values(), *self.callers]
        all_made = len(all_of_them) == len(self.plan.calls) + len(self.plan.loops)
        if self._closes_when_done and all_made and all(call.is_over for call in all_of_them):
            self.close()

    def close(self) -> None:
        """Close the app."""
        if not self._closing:
            self._closing = True
            self.send(m.CloseApp(9, self.plan.app_id, when_idle=self._retires))

    def _check_retired(self) -> None:
        """Assert that no request was cut off by the end of its app."""
        for call_id, request in self.requests.items():
            assert request.leased_at is None or request.is_over, f"{call_id} had its slot when its app was closed"
            assert request.status is not OutputStatus.TERMINATED or request.is_cancelled, f"{call_id} was cut off"
