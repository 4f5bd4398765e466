"""Explain where an input, a call, a container or a function is, and why: its history put into words.

Told from histories while they are kept. The parts of a story follow each other without a gap, so that they add up to
the whole. Nothing here changes anything; this module must not know how a story is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from swell.engine.state.engine_state import EngineState
from swell.engine.state.history import CallHistory, EventKind, HistoryEvent
from swell.engine.state.pool import Pool
from swell.engine.state.scaling import Decision
from swell.ids import CALL, CONTAINER, INPUT, call_and_index
from swell.model import OutputStatus
from swell.records import StoredCall, Trace
from swell.wire.queries import Story, StoryLine, StoryPart

__all__ = ["Explainer"]

LINES_MAX = 200  #: of one story; of very many the first and the last are told

_ENDS = (EventKind.SUCCEEDED, EventKind.FAILED)
_LEFT = (EventKind.DELIVERED, EventKind.SENT)


class Explainer:
    """Puts histories into words."""

    def __init__(self, state: EngineState) -> None:
        self._state = state

    def tell(self, request: int, about: str, now: float) -> Story | None:
        """Return the story of an input ("in-…"), a call ("fc-…"), a container ("ta-…") or a function, if known."""
        if about.startswith(CONTAINER):
            return self._container(request, about, now)
        if about.startswith((CALL, INPUT)):
            call_id, index = call_and_index(about)
            history = self._history(call_id)
            if history is None:
                return None
            return self._call(request, history, now) if index is None else self._input(request, history, index, now)
        pool = self._pool(about)
        return None if pool is None else _function(request, pool, now)

    def _history(self, call_id: str) -> CallHistory | None:
        call = self._state.calls.get(call_id)
        return self._state.histories.call(call_id) if call is None else call.history

    def _pool(self, about: str) -> Pool | None:
        found = self._state.pools.get(about)
        if found is not None:
            return found
        named = [pool for pool in self._state.pools.values() if pool.label == about]
        return min(named, key=lambda pool: (pool.is_pinned, pool.variant is not None), default=None)

    # ------------------------------------------------------------ an input

    def _input(self, request: int, history: CallHistory, index: int, now: float) -> Story | None:
        events = [event for event in history.events if event.first <= index < event.first + event.many]
        if not events:
            return None
        ended = events[-1].kind in _ENDS
        until = events[-1].at if ended else now
        parts: list[StoryPart] = []
        for event, following in zip(events, [*events[1:], None], strict=True):
            if event.kind not in _ENDS:
                parts += self._stretch(history, event, following, until if following is None else following.at)
        before, decisions = self._decisions(history, events[0].at, until)
        lines = [*before, *(StoryLine(event.at, self._words(event)) for event in events), *decisions]
        lines.sort(key=lambda line: line.at)  # what was in force before it came stays first
        title = f"input {index} of call {history.call_id} ({history.label})"
        return Story(request, title, _state(events[-1]), _joined(parts), lines)

    def _stretch(
        self, history: CallHistory, event: HistoryEvent, following: HistoryEvent | None, until: float
    ) -> Iterator[StoryPart]:
        """Name what an input did from an entry on, until the following one of its own, or until now."""
        begun = event.at
        match event.kind:
            case EventKind.STORED:
                yield StoryPart("waited in the store", until - begun)
                return
            case EventKind.DELIVERED | EventKind.SENT:
                yield StoryPart("ran", until - begun)
                return
            case EventKind.RETRIED if isinstance(event.detail, float):
                due = min(max(event.detail, begun), until)
                yield StoryPart("waited for its retry", due - begun)
                begun = due
            case _:
                pass
        pool = self._state.pools.get(history.pool_id)
        ready_at = self._ready_for(following, pool, begun, until)
        if ready_at is not None:
            yield StoryPart("waited for a container to start", ready_at - begun)
            begun = ready_at
        batched = pool is not None and pool.spec.batching is not None
        yield StoryPart("waited for its batch" if batched else "waited for its turn", until - begun)

    def _ready_for(self, following: HistoryEvent | None, pool: Pool | None, begun: float, until: float) -> float | None:
        """Return when the container became ready for which an input waited, if it had to wait for one to start."""
        if following is None:  # it still waits
            return until if pool is not None and not pool.fleet.ready else None
        ready_at = self._ready_at(following.container_id) if following.kind is EventKind.DELIVERED else None
        return ready_at if ready_at is not None and begun < ready_at <= until else None

    def _ready_at(self, container_id: str) -> float | None:
        container = self._state.containers.get(container_id) or self._state.histories.container(container_id)
        return None if container is None else container.ready_at

    def _words(self, event: HistoryEvent) -> str:
        others = f", with {event.many - 1:,} others" if event.many > 1 else ""
        match event.kind:
            case EventKind.ACCEPTED:
                return f"accepted{others}"
            case EventKind.STORED:
                return f"accepted and written down{others}, to be read when their turn comes"
            case EventKind.LOADED:
                return f"read back from the store{others}"
            case EventKind.DELIVERED:
                return f"given to container {event.container_id}{others}"
            case EventKind.SENT:
                return f"sent straight to container {event.container_id}, on a call lease of its client"
            case EventKind.SUCCEEDED:
                return f"succeeded{others}"
            case EventKind.FAILED:
                status = event.detail if isinstance(event.detail, OutputStatus) else OutputStatus.FAILURE
                return f"ended: {_status(status)}{others}"
            case EventKind.RETRIED:
                wait_s = event.detail - event.at if isinstance(event.detail, float) else 0.0
                return f"failed, and is tried again in {wait_s:.3g} s"
            case EventKind.RECLAIMED:
                return f"given back by container {event.container_id}, which had not begun it{others}"
            case EventKind.LOST:
                return f"container {event.container_id} is gone ({event.detail}): to be run again{others}"
            case EventKind.OUTGREW:
                return f"container {event.container_id} was killed: it {event.detail}"

    def _decisions(self, history: CallHistory, since: float, until: float) -> tuple[list[StoryLine], list[StoryLine]]:
        """Tell which decision of the autoscaler was in force when an input came, and what it decided from then on."""
        pool = self._state.pools.get(history.pool_id)
        decisions = [] if pool is None else list(pool.scaling.decisions)
        before = [StoryLine(since, f"until then, {_decided(each)}") for each in decisions if each.at < since]
        after = [StoryLine(each.at, _decided(each)) for each in decisions if since <= each.at <= until]
        return before[-1:], after

    # ------------------------------------------------------------ a call

    def _call(self, request: int, history: CallHistory, now: float) -> Story:
        events, begun = history.events, history.opened_at
        until = now if history.ended_at is None else history.ended_at
        left = next((event.at for event in events if event.kind in _LEFT), until)
        parts = [StoryPart("waited until its first input left", left - begun), StoryPart("ran", until - left)]
        lines = [StoryLine(begun, f"opened{f' by input {history.parent}' if history.parent else ''}")]
        lines += [StoryLine(event.at, f"{_which(event)}: {self._words(event)}") for event in events]
        if history.ended_at is not None:
            lines.append(StoryLine(history.ended_at, f"ended; inputs in all: {history.num_inputs:,}"))
        state = "ended" if history.ended_at is not None else "running" if left < until else "pending"
        title = f"{history.kind.name.lower()} call {history.call_id} of {history.label}"
        return Story(request, title, state, _joined(parts), _some(lines))

    @staticmethod
    def from_store(request: int, call: StoredCall, index: int | None, trace: Trace | None) -> Story:
        """Return the story of what ended long ago, as far as it is kept."""
        title = f"call {call.call_id} of {call.function_name}"
        ended_at = call.ended_at or call.opened_at
        if index is None or trace is None:
            lines = [
                StoryLine(call.opened_at, f"opened; inputs in all: {call.accepted:,}"),
                StoryLine(ended_at, "ended"),
            ]
            return Story(request, title, "ended", [StoryPart("took", ended_at - call.opened_at)], lines)
        lines = [StoryLine(trace.queued_at, "accepted")]
        left = trace.ended_at if trace.delivered_at is None else trace.delivered_at
        parts = [StoryPart("waited", left - trace.queued_at), StoryPart("ran", trace.ended_at - left)]
        if trace.container_id:
            lines.append(StoryLine(left, f"given to container {trace.container_id}"))
        lines.append(StoryLine(trace.ended_at, "ended"))
        return Story(request, f"input {index} of {title}", "ended", _joined(parts), lines)

    # ------------------------------------------------------------ a container

    def _container(self, request: int, container_id: str, now: float) -> Story | None:
        container = self._state.containers.get(container_id)
        if container is not None:
            lines = [StoryLine(container.requested_at, f"requested: {container.reason}")]
            state, name, served = container.shown_as, container.pool.label, container.served
            requested_at, ready_at, ended_at = container.requested_at, container.ready_at, None
        else:
            record = self._state.histories.container(container_id)
            if record is None:
                return None
            lines = [StoryLine(record.requested_at, "requested")]
            state, name, served = record.state, record.function_name, record.served
            requested_at, ready_at, ended_at = record.requested_at, record.ready_at, record.ended_at
            lines.append(StoryLine(record.ended_at, f"gone: {record.reason}"))
        until = now if ended_at is None else ended_at
        ready = until if ready_at is None else ready_at
        parts = [StoryPart("started", ready - requested_at), StoryPart("was there for inputs", until - ready)]
        if ready_at is not None:
            lines.append(StoryLine(ready_at, f"ready; inputs it was given in all: {served:,}"))
        if container is not None and container.deliveries:
            lines.append(StoryLine(now, f"inputs it has now: {container.holds:,}"))
        if container is not None and container.leases:
            lines.append(StoryLine(now, f"call leases of clients on it now: {len(container.leases):,}"))
        lines.sort(key=lambda line: line.at)
        return Story(request, f"container {container_id} of {name}", state, _joined(parts), lines)


def _function(request: int, pool: Pool, now: float) -> Story:
    lines = [StoryLine(decision.at, _decided(decision)) for decision in pool.scaling.decisions]
    wanted = pool.scaling.plan
    plan = Decision(now, wanted.containers, pool.fleet.live, wanted.reason, pool.scaling.blocked_reason)
    lines.append(StoryLine(now, f"now, {_decided(plan)}"))
    state = (
        f"inputs: {pool.counts.pending_total:,} waiting, {pool.running:,} running; "
        f"containers: {len(pool.fleet.containers):,}"
    )
    return Story(request, f"function {pool.label}", f"{state}{_failing(pool, now)}", [], lines)


def _failing(pool: Pool, now: float) -> str:
    """Tell why containers cannot be started, if the last start failed and none is ready."""
    backoff = pool.start_backoff
    if not backoff.failures or pool.fleet.ready:
        return ""
    starts = "the last start failed" if backoff.failures == 1 else f"the last {backoff.failures:,} starts failed"
    wait_s = backoff.not_before - now
    then = f"; the next is not tried for {wait_s:.1f} s" if wait_s > 0 else ""
    waiting = "; requests over HTTP are answered 500 meanwhile" if pool.web_methods else ""
    return f"; {starts}: {backoff.why}{then}{waiting}"


def _decided(decision: Decision) -> str:
    held_back = f", held back: {decision.blocked_reason}" if decision.blocked_reason else ""
    wanted = f"{decision.plan:,} {'container is' if decision.plan == 1 else 'containers are'} wanted"
    return (
        f"{wanted} ({decision.reason}) and {decision.live:,} {'is' if decision.live == 1 else 'are'} there{held_back}"
    )


def _which(event: HistoryEvent) -> str:
    if event.many == 1:
        return f"input {event.first}"
    return f"inputs {event.first:,} to {event.first + event.many - 1:,}"


def _state(event: HistoryEvent) -> str:
    match event.kind:
        case EventKind.SUCCEEDED:
            return "succeeded"
        case EventKind.FAILED:
            return _status(event.detail) if isinstance(event.detail, OutputStatus) else "failed"
        case EventKind.DELIVERED | EventKind.SENT:
            return "running"
        case _:
            return "pending"


def _status(status: OutputStatus) -> str:
    return status.name.lower().replace("_", " ")


def _joined(parts: Iterable[StoryPart]) -> list[StoryPart]:
    """Leave out parts that took no time."""
    return [part for part in parts if part.seconds > 0]


def _some(lines: list[StoryLine]) -> list[StoryLine]:
    if len(lines) <= LINES_MAX:
        return lines
    half = LINES_MAX // 2
    skipped = len(lines) - 2 * half
    return [*lines[:half], StoryLine(lines[half].at, f"… and {skipped:,} more …"), *lines[-half:]]
