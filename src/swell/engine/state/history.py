"""Histories: what happened to the inputs of a call, to containers and pools, kept while it is recent.

Events are noted on hot paths, one per span and not per input: bare tuples, put into words only when somebody asks.
This module must not know why anything happened, or how it is explained.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

from swell.model import CallKind, OutputStatus
from swell.names import function_label
from swell.records import ContainerRecord

__all__ = ["CallHistory", "DirectCall", "DirectCallsOf", "EventKind", "Histories", "HistoryEvent"]

EVENTS_MAX = 512  #: of one call; of very many, those in the middle are given up
ENDED_MAX = 2_000  #: calls, and containers, that have ended and are remembered


class EventKind(IntEnum):
    """Kinds of things that happen to inputs."""

    ACCEPTED = 1
    STORED = 2  #: accepted, and left to the store until their turn comes
    LOADED = 3  #: read back from it
    DELIVERED = 4
    SUCCEEDED = 5
    FAILED = 6  #: ended in another way; the detail is the status
    RETRIED = 7  #: the detail is when it may run again
    RECLAIMED = 8  #: given back by a container that had not begun it
    LOST = 9  #: the detail is what became of its container
    OUTGREW = 10  #: its container, in which it was alone, used more memory than it may; the detail says how much
    SENT = 11  #: straight to its container, by its client, on a call lease


class HistoryEvent(NamedTuple):
    """Something happened to inputs first..first+many-1."""

    at: float
    kind: EventKind
    first: int
    many: int
    container_id: str = ""
    detail: object = None


class CallHistory:
    """What happened to the inputs of one call."""

    __slots__ = (
        "app_name",
        "call_id",
        "ended_at",
        "events",
        "function_name",
        "is_answered",
        "kind",
        "num_inputs",
        "opened_at",
        "parent",
        "pool_id",
    )

    def __init__(
        self,
        call_id: str,
        kind: CallKind,
        *,
        pool_id: str,
        app_name: str,
        function_name: str,
        parent: str,
        opened_at: float,
    ) -> None:
        self.call_id = call_id
        self.pool_id = pool_id
        self.app_name = app_name
        self.function_name = function_name
        self.kind = kind
        self.parent = parent
        self.opened_at = opened_at
        self.ended_at: float | None = None
        self.num_inputs = 0  #: known at the end
        self.is_answered = False  #: its container gave its client the answer
        self.events: list[HistoryEvent] = []

    @property
    def label(self) -> str:
        """The name of its function for people: "app.function"."""
        return function_label(self.app_name, self.function_name)

    def note(
        self, at: float, kind: EventKind, first: int, many: int, container_id: str = "", *, detail: object = None
    ) -> None:
        """Write down that something happened."""
        events = self.events
        events.append(HistoryEvent(at=at, kind=kind, first=first, many=many, container_id=container_id, detail=detail))
        if len(events) > EVENTS_MAX:
            del events[EVENTS_MAX // 2 : EVENTS_MAX * 3 // 4]

    def answer(self) -> None:
        """Note that its container gave its client the answer."""
        self.is_answered = True

    def end(self, at: float, num_inputs: int) -> None:
        """Note that the call has ended, and how many inputs it had."""
        self.ended_at, self.num_inputs = at, num_inputs


class DirectCallsOf(NamedTuple):
    """What direct calls have in common that a container reports at once."""

    pool_id: str
    app_name: str
    function_name: str
    container_id: str


class DirectCall(NamedTuple):
    """A direct call that was over before anybody announced it: what there is to know of it, at the least cost."""

    of: DirectCallsOf
    began_at: float
    ended_at: float
    status: OutputStatus
    parent: str

    def history(self, call_id: str) -> CallHistory:
        """Return it as the history of a call."""
        of, began_at = self.of, self.began_at
        history = CallHistory(
            call_id,
            CallKind.REMOTE,
            pool_id=of.pool_id,
            app_name=of.app_name,
            function_name=of.function_name,
            parent=self.parent,
            opened_at=began_at,
        )
        history.note(began_at, EventKind.SENT, 0, 1, of.container_id)
        what = EventKind.SUCCEEDED if self.status is OutputStatus.SUCCESS else EventKind.FAILED
        history.note(self.ended_at, what, 0, 1, of.container_id, detail=self.status)
        history.end(self.ended_at, 1)
        return history


class Histories:
    """The histories of calls and containers that have ended lately."""

    def __init__(self) -> None:
        self._calls: OrderedDict[str, CallHistory | DirectCall] = OrderedDict()  # the longest ended first, and so below
        self._containers: OrderedDict[str, ContainerRecord] = OrderedDict()

    def keep_call(self, history: CallHistory) -> None:
        """Remember a call that has ended, for a while."""
        self._calls[history.call_id] = history
        if len(self._calls) > ENDED_MAX:
            self._calls.popitem(last=False)

    def keep_direct(self, calls: Iterable[tuple[str, DirectCall]]) -> None:
        """Remember direct calls that have ended, for a while."""
        kept = self._calls
        kept.update(calls)
        while len(kept) > ENDED_MAX:
            kept.popitem(last=False)

    def forget_call(self, call_id: str) -> None:
        """Remember no more that a call has ended: it has not, but begins anew."""
        self._calls.pop(call_id, None)

    def was_answered(self, call_id: str) -> bool:
        """Tell whether a call has ended, and its container gave its client the answer."""
        kept = self._calls.get(call_id)
        return isinstance(kept, DirectCall) or (kept is not None and kept.is_answered)

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._calls

    def keep_container(self, container: ContainerRecord) -> None:
        """Keep the record of a container that is gone, for a while."""
        self._containers[container.container_id] = container
        if len(self._containers) > ENDED_MAX:
            self._containers.popitem(last=False)

    def call(self, call_id: str) -> CallHistory | None:
        """Return the history of a call that has ended, if it is still kept."""
        kept = self._calls.get(call_id)
        return kept.history(call_id) if isinstance(kept, DirectCall) else kept

    def calls(self) -> Iterator[CallHistory]:
        """Yield the calls that have ended and are still remembered, the latest first."""
        for call_id, kept in reversed(self._calls.items()):
            yield kept.history(call_id) if isinstance(kept, DirectCall) else kept

    def container(self, container_id: str) -> ContainerRecord | None:
        """Return the record of a container that is gone, if it is still kept."""
        return self._containers.get(container_id)

    def containers(self) -> list[ContainerRecord]:
        """Return the kept records of containers that are gone, the latest ended first."""
        return list(reversed(self._containers.values()))
