"""The engine: events in, effects out, in one deterministic step each.

`handle` and `tick` mutate only the engine and return what is to be done, in order. The same events at the same times
give the same effects, byte for byte. Nothing here reads a clock, draws a random number or performs I/O.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from msgspec.structs import replace

from swell.config import Settings
from swell.engine.events import (
    CallLoaded,
    CallsLoaded,
    ClientGone,
    ClientLags,
    ClientMessage,
    ContainerExited,
    ContainerMessage,
    ContainerStarted,
    DeploymentRead,
    Effect,
    Event,
    NodesObserved,
    ShutdownRequested,
    SpansLoaded,
    StateRestored,
    StoreTroubled,
    TraceRead,
)
from swell.engine.rules.admission import Admission
from swell.engine.rules.apps import Apps
from swell.engine.rules.completion import Completion, ProtocolError
from swell.engine.rules.deployments import Deployments
from swell.engine.rules.dispatch import Dispatcher
from swell.engine.rules.leases import Leases
from swell.engine.rules.paging import Pager, stopping
from swell.engine.rules.results import ResultPublisher
from swell.engine.rules.scale import Scaler
from swell.engine.rules.schedules import Schedules
from swell.engine.rules.unchanged import answer
from swell.engine.rules.variants import Variants
from swell.engine.rules.web import Web
from swell.engine.state.check import check
from swell.engine.state.container import LEASE, Container, Delivery
from swell.engine.state.engine_state import EngineState
from swell.engine.state.pool import STARTING, Pool
from swell.engine.views.explain import Explainer, call_and_index
from swell.engine.views.snapshot import SnapshotView
from swell.engine.views.stats import StatsView
from swell.errors import InvalidError, NotFoundError, to_wire
from swell.model import OutputStatus
from swell.states import ContainerState
from swell.wire import messages as m
from swell.wire.apps import DeployApp, FindApp, FindFunction, RedeployApp, StopApp, TagApp
from swell.wire.queries import AskStory, InspectCall, StopContainer
from swell.wire.web import EdgeUp, GetWebUrl, Release, WatchRoutes

__all__ = ["Engine"]

#: What a server that is stopping does not do any more: it would not last, or be done to what is half gone.
_TOO_LATE = (
    m.OpenApp,
    m.BindFunction,
    m.UpdateAutoscaler,
    m.GetStats,
    DeployApp,
    RedeployApp,
    StopApp,
    FindApp,
    FindFunction,
    TagApp,
)


class Engine:
    """The owner of all truth about apps, calls, inputs and containers."""

    def __init__(self, settings: Settings, seed: str = "") -> None:
        self.state = EngineState(settings, seed)
        results = ResultPublisher(self.state)
        self._completion = Completion(self.state, results)
        self._scaler = Scaler(self.state, self._completion, results)
        self._dispatcher = Dispatcher(self.state)
        self._leases = Leases(self.state, self._completion, self._scaler)
        self.web = Web(self.state)
        self._pager = Pager(self.state, results)
        self._admission = Admission(self.state, self._completion, results, self._pager)
        self._schedules = Schedules(self.state, self._admission)
        self._apps = Apps(self.state, self._admission, self._scaler, self._schedules)
        self._variants = Variants(self.state, self._apps, self._admission)
        self._deployments = Deployments(self.state, self._apps, self._variants, self._scaler, self._schedules)
        self._explainer = Explainer(self.state)
        self.snapshot = SnapshotView(self.state)
        self.stats = StatsView(self.state)
        self._wakes: list[tuple[float, str]] = []
        self._looks: dict[str, Callable[[Pool, float], None]] = {
            "work": self._dispatcher.check_work,
            "timeout": self._check_timeouts,
            "start": self._scaler.check_starts,
            "drain": self._scaler.check_drains,
            "resist": self._check_resistance,
            "schedule": self._schedules.check,
            # The others only want the pool to be dispatched and scaled again, which follows every look.
            "retry": lambda pool, now: None,
            "batch": lambda pool, now: None,
            "burst": lambda pool, now: None,
            "idle": lambda pool, now: None,
            "grow": lambda pool, now: None,
            "away": lambda pool, now: None,
        }

    # ------------------------------------------------------------ the interface

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take in what happened and return what to do about it."""
        match event:
            case ClientMessage():
                self._client_said(event.client, event.message, event.payload, now)
            case ContainerMessage():
                self._container_said(event, now)
            case ContainerStarted():
                container = self.state.containers.get(event.container_id)
                if container is not None and container.state is ContainerState.REQUESTED:
                    container.become(ContainerState.STARTING)
            case ContainerExited():
                container = self.state.containers.get(event.container_id)
                if container is not None:
                    self._scaler.gone(container, event.reason, now, event.excess)
                    self._apps.end_if_empty(container.pool.app)
            case ClientLags():
                self._admission.lags(event.client, event.is_lagging)
            case ClientGone():
                self._admission.client_gone(event.client, now)
                self._leases.client_gone(event.client, now)
                self.web.client_gone(event.client)
                self._apps.client_gone(event.client, now)
            case NodesObserved():
                self._scaler.observed(event, now)
            case ShutdownRequested():
                self.state.is_stopping = True
                for app in list(self.state.apps.values()):
                    end = self._apps.suspend if app.kind.is_lasting else self._apps.stop
                    end(app, now, event.reason)
            case _:
                self._store_said(event, now)
        return self._finish(now)

    def _store_said(self, event: Event, now: float) -> None:
        match event:
            case StateRestored():
                self._deployments.restore(event.state, now)
            case CallLoaded():
                self._pager.answer(event, self._client_said, self._begin, now)
            case CallsLoaded():
                self._pager.calls_loaded(event, now)
            case SpansLoaded():
                self._pager.spans_loaded(event, now)
            case DeploymentRead():
                self._deployments.read(event, now)
            case TraceRead():
                answer(self.state, event.client, event.request, lambda: self._tell_stored_story(event))
            case StoreTroubled():
                self.state.store_trouble = event.why
            case _:
                raise AssertionError(f"nobody handles {type(event).__name__}")

    def tick(self, now: float) -> list[Effect]:
        """Do what is due by time."""
        state, wakes = self.state, self._wakes
        while wakes and wakes[0][0] <= now:
            _, pool_id = heapq.heappop(wakes)
            pool = state.pools.get(pool_id)
            if pool is None:
                continue
            pool.wake_at = float("inf")
            for kind in [kind for kind, at in pool.deadlines.items() if at <= now]:
                del pool.deadlines[kind]
                self._looks[kind](pool, now)
            state.mark_dirty(pool)
        self._scaler.look(now)
        return self._finish(now)

    def next_deadline(self) -> float:
        """Return when `tick` has something to do; infinity if nothing is due by time alone."""
        pools = self._wakes[0][0] if self._wakes else float("inf")
        return min(pools, self._scaler.look_at)

    def validate(self) -> None:
        """Raise AssertionError if the engine's state contradicts itself. For tests and the simulator."""
        check(self.state)

    # ------------------------------------------------------------ messages

    def _client_said(self, client: int, message: m.Message, payload: bytes, now: float) -> None:
        match message:
            case m.OpenCall():
                self._open_call(client, message, payload, now)
            case m.PutInputs():
                self._admission.put(client, message, payload, now)
            case m.CancelCall():
                self._cancel_call(client, message, now)
            case m.Watch():
                self._admission.watch(client, message)
            case m.Unwatch():
                self._admission.unwatch(client, message)
            case m.TakeItems():
                self._completion.items_taken(message)
            case Release():
                self._leases.release(client, message, now)
            case m.DescribeCall() | InspectCall() | AskStory():
                answer(self.state, client, message.request, lambda: self._answer(client, message, now))
            case GetWebUrl():
                if self._variants.wake(client, message.request, message.function_id, now):
                    answer(self.state, client, message.request, lambda: self.web.find_url(client, message))
            case _:
                self._said_of_apps(client, message, payload, now)

    def _open_call(self, client: int, message: m.OpenCall, payload: bytes, now: float) -> None:
        if message.parameters or message.function_id not in self.state.pools:
            self._variants.open(client, message, payload, now)
        else:
            self._admission.open(client, message, payload, now)

    def _said_of_apps(self, client: int, message: m.Message, payload: bytes, now: float) -> None:
        apps, deployments = self._apps, self._deployments
        if self.state.is_stopping and isinstance(message, _TOO_LATE):
            apps.fail(client, message.request, stopping())
            return
        match message:
            case m.OpenApp():
                apps.open(client, message, payload, now)
            case m.CloseApp():
                apps.close(client, message, now)
            case m.BindFunction():
                self._variants.bind(client, message, now)
            case m.UpdateAutoscaler():
                if self._variants.wake(client, message.request, message.function_id, now):
                    apps.update_autoscaler(client, message)
            case m.GetStats():
                if self._variants.wake(client, message.request, message.function_id, now):
                    answer(self.state, client, message.request, lambda: apps.stats(client, message))
            case DeployApp():
                deployments.deploy(client, message, payload, now)
            case RedeployApp():
                deployments.redeploy(client, message, now)
            case StopApp():
                deployments.stop(client, message, now)
            case FindApp():
                deployments.find_app(client, message, now)
            case FindFunction():
                deployments.find_function(client, message)
            case TagApp():
                deployments.tag(client, message)
            case _:
                self._said_of_the_rest(client, message, now)

    def _answer(self, client: int, message: m.DescribeCall | InspectCall | AskStory, now: float) -> None:
        """Answer a question. It changes nothing, but that somebody may wait for the store."""
        match message:
            case m.DescribeCall():
                self._admission.describe(client, message)
            case InspectCall():
                report = self.snapshot.call(message.request, message.call_id)
                if report is None:
                    self._pager.ask(message.call_id, client, message)
                else:
                    self.state.send_to_client(client, report)
            case AskStory():
                self._tell_story(client, message, now)

    def _said_of_the_rest(self, client: int, message: m.Message, now: float) -> None:
        state = self.state
        match message:
            case StopContainer():
                self._stop_container(client, message, now)
            case EdgeUp():
                self.web.edge_up(client, message)
            case WatchRoutes():
                self.web.watch(client)
            case _:
                error = InvalidError(f"a client does not say {type(message).__name__}")
                state.send_to_client(client, m.Failed(getattr(message, "request", 0), *to_wire(error)))

    def _tell_story(self, client: int, message: AskStory, now: float) -> None:
        state, about = self.state, message.about
        story = self._explainer.tell(message.request, about, now)
        if story is not None:
            state.send_to_client(client, story)
            return
        if about.startswith(("fc-", "in-")):
            call_id, _ = call_and_index(about)
            if call_id not in state.calls and state.histories.call(call_id) is None:
                self._pager.ask(call_id, client, message)
                return
        text = (
            f"nothing is known of {about!r}: name an input (in-…), a call (fc-…), a container (ta-…), or a function as "
            "app.function; of what has ended only the latest is remembered"
        )
        state.send_to_client(client, m.Failed(message.request, *to_wire(NotFoundError(text))))

    def _tell_stored_story(self, event: TraceRead) -> None:
        self.state.send_to_client(
            event.client, Explainer.from_store(event.request, event.call, event.index, event.trace)
        )

    def _stop_container(self, client: int, message: StopContainer, now: float) -> None:
        container = self.state.containers.get(message.container_id)
        if container is None or container.leaving:
            text = f"container {message.container_id} does not run, or is leaving already"
            self.state.send_to_client(client, m.Failed(message.request, *to_wire(NotFoundError(text))))
            return
        if message.graceful or container.state in STARTING:
            self._scaler.drain(container, now)
        else:
            self._scaler.interrupt(container, "it was stopped by hand", now)
        self.state.send_to_client(client, m.Done(message.request))

    def _cancel_call(self, client: int, message: m.CancelCall, now: float) -> None:
        call = self.state.calls.get(message.call_id)
        if call is None:
            if self.state.histories.call(message.call_id) is None:  # else it has just ended
                self._pager.ask(message.call_id, client, message)
            return
        kill = message.terminate_containers
        self._admission.cancel(call, now, terminate_containers=kill, why="the call was cancelled")

    def _begin(self, client: int, message: m.Message, payload: bytes, now: float) -> None:
        """Begin a call that might have been known from before, and is not."""
        assert isinstance(message, m.OpenCall)
        self._open_call(client, replace(message, resent=False), payload, now)

    def _container_said(self, event: ContainerMessage, now: float) -> None:
        container, message = self.state.containers.get(event.container_id), event.message
        if container is None:
            return  # it is gone already; what it still had to say means nothing now
        try:
            match message:
                case m.Completed():
                    self._completion.completed(container, message, event.payload, now)
                case m.Yielded():
                    self._completion.yielded(container, message, event.payload)
                case m.Returned():
                    self._completion.returned(container, message, now)
                case m.Ready():
                    self._scaler.ready(container, now)
                case m.StartFailed():
                    container.startup_failure = (message.text, event.payload)
                case m.Resize():
                    self._resize(container, message.slots)
                case m.Leaving():
                    if container.state in STARTING:
                        raise ProtocolError("it wants to leave before it is ready for its first input")
                    container.pool.retire(container)
                    self.state.mark_dirty(container.pool)
                case _:
                    raise ProtocolError(f"a container does not say {type(message).__name__}")
        except ProtocolError as error:
            self._scaler.kill(container, str(error), its_fault=True)
        if container.leaving and not container.deliveries and container.state is ContainerState.READY:
            self._scaler.drain(container, now)

    def _resize(self, container: Container, slots: int) -> None:
        """Use so many slots of a container from now on, because its own code says so."""
        most = container.spec.concurrency.max_inputs
        if not 1 <= slots <= most:
            raise ProtocolError(f"a container with {most} slots asked to have {slots}")
        container.own_slots = slots
        self.state.mark_dirty(container.pool)

    # ------------------------------------------------------------ time

    def _check_timeouts(self, pool: Pool, now: float) -> None:
        for container in list(pool.containers.values()):
            limit = container.spec.timeout_s
            if container.killed:
                continue
            for delivery in list(container.deliveries.values()):
                expires = delivery.since + limit
                if now < expires:
                    pool.arm("timeout", expires)
                else:
                    # What is left of it afterwards (the rest of a serial queue) begins now and has its own time.
                    pool.arm("timeout", now + limit)
                    self._time_out(container, delivery, now)
                if delivery.mode == "serial":
                    break  # the others wait in the container's queue: their time has not begun

    def _time_out(self, container: Container, delivery: Delivery, now: float) -> None:
        """End the attempts that a delivery has executed for as long as it may."""
        running = [min(delivery.open)] if delivery.mode == "serial" else sorted(delivery.open)
        running = [position for position in running if position not in delivery.revoked]
        if not running:
            return
        text = f"ran longer than timeout = {container.spec.timeout_s:g} s"
        self._completion.revoke(delivery, running, now=now)
        for position in running:
            self._completion.fail_attempt(delivery, position, OutputStatus.TIMEOUT, text, now)
        if delivery.mode != LEASE and not container.is_async(delivery.parts[0].call.method):
            # Synchronous code cannot be unwound safely; what shares the container is re-run elsewhere.
            self._scaler.kill(container, text)

    def _check_resistance(self, pool: Pool, now: float) -> None:
        for container in list(pool.containers.values()):
            if now >= container.resist_until:
                container.resist_until = float("inf")
                if not any(delivery.revoked for delivery in container.deliveries.values()):
                    continue
                if container.is_leased and container.executing:
                    # Other requests are in it, which cannot be run again elsewhere: it takes no more, and is looked at
                    # again.
                    self._scaler.drain(container, now)
                    container.resist_until = now + self.state.settings.cancel_grace_s
                    pool.arm("resist", container.resist_until)
                else:
                    self._expel(container, "a cancelled input would not stop", now)
            elif container.resist_until < float("inf"):
                pool.arm("resist", container.resist_until)

    def _expel(self, container: Container, reason: str, now: float) -> None:
        """Get rid of a container whose user code does not stop."""
        if container.is_leased:
            self._scaler.interrupt(container, reason, now)
            return
        method = next(iter(container.deliveries.values())).parts[0].call.method
        if container.spec.concurrency.max_inputs == 1 and not container.is_async(method):
            # That code has the main thread, where exit hooks would have to run.
            self._scaler.kill(container, reason)
        else:
            self._scaler.interrupt(container, reason, now)

    # ------------------------------------------------------------ after every step

    def _finish(self, now: float) -> list[Effect]:
        """Place inputs and adjust sizes wherever something changed, and note when to look again."""
        state = self.state
        while state.dirty:
            pools = list(state.dirty.values())
            state.dirty.clear()
            for pool in pools:
                self._dispatcher.release(pool, now)
                self._scaler.scale(pool, now)
                self._dispatcher.dispatch(pool, now)
                if pool.spawned or pool.stored_calls:
                    self._pager.refill(pool)
                if pool.changes and self._variants.settle(pool, now):
                    continue  # it is put away
                if pool.is_retired:
                    self._deployments.wither(pool, now)
                elif pool.app.may_end_idle:
                    self._apps.end_if_idle(pool.app, now)
                at = pool.next_deadline
                if at < pool.wake_at:
                    pool.wake_at = at
                    heapq.heappush(self._wakes, (at, pool.id))
        if state.routes_changed:
            state.routes_changed = False
            self.web.tell_routes()
        effects, state.outbox = state.outbox, []
        return effects
