"""The oracle, event by event and effect by effect.

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
    NodesObserved,
    Persist,
    SendToClient,
    SendToContainer,
    ShutdownRequested,
    StartContainer,
)
from swell.model import CallKind, OutputStatus
from swell.records import LoadedCall
from swell.sim.oracle.accounts import Account, CallAccount
from swell.sim.oracle.custody import Custody
from swell.sim.oracle.functions import Functions
from swell.sim.oracle.kept import Kept
from swell.sim.oracle.ledger import Ledger
from swell.sim.oracle.placements import Placements
from swell.sim.store import DurableStore
from swell.states import InputState
from swell.wire import messages as m
from swell.wire.apps import DeployApp, Deployed
from swell.wire.leases import Abandoned, Announce, CancelDirect, DirectAnswered, DirectReport, LeaseGranted
from swell.wire.queries import DrainNode, ResumeNode
from swell.wire.web import Leased, Release

__all__ = ["Oracle"]

UNKNOWN = -1  #: the client of a call that only its container has announced


class Oracle:
    """Checks events and effects, in order, against what may follow what."""

    def __init__(self, settings: Settings) -> None:
        self.ledger = Ledger(settings)
        self._functions = Functions()
        self._custody = Custody(self.ledger)
        self._kept = Kept(self.ledger)
        self._placements = Placements(settings)
        self._announcements: set[str] = set()  # the calls that were announced

    @property
    def calls(self) -> dict[str, CallAccount]:
        """What is known of each call."""
        return self.ledger.calls

    # ------------------------------------------------------------ events, before the engine sees them

    def happened(self, event: Event, now: float) -> None:
        """Note an event that the engine is about to handle."""
        match event:
            case ClientMessage():
                self._client_sent(event.client, event.message, now)
            case ContainerMessage(message=Announce() as message):
                self._announced(UNKNOWN, message)
            case ContainerMessage(message=DirectReport() as message):
                for position, code in message.failures:
                    if code == OutputStatus.FAILURE:
                        self.ledger.direct.failed(message.lease, message.call_ids[position], now, is_news=False)
            case ContainerMessage(message=Abandoned() as message):
                self._doom(message.call_id)
            case ContainerMessage():
                self._custody.heard(event.container_id, event.message)
            case ContainerExited():
                self._custody.exited(event.container_id, event.excess)
                self.ledger.direct.gone(event.container_id, event.excess)
                self._placements.exited(event.container_id)
            case NodesObserved():
                self._placements.observed(event)
            case ClientGone():
                for call in self.calls.values():
                    if call.client == event.client and call.kind is not CallKind.SPAWN:
                        call.doomed = True
                        self._custody.free(call)
                for app_id in self._functions.apps_that_end_with(event.client):
                    self._close(app_id)
            case ShutdownRequested():
                for app_id in self._functions.apps:
                    self._close(app_id)
            case CallLoaded(found=LoadedCall()):
                self._kept.unread.discard(event.call_id)
            case CallsLoaded():
                self._kept.unread.difference_update(loaded.call.call_id for loaded in event.calls)
            case _:
                pass

    def _client_sent(self, client: int, message: m.Message, now: float) -> None:
        match message:
            case DeployApp():
                self._functions.deploys(client, message)
            case m.BindFunction():
                self._functions.binds(client, message)
            case m.OpenApp():
                self._functions.opens(client, message)
            case m.OpenCall() if message.call_id not in self.calls and message.function_id in self._functions.specs:
                spec, works = self._functions.specs[message.function_id], self.ledger.works[message.call_id]
                call = self.calls[message.call_id] = CallAccount(client, message, spec, works)
                call.inputs = [Account() for _ in message.ends]
            case m.PutInputs():
                call = self.calls.get(message.call_id)
                if call is not None and not call.doomed and message.first == len(call.inputs):
                    call.is_sealed = message.sealed
                    call.inputs.extend(Account() for _ in message.ends)
            case DrainNode() | ResumeNode():
                self._placements.asked(message)
            case Release():
                call = self.calls.get(message.call_id)
                if call is not None and call.client == client and self._custody.free(call):
                    self.ledger.released(call, OutputStatus(message.status))
            case Announce():
                is_news = message.call_id not in self._announcements
                self._announced(client, message)
                if message.failed:
                    self.ledger.direct.failed(message.lease, message.call_id, now, is_news=is_news)
                self.ledger.direct.announced(message.lease, message.call_id, is_lost=message.is_lost)
            case m.CancelCall() | DirectAnswered():
                self._doom(message.call_id)
            case m.CloseApp() if not message.when_idle:
                self._close(message.app_id)
            case _:
                pass

    def _doom(self, call_id: str) -> None:
        call = self.calls.get(call_id)
        if call is not None:
            call.doomed = True

    def _announced(self, client: int, message: Announce) -> None:
        """A direct call is made known; whether the engine has use for that is its own to know."""
        self._announcements.add(message.call_id)
        call = self.calls.get(message.call_id)
        if call is None:
            spec, works = self._functions.specs[message.function_id], self.ledger.works[message.call_id]
            opening = m.OpenCall(
                call_id=message.call_id,
                function_id=message.function_id,
                method=message.method,
                kind=CallKind.REMOTE,
                ends=[0],
                sealed=True,
            )
            call = self.calls[message.call_id] = CallAccount(client, opening, spec, works)
            call.is_direct, call.is_claimed = True, client != UNKNOWN
            call.inputs = [Account()]
            call.inputs[0].state = InputState.RUNNING
            call.frontier = 1
        elif client != UNKNOWN:
            call.client, call.is_claimed = client, True

    def _close(self, app_id: str) -> None:
        for call in self.calls.values():
            if self._functions.app_of(call.function_id) == app_id:
                call.doomed = True

    # ------------------------------------------------------------ effects, in order

    def decided(self, effect: Effect, now: float) -> None:
        """Check one effect of the event that happened last."""
        match effect:
            case SendToContainer(container_id=container_id, message=m.Deliver() as message):
                self._custody.delivered(container_id, message, now)
            case SendToContainer(container_id=container_id, message=m.Cancel() as message):
                self._custody.cancelled(container_id, message, now)
            case SendToContainer(message=CancelDirect() as message):
                call = self.calls.get(message.call_id)
                doomed = call is None or call.doomed
                self.ledger.direct.cancelled(message.call_id, now, doomed=doomed, slack_s=self.ledger.slack_s)
            case SendToContainer(container_id=container_id, message=m.Drain()):
                self._custody.drained(container_id)
            case KillContainer():
                self._custody.killed(effect.container_id)
            case StartContainer():
                self._custody.starts(effect.container_id)
                self._placements.starts(effect)
            case SendToClient():
                self._client_told(effect.client, effect.message, now)
            case DropBlobs():
                self._kept.dropped(effect.inputs)
            case Persist():
                self._kept.recorded(effect.record)
            case _:
                pass

    def _client_told(self, client: int, message: m.Message, now: float) -> None:
        match message:
            case m.AppOpened():
                self._functions.opened(message)
            case Deployed():
                self._functions.deployed(client, message)
            case m.Bound():
                self._functions.bound(client, message)
            case LeaseGranted():
                self.ledger.direct.granted(message.lease, message.container_id)
            case Leased():
                self._custody.leased(client, message, now)
            case m.Refused():
                self._refused(message)
            case m.Outputs():
                self._results_told(client, message, now)
            case _:
                pass

    def _refused(self, message: m.Refused) -> None:
        call = self.calls.get(message.call_id)
        if call is None or message.first >= len(call.inputs):
            return
        if call.is_direct:  # its app is closing: what is announced is not taken any more
            del self.calls[call.id]
            return
        assert call.frontier <= message.first, f"{call.id}: refused what already left"
        del call.inputs[message.first :]
        call.is_sealed = False
        if not call.inputs:
            del self.calls[call.id]

    def _results_told(self, client: int, message: m.Outputs, now: float) -> None:
        call = self.calls[message.call_id]
        if call.kind is CallKind.SPAWN:
            return  # what counts is the record; watchers check what they get themselves
        assert client == call.client, f"{call.id}: results go to client {client} instead of {call.client}"
        failures, item = dict(message.failures), 0
        for first, count in message.parts:
            for index in range(first, first + count):
                status = OutputStatus(failures.get(item, 1))
                if call.kind is CallKind.WEB and call.inputs[index].state is InputState.RUNNING:
                    self.ledger.request_ends(call, status, now)
                else:
                    self.ledger.end(call, index, status)
                item += 1

    def settled(self, now: float) -> None:
        """All effects of an event are known."""
        self.ledger.settled(now)

    # ------------------------------------------------------------ the server's end, and the simulation's

    def server_killed(self, store: DurableStore) -> None:
        """Keep what is committed, and nothing else: that alone has happened for the next server."""
        self._custody.forget()
        self._placements.forget()
        self.ledger.forget()
        self._kept.server_killed(store, self._functions.lasting)

    def tidied(self, inputs: Iterable[tuple[str, int]]) -> None:
        """Blobs of inputs, (call id, index), are deleted though the engine did not ask for it."""
        self._kept.tidied(inputs)

    def stopped(self, container_ids: Iterable[str]) -> None:
        """The node of these containers is frozen."""
        self._custody.stopped(container_ids)

    def taken(self, container_ids: Iterable[str]) -> None:
        """The machine of these containers is gone, as was announced: nothing may be left in them."""
        for container_id in container_ids:
            left = self._custody.left_in(container_id)
            assert not left, f"{container_id} still has {left[:3]} when its machine is taken away"

    def unfinished(self) -> list[str]:
        """Return what has not ended, in words."""
        return self.ledger.unfinished() + [f"{call_id}, which no server has read" for call_id in self._kept.unread]

    def counted(self, direct_calls: int) -> None:
        """So many direct calls were counted by the last server."""
        self.ledger.direct.check_counts(direct_calls, self._announcements)

    def unrecorded(self) -> list[str]:
        """Return the spawned calls whose end the store was not told."""
        return self._kept.unrecorded()

    def left_blobs(self) -> list[str]:
        """Return the inputs that have ended and whose blobs are still there."""
        return self._kept.left_blobs()
