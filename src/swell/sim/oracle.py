"""The test oracle: an independent account of every input, kept from the events and effects of the engine.

The engine counts spans; the oracle records each input by itself, plainly, and raises an AssertionError as soon as
something happens that the rules forbid: an input in two places, an attempt miscounted, a result given twice or
to the wrong client, an order to a container that was told to leave. It must not read the engine's state.
"""

from __future__ import annotations

from collections.abc import Iterable

from swell.config import Settings
from swell.engine.events import (
    CallLoaded,
    CallsLoaded,
    ClientGone,
    ClientMessage,
    ContainerExited,
    ContainerMessage,
    DropBlobs,
    Effect,
    Event,
    KillContainer,
    Persist,
    SendToClient,
    SendToContainer,
    ShutdownRequested,
    StartContainer,
)
from swell.model import CallKind, DeliveryMode, FunctionSpec, MemoryExcess, OutputStatus
from swell.policy.retry import retry_delay
from swell.records import CallEnded, LoadedCall, OutputsRecord, Record, StoredCall, Window
from swell.sim.store import DurableStore
from swell.sim.work import Mishap, Work
from swell.states import ENDS_AS, InputState, is_final, step
from swell.wire import messages as m
from swell.wire.apps import DeployApp, Deployed
from swell.wire.web import Leased, Release

__all__ = ["Account", "Oracle"]

EPSILON = 1e-9
ENDS_WELL = (OutputStatus.SUCCESS, OutputStatus.GENERATOR_DONE)
EVERYTHING = Window(1 << 60, 1 << 60)
COUNTED = (OutputStatus.FAILURE, OutputStatus.TIMEOUT, OutputStatus.OUT_OF_MEMORY)


class Account:
    """What is known of one input."""

    __slots__ = ("alone", "answer", "began_at", "crashes", "delivery", "failures", "not_before", "state", "steps")

    def __init__(self) -> None:
        self.state = InputState.PENDING
        self.answer: OutputStatus | None = None
        self.delivery = 0
        self.began_at: float | None = None  #: when its container began to execute it, in this attempt
        self.failures = 0
        self.crashes = 0  #: containers lost while it was executed
        self.alone = False  #: in the last of them it was the only one
        self.steps = 0  #: mishaps behind it
        self.not_before = 0.0


class CallAccount:
    """What is known of one call."""

    def __init__(self, client: int, message: m.OpenCall, spec: FunctionSpec, works: tuple[Work, ...]) -> None:
        self.id = message.call_id
        self.client = client
        self.kind = message.kind
        self.method = message.method
        self.function_id = message.function_id
        self.spec = spec
        self.works = works
        self.inputs: list[Account] = []  #: accepted, as far as is known
        self.frontier = 0  #: first index that never left for a container
        self.returned: set[int] = set()  #: below the frontier, and pending again
        self.kept: set[int] = set()  #: have results that a former server recorded
        self.doomed = False  #: cancelled, or its client or app is gone
        self.ended = 0
        self.is_sealed = message.sealed


class Held:
    """One delivery."""

    def __init__(self, container_id: str, mode: DeliveryMode, inputs: list[tuple[CallAccount, int]]) -> None:
        self.container_id = container_id
        self.mode = mode
        self.inputs = inputs
        self.live = set(range(len(inputs)))
        self.stopping: set[int] = set()  #: ended for their clients; the container has not answered yet


