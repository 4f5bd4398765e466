"""The gate between the engine and the world: it writes records, asks the store, and carries out effects in order.

Write before speak: a message that follows a record leaves when the record is durable. Later messages to the same peer
wait behind it, so that no peer receives things out of order; messages to others leave at once. This module must not
know how anything is written or carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from swell.engine.events import (
    CallLoaded,
    CallsLoaded,
    DeploymentRead,
    DropBlobs,
    Effect,
    Event,
    LoadCall,
    LoadCalls,
    LoadSpans,
    Persist,
    ReadDeployment,
    ReadTrace,
    SendToClient,
    SendToContainer,
    SpansLoaded,
    TraceRead,
)
from swell.errors import ServiceError, to_wire
from swell.ports import Store
from swell.wire.messages import Failed

__all__ = ["Gate"]

#: What waits for the records before it. A tuple: this is asked of every effect, and a union would be made each time.
_WAITS: Final = (SendToClient, SendToContainer, DropBlobs)

Peer = int | str  #: a client's number, a container's id


class Gate:
    """Carries out effects in order, and holds what must wait for a commit.

    Args:
        store: where the engine writes, and asks.
        do: carries out any other effect.
        feed: hands the store's answers to the engine.
        later: calls something some milliseconds later.
        gather: carries out an effect that another for the same client is likely to follow at once; None: as `do`.
    """

    def __init__(
        self,
        store: Store,
        do: Callable[[Effect], None],
        feed: Callable[[Event], None],
        later: Callable[[Callable[[], None]], object],
        gather: Callable[[SendToClient], None] | None = None,
    ) -> None:
        self._store = store
        self._do = do
        self._feed = feed
        self._later = later
        self._gather = gather or do
        self._will_commit = False
        self._is_alone = True  # since the last commit, no message has left that did not wait for one
        self._held: dict[Peer | None, int] = {}  # how many effects wait that concern a peer

    def carry_out(self, effects: Sequence[Effect]) -> None:
        """Carry out the effects of one event."""
        recorded = False
        waiting: list[Effect] = []
        for effect in effects:
            if isinstance(effect, Persist):
                self._store.append(effect.record)
                recorded = True
            elif (recorded or self._held) and self._must_wait(effect, recorded=recorded):
                waiting.append(effect)
                peer = _peer(effect)
                if peer is not None:
                    self._held[peer] = self._held.get(peer, 0) + 1
            elif not self._ask(effect):
                self._is_alone = self._is_alone and _peer(effect) is None
                self._do(effect)
        if waiting:
            self._commit_then(lambda: self._release(waiting))
        elif recorded and not self._will_commit:
            # No message waits for it. A commit that one waits for is likely to come soon, and makes this durable, too.
            self._will_commit = True
            self._later(self._commit)

    def _commit(self) -> None:
        self._will_commit = False
        self._commit_then(_nothing)

    def _commit_then(self, then: Callable[[], None]) -> None:
        alone, self._is_alone = self._is_alone, True
        self._store.commit(then, alone=alone)

    def _must_wait(self, effect: Effect, *, recorded: bool) -> bool:
        if recorded and isinstance(effect, _WAITS):
            return True
        return _peer(effect) in self._held

    def _release(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            peer = _peer(effect)
            if peer is None:
                self._do(effect)
                continue
            left = self._held[peer] - 1
            if left:
                self._held[peer] = left
            else:
                del self._held[peer]
            if left and isinstance(effect, SendToClient):
                self._gather(effect)  # most likely, the same commit has made the others durable
            else:
                self._do(effect)

    def _ask(self, effect: Effect) -> bool:
        """Ask the store what an effect wants to read; False if the effect reads nothing."""
        store, feed = self._store, self._feed
        match effect:
            case LoadCall(call_id, window):
                store.load_call(
                    call_id,
                    window,
                    lambda found: feed(CallLoaded(call_id, found)),
                    failed=lambda why: feed(CallLoaded(call_id, None, str(why))),
                )
            case LoadCalls(function_id, after, calls_max, window):
                store.load_calls(
                    function_id, after, calls_max, window, lambda calls: feed(CallsLoaded(function_id, calls))
                )
            case LoadSpans(call_id, first, window):
                store.load_spans(call_id, first, window, lambda spans: feed(SpansLoaded(spans)))
            case ReadDeployment(app_id, version):
                store.read_deployment(
                    app_id,
                    version,
                    lambda found: feed(DeploymentRead(app_id, version, found)),
                    failed=lambda why: feed(DeploymentRead(app_id, version, None, str(why))),
                )
            case ReadTrace(client, request, call, index):
                store.read_trace(
                    call.call_id,
                    index,
                    lambda trace: feed(TraceRead(client, request, call, index, trace)),
                    failed=lambda why: self._do(
                        SendToClient(client, Failed(request, *to_wire(ServiceError(str(why)))))
                    ),
                )
            case _:
                return False
        return True


def _peer(effect: Effect) -> Peer | None:
    if isinstance(effect, SendToClient):
        return effect.client
    if isinstance(effect, SendToContainer):
        return effect.container_id
    return None


def _nothing() -> None:
    pass