class Oracle:
    """Checks events and effects, in order, against what may follow what."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.calls: dict[str, CallAccount] = {}
        self.works: dict[str, tuple[Work, ...]] = {}
        self.expect_innocent_survival = True  #: False while containers are lost at random
        self.slack_s = EPSILON  #: by how much a time limit may be missed
        self.unread: set[str] = set()  #: calls of a killed server that the next one has not read, and so cannot end
        self._specs: dict[str, FunctionSpec] = {}
        self._apps: dict[str, tuple[int, bool, list[FunctionSpec]]] = {}  #: client, lives on, functions
        self._app_of: dict[str, str] = {}
        self._held: dict[int, Held] = {}
        self._held_by: dict[str, dict[int, Held]] = {}
        self._leases: dict[str, Held] = {}  #: of requests over HTTP, by call
        self._leased_so_far = 0
        self._no_more: dict[str, str] = {}  #: containers that must not be given inputs, and why
        self._limbo: dict[tuple[str, int], CallAccount] = {}  #: answered just now; what comes of it is unsaid
        self._recorded: set[tuple[str, int]] = set()
        self._finished: set[str] = set()
        self._dropped: set[tuple[str, int]] = set()
        self._deploying: dict[int, DeployApp] = {}  # by client
        self._binding: dict[tuple[int, int], str] = {}  # functions of which a variant was asked for
        self._lasting: set[str] = set()  # functions of durable apps

    # ------------------------------------------------------------ what containers ask and tell

    def work(self, call_id: str, index: int) -> tuple[Work, int]:
        """Return the behaviour of an input and the number of mishaps behind it."""
        call = self.calls[call_id]
        return call.works[index], call.inputs[index].steps

    def began(self, delivery: int, call_id: str, index: int, at: float) -> None:
        """A container begins to execute an input."""
        account = self.calls[call_id].inputs[index]
        if account.state is InputState.RUNNING and account.delivery == delivery:
            account.began_at = at

    def killed(self, delivery: int, call_id: str, index: int) -> None:
        """An input takes its container down."""
        account = self.calls[call_id].inputs[index]
        if account.state is InputState.RUNNING and account.delivery == delivery:
            account.steps += 1

    # ------------------------------------------------------------ events, before the engine sees them

    def happened(self, event: Event, now: float) -> None:
        """Note an event that the engine is about to handle."""
        match event:
            case ClientMessage():
                self._client_said(event.client, event.message)
            case ContainerMessage():
                self._container_said(event.container_id, event.message)
            case ContainerExited():
                self._exited(event.container_id, event.excess)
            case ClientGone():
                for call in self.calls.values():
                    if call.client == event.client and call.kind is not CallKind.SPAWN:
                        call.doomed = True
                        self._freed(call)
                for app_id, (client, lives_on, _) in self._apps.items():
                    if client == event.client and not lives_on:
                        self._close(app_id)
            case ShutdownRequested():
                for app_id in self._apps:
                    self._close(app_id)
            case CallLoaded(found=LoadedCall()):
                self.unread.discard(event.call_id)
            case CallsLoaded():
                self.unread.difference_update(loaded.call.call_id for loaded in event.calls)
            case _:
                pass

    def _client_said(self, client: int, message: m.Message) -> None:
        match message:
            case DeployApp():
                self._deploying[client] = message
            case m.BindFunction():
                self._binding[client, message.request] = message.function_id
            case m.OpenApp():
                self._apps.setdefault(message.app_id, (client, message.detach, message.functions))
            case m.OpenCall() if message.call_id not in self.calls and message.function_id in self._specs:
                spec = self._specs[message.function_id]
                call = CallAccount(client, message, spec, self.works[message.call_id])
                self.calls[call.id] = call
                call.inputs = [Account() for _ in message.ends]
            case m.PutInputs():
                call = self.calls.get(message.call_id)
                if call is not None and not call.doomed and message.first == len(call.inputs):
                    call.is_sealed = message.sealed
                    call.inputs.extend(Account() for _ in message.ends)
            case Release():
                call = self.calls.get(message.call_id)
                if call is not None and call.client == client and self._freed(call):
                    self._released(call, OutputStatus(message.status))
            case m.CancelCall():
                call = self.calls.get(message.call_id)
                if call is not None:
                    call.doomed = True
            case m.CloseApp() if not message.when_idle:
                self._close(message.app_id)
            case _:
                pass

    def _freed(self, call: CallAccount) -> bool:
        """The slot of a request is free; False if it has none."""
        held = self._leases.pop(call.id, None)
        if held is None:
            return False
        held.live.clear()
        return True

    def _released(self, call: CallAccount, status: OutputStatus) -> None:
        account = call.inputs[0]
        if not is_final(account.state):
            account.state = step(account.state, ENDS_AS[status])
            call.ended += 1

    def _close(self, app_id: str) -> None:
        for call in self.calls.values():
            if self._app_of.get(call.function_id) == app_id:
                call.doomed = True

    def _container_said(self, container_id: str, message: m.Message) -> None:
        mine = self._held_by.get(container_id, {})
        match message:
            case m.Completed():
                failures, item = dict(message.failures), 0
                for number, first, count in message.parts:
                    held = mine.get(number)
                    for position in range(first, first + count):
                        if held is not None:
                            held.stopping.discard(position)
                        if held is not None and position in held.live:
                            self._answered(held, position, OutputStatus(failures.get(item, 1)))
                        item += 1
            case m.Returned():
                held = mine.get(message.delivery)
                if held is not None:
                    held.stopping.difference_update([p for p in held.stopping if p >= message.position])
                    for position in [p for p in sorted(held.live) if p >= message.position]:
                        assert held.inputs[position][0].inputs[held.inputs[position][1]].began_at is None, (
                            "gave back an input that it had begun"
                        )
                        self._return(held, position, 0.0)
            case m.Leaving():
                self._no_more.setdefault(container_id, "said that it is leaving")
            case _:
                pass

    def _answered(self, held: Held, position: int, status: OutputStatus) -> None:
        held.live.discard(position)
        call, index = held.inputs[position]
        account = call.inputs[index]
        account.answer = status
        if status in COUNTED:
            account.failures += 1
            account.steps += 1
        elif status is OutputStatus.TERMINATED:
            account.crashes += 1  # stopped with its batch, though nobody asked for it
        self._limbo[call.id, index] = call

    def _exited(self, container_id: str, excess: MemoryExcess | None) -> None:
        mine = self._held_by.pop(container_id, {})
        left = sum(len(held.live) for held in mine.values())
        there = left + sum(len(held.stopping) for held in mine.values())
        for number, held in mine.items():
            self._held.pop(number, None)
            for position in sorted(held.live):
                call, index = held.inputs[position]
                account = call.inputs[index]
                if held.mode is DeliveryMode.LEASE:
                    self._freed(call)
                    if not is_final(account.state):
                        killed = OutputStatus.INTERNAL_FAILURE if excess is None else OutputStatus.OUT_OF_MEMORY
                        account.answer = killed
                        self._limbo[call.id, index] = call
                    continue
                if excess is not None and there == 1:
                    account.answer = OutputStatus.OUT_OF_MEMORY
                    account.failures += 1
                    self._limbo[call.id, index] = call
                    continue
                # The engine cannot know whether it had begun: the delivery may not have been read.
                account.crashes += excess is None
                account.alone = left == 1
                self._return(held, position, 0.0)
        self._no_more[container_id] = "is gone"

    def _return(self, held: Held, position: int, not_before: float) -> None:
        held.live.discard(position)
        call, index = held.inputs[position]
        self._pend(call, index, not_before)

    @staticmethod
    def _pend(call: CallAccount, index: int, not_before: float) -> None:
        account = call.inputs[index]
        account.state = step(account.state, InputState.PENDING)
        account.answer = None
        account.began_at = None
        account.not_before = not_before
        call.returned.add(index)

    # ------------------------------------------------------------ effects, in order

    def decided(self, effect: Effect, now: float) -> None:
        """Check one effect of the event that happened last."""
        match effect:
            case SendToContainer(container_id=container_id, message=m.Deliver() as message):
                self._delivered(container_id, message, now)
            case SendToContainer(container_id=container_id, message=m.Cancel() as message):
                self._cancelled(container_id, message, now)
            case SendToContainer(container_id=container_id, message=m.Drain()):
                assert container_id not in self._no_more or "leaving" in self._no_more[container_id], (
                    f"{container_id} {self._no_more[container_id]} and is told to leave"
                )
                leased = [call_id for call_id, held in self._leases.items() if held.container_id == container_id]
                assert not leased, f"{container_id} is told to leave, and {leased[0]} is on its way to it"
                self._no_more[container_id] = "was told to leave"
            case KillContainer():
                assert self._no_more.get(effect.container_id) != "is being killed", (
                    f"{effect.container_id}: killed twice"
                )
                self._no_more[effect.container_id] = "is being killed"
            case StartContainer():
                self._held_by[effect.container_id] = {}
            case SendToClient(message=m.AppOpened() as message):
                _, lives_on, specs = self._apps[message.app_id]
                for spec in specs:
                    self._specs[message.function_ids[spec.name]] = spec
                    self._app_of[message.function_ids[spec.name]] = message.app_id
                    if lives_on:
                        self._lasting.add(message.function_ids[spec.name])
            case SendToClient(client=client, message=Deployed() as message):
                for spec in self._deploying[client].functions:
                    self._specs[message.function_ids[spec.name]] = spec
                    self._app_of[message.function_ids[spec.name]] = message.app_id
                    self._lasting.add(message.function_ids[spec.name])
            case SendToClient(client=client, message=m.Bound() as message):
                self._bound(self._binding.pop((client, message.request)), message.function_id)
            case SendToClient(client=client, message=Leased() as message):
                self._leased(client, message, now)
            case SendToClient(message=m.Refused() as message):
                self._refused(message)
            case SendToClient(client=client, message=m.Outputs() as message):
                self._told(client, message, now)
            case DropBlobs():
                for call_id, index in effect.inputs:
                    account = self.calls[call_id].inputs[index]
                    assert is_final(account.state), f"{call_id}/{index}: its blob is dropped before its end"
                    assert (call_id, index) not in self._dropped, f"{call_id}/{index}: its blob is dropped twice"
                    self._dropped.add((call_id, index))
            case Persist():
                self._recorded_now(effect.record)
            case _:
                pass

    def _bound(self, base_id: str, variant_id: str) -> None:
        """A variant runs the same code under the same limits as its function."""
        self._specs[variant_id] = self._specs[base_id]
        self._app_of[variant_id] = self._app_of[base_id]
        if base_id in self._lasting:
            self._lasting.add(variant_id)

    def _recorded_now(self, record: Record) -> None:
        match record:
            case OutputsRecord():
                call = self.calls[record.call_id]
                assert call.kind is CallKind.SPAWN, f"{call.id}: recorded, but nobody will ask for it"
                failures = dict(record.failures)
                for position in range(record.count):
                    index = record.first + position
                    if index in call.kept and not record.ends:
                        continue  # all that wait in the store are ended alike, and it knows which of them do not wait
                    assert (call.id, index) not in self._recorded, f"{call.id}/{index}: recorded twice"
                    self._recorded.add((call.id, index))
                    self._end(call, index, OutputStatus(failures.get(position if record.ends else 0, 1)))
            case CallEnded():
                call = self.calls[record.call_id]
                assert call.id not in self._finished, f"{call.id}: finished twice"
                assert call.ended == len(call.inputs) == record.num_inputs, f"{call.id}: finished before all has ended"
                self._finished.add(call.id)
            case _:
                pass

    def _delivered(self, container_id: str, message: m.Deliver, now: float) -> None:
        why = self._no_more.get(container_id)
        assert why is None, f"{container_id} {why} and is given inputs"
        inputs: list[tuple[CallAccount, int]] = []
        for call_id, first, count in message.parts:
            call = self.calls[call_id]
            assert call.method == message.method, f"{call_id} goes to {message.method!r} instead of {call.method!r}"
            self._check_order(call, first, now)
            for index in range(first, first + count):
                account = call.inputs[index]
                if self._limbo.pop((call_id, index), None) is not None:
                    self._retry(call, index, now)
                state = account.state
                assert state is InputState.PENDING, f"{call_id}/{index} is {state.value} and leaves again"
                assert now >= account.not_before - EPSILON, f"{call_id}/{index} leaves before its retry is due"
                account.state = step(state, InputState.RUNNING)
                account.delivery = message.delivery
                if index == call.frontier:
                    call.frontier += 1
                else:
                    call.returned.remove(index)
                inputs.append((call, index))
        held = self._held[message.delivery] = Held(container_id, message.mode, inputs)
        self._held_by[container_id][message.delivery] = held

    def _leased(self, client: int, message: Leased, now: float) -> None:
        call, container_id = self.calls[message.call_id], message.container_id
        why = self._no_more.get(container_id)
        assert why is None, f"{container_id} {why} and a request is sent there"
        assert client == call.client, f"{call.id}: client {client} is told its container instead of {call.client}"
        assert call.kind is CallKind.WEB, f"{call.id} is no request"
        account = call.inputs[0]
        account.state = step(account.state, InputState.RUNNING)
        account.began_at = now
        call.frontier = 1
        held = self._leases[call.id] = Held(container_id, DeliveryMode.LEASE, [(call, 0)])
        self._leased_so_far += 1
        self._held_by[container_id][-self._leased_so_far] = held  # no delivery has such a number

    @staticmethod
    def _check_order(call: CallAccount, first: int, now: float) -> None:
        assert first <= call.frontier, f"{call.id}/{first} overtakes {call.frontier}"
        ahead = [i for i in call.returned if i < first and call.inputs[i].not_before <= now - EPSILON]
        assert not ahead, f"{call.id}/{first} overtakes {min(ahead)}, which waits, too"

    def _cancelled(self, container_id: str, message: m.Cancel, now: float) -> None:
        held = self._held[message.delivery]
        for position in message.positions:
            assert position in held.live, f"{container_id}: cancels what it does not run"
            held.stopping.add(position)
            call, index = held.inputs[position]
            account = call.inputs[index]
            if call.doomed:
                held.live.discard(position)
                account.answer = OutputStatus.TERMINATED
                self._limbo[call.id, index] = call
                continue
            began, limit = account.began_at, call.spec.timeout_s
            assert began is not None, f"{call.id}/{index} timed out in {container_id} before it began"
            assert now - began >= limit - self.slack_s, (
                f"{call.id}/{index} timed out after {now - began} s of {limit} s"
            )
            self._answered(held, position, OutputStatus.TIMEOUT)

    def _refused(self, message: m.Refused) -> None:
        call = self.calls.get(message.call_id)
        if call is None or message.first >= len(call.inputs):
            return
        assert call.frontier <= message.first, f"{call.id}: refused what already left"
        del call.inputs[message.first :]
        call.is_sealed = False
        if not call.inputs:
            del self.calls[call.id]

    def _told(self, client: int, message: m.Outputs, now: float) -> None:
        call = self.calls[message.call_id]
        if call.kind is CallKind.SPAWN:
            return  # what counts is the record; watchers check what they get themselves
        assert client == call.client, f"{call.id}: results go to client {client} instead of {call.client}"
        failures, item = dict(message.failures), 0
        for first, count in message.parts:
            for index in range(first, first + count):
                status = OutputStatus(failures.get(item, 1))
                if call.kind is CallKind.WEB and call.inputs[index].state is InputState.RUNNING:
                    self._request_ends(call, status, now)
                else:
                    self._end(call, index, status)
                item += 1

    def _request_ends(self, call: CallAccount, status: OutputStatus, now: float) -> None:
        """A request that has its slot is ended by the engine. The slot stays taken until the edge releases it."""
        account = call.inputs[0]
        assert account.began_at is not None
        match status:
            case OutputStatus.TERMINATED:
                assert call.doomed, f"{call.id} is terminated, but nobody asked for it"
            case OutputStatus.TIMEOUT:
                took, limit = now - account.began_at, call.spec.timeout_s
                assert took >= limit - self.slack_s, f"{call.id} timed out after {took} s of {limit} s"
            case OutputStatus.INTERNAL_FAILURE | OutputStatus.OUT_OF_MEMORY:
                assert account.answer is status, f"{call.id}: its container lives, or had another end"
                self._limbo.pop((call.id, 0))
            case _:
                raise AssertionError(f"{call.id} ends as {status.name}, which only its edge can know")
        account.state = step(account.state, ENDS_AS[status])
        call.ended += 1

    def _end(self, call: CallAccount, index: int, status: OutputStatus) -> None:
        account, name = call.inputs[index], f"{call.id}/{index}"
        assert not is_final(account.state), f"{name} ends twice"
        attempts = 1 + (call.spec.retry.max_retries if call.spec.retry else 0)
        match status:
            case OutputStatus.SUCCESS | OutputStatus.GENERATOR_DONE:
                assert account.answer is status, f"{name} ends as {status.name}, but nobody said so"
            case OutputStatus.FAILURE | OutputStatus.TIMEOUT:
                assert account.answer is status, f"{name} ends as {status.name}, but nobody said so"
                assert account.failures == attempts or call.doomed, f"{name}: {account.failures} of {attempts} attempts"
            case OutputStatus.OUT_OF_MEMORY:
                assert account.answer is status, f"{name} is blamed for memory, and did not have its container alone"
                assert account.failures == attempts or call.doomed, f"{name}: {account.failures} of {attempts} attempts"
                guilty = Mishap.OUTGROW in call.works[index].mishaps
                assert guilty or not self.expect_innocent_survival, f"{name} is innocent"
            case OutputStatus.TERMINATED:
                asked = call.doomed or account.crashes >= self.settings.poison_crashes_max
                assert asked, f"{name} is terminated, but nobody asked for it"
            case OutputStatus.INIT_FAILURE:
                assert account.state is InputState.PENDING, f"{name} was running: a start cannot have failed it"
            case OutputStatus.INTERNAL_FAILURE:
                limit = self.settings.poison_crashes_max
                assert account.crashes >= limit, f"{name} is blamed for {account.crashes} of {limit} crashes"
                guilty = call.works[index].always_kills or Mishap.KILL in call.works[index].mishaps
                assert guilty or not self.expect_innocent_survival, f"{name} is innocent"
        is_answered = self._limbo.pop((call.id, index), None) is not None
        assert is_answered or account.state is not InputState.RUNNING, f"{name} ends while it runs"
        if not is_answered and index == call.frontier:
            call.frontier += 1
        call.returned.discard(index)
        account.state = step(account.state, ENDS_AS[status])
        call.ended += 1

    # ------------------------------------------------------------ the server's end

    def server_killed(self, store: DurableStore) -> None:
        """Keep what is committed, and nothing else: that alone has happened for the next server."""
        self._held.clear()
        self._held_by.clear()
        self._leases.clear()
        self._no_more.clear()
        self._limbo.clear()
        self.unread.clear()
        for call_id, call in list(self.calls.items()):
            if call.function_id in self._lasting and call.kind is CallKind.SPAWN:
                found: LoadedCall | StoredCall | None = store.now("load_call", call_id, EVERYTHING)
            else:
                found = None
            if found is None:
                del self.calls[call_id]
                self._finished.discard(call_id)
                self._recorded = {each for each in self._recorded if each[0] != call_id}
                self._dropped = {each for each in self._dropped if each[0] != call_id}
            elif isinstance(found, LoadedCall):
                self._resume(call, found)
            else:
                self._finished.add(call_id)
                self.tidied((call_id, index) for index in range(len(call.inputs)))

    def tidied(self, inputs: Iterable[tuple[str, int]]) -> None:
        """Blobs of inputs, (call id, index), are deleted though the engine did not ask for it: when a server starts."""
        self._dropped.update(inputs)

    def _resume(self, call: CallAccount, found: LoadedCall) -> None:
        attempts = {attempt.index: attempt for attempt in found.attempts}
        ended = {index for first, count in found.spans.done for index in range(first, first + count)}
        call.inputs = call.inputs[: found.call.accepted]
        call.doomed, call.is_sealed = False, True
        self.unread.add(call.id)
        call.returned = set(range(found.call.accepted)) - ended
        call.kept = ended
        call.frontier, call.ended = found.call.accepted, len(ended)
        self._finished.discard(call.id)
        self._recorded -= {(call.id, index) for index in call.returned}
        self._dropped -= {(call.id, index) for index in call.returned}
        self.tidied((call.id, index) for index in ended)
        for index in call.returned:
            account, attempt = call.inputs[index], attempts.get(index)
            account.state, account.answer, account.began_at = InputState.PENDING, None, None
            account.failures = attempt.failures if attempt is not None else 0
            account.crashes = attempt.crashes if attempt is not None else 0
            account.not_before = attempt.not_before if attempt is not None else 0.0

    # ------------------------------------------------------------ after the effects

    def settled(self, now: float) -> None:
        """All effects of an event are known: what was answered and did not end goes round again."""
        for (_, index), call in self._limbo.items():
            self._retry(call, index, now)
        self._limbo.clear()

    def _retry(self, call: CallAccount, index: int, now: float) -> None:
        account, name = call.inputs[index], f"{call.id}/{index}"
        assert call.kind is not CallKind.WEB, f"{name} has lost its container, and does not end"
        assert account.answer not in ENDS_WELL, f"{name}: the result is lost"
        assert not call.doomed, f"{name} was cancelled and goes on"
        not_before = 0.0
        if account.answer in COUNTED:
            delay = retry_delay(call.spec.retry, account.failures, self.settings.retry_delay_min_s)
            assert delay is not None, f"{name}: tried again after {account.failures} failures"
            not_before = now + delay
        self._pend(call, index, not_before)

    def unfinished(self) -> list[str]:
        """Return what has not ended, in words."""
        return [
            f"{call.id}/{index} {account.state.value}"
            for call in self.calls.values()
            for index, account in enumerate(call.inputs)
            if not is_final(account.state)
        ]

    def unrecorded(self) -> list[str]:
        """Return the spawned calls whose end the store was not told; of an `unread` one it cannot be told yet."""
        return [
            call.id
            for call in self.calls.values()
            if call.kind is CallKind.SPAWN and (call.is_sealed or call.doomed) and call.id not in self._finished
        ]

    def left_blobs(self) -> list[str]:
        """Return the inputs that have ended and whose blobs are still there."""
        return [
            f"{call.id}/{index}"
            for call in self.calls.values()
            for index in range(len(call.inputs))
            if call.works[index].is_blob and (call.id, index) not in self._dropped
        ]
