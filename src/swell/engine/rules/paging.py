"""The pager: which inputs of spawned calls are in memory, and when the next ones are read from the store.

A spawned call is in the store from the moment it is accepted, and a pool may have millions of inputs there. In memory
is a *window* on them (see `BacklogWindow`), and dispatch knows nothing else. The pager moves the window.

**What is in memory.** Of all calls, the first ones by order of acceptance, up to `backlog_calls_max`; of each, the
first inputs that have no result, up to `backlog_inputs_max`; of all together, payload up to `backlog_bytes_max`.
Admission leaves to the store what would exceed this, and everything that is accepted after something that was left:
nothing overtakes. So two numbers say where the window ends: `loaded_upto`, the sequence of the last call that was
read, and a call's `tail`, the index from which on no input is in memory. A client that asks about a call beyond the
end brings that one call into memory (see `Lookups`); the read of its neighbours passes it by.

**When more is read.** After an event, if little is left: half as many calls as may be, or of a call less than half as
many inputs. One read brings an eighth of the bytes that there may be, and none begins while half of them are used or
on their way. The other half is for what clients send meanwhile.

**Why nothing starves.** Three things could keep inputs in the store for ever, and each has its exception:

- Everything in memory waits for a retry. Inputs in the store must not wait with it: calls are read however many are
  in memory, of one call more is read however much is in memory, and reads may use all bytes instead of half of them.
- Large inputs of some calls use all bytes. A call without any input in memory still gets its next span: the bound is
  exceeded by at most one span of each call in memory.
- With that exception alone, a long call would be read on for ever while calls in the store wait. So after a read
  without room it is the turn of the calls: one of them is read without room, too.

**Answers come late.** The store reads in the order in which it writes, and answers some events later. What it answers
was true when it read; since then inputs may have ended, and calls been cancelled. The window keeps the ids of calls
that end while calls are read, and these are skipped; a read of inputs finds its call gone, or without stored inputs.
Of a call that is in the store alone, or in its tail, inputs end only all at once, so that no other result can be
missing from the answer. If a read brings nothing although something is counted as stored, the engine and the store
contradict each other: that is a defect, and raised.

This module must not know how inputs are placed, how the store is read, or what clients ask.
"""

from __future__ import annotations

from collections.abc import Iterator

from swell.engine.events import (
    CallsLoaded,
    LoadCalls,
    LoadSpans,
    SpansLoaded,
)
from swell.engine.rules.results import ResultPublisher
from swell.engine.state.call import Call
from swell.engine.state.engine_state import EngineState
from swell.engine.state.history import EventKind
from swell.engine.state.pool import Pool
from swell.engine.state.span import Segment, Span
from swell.engine.state.timers import Timer
from swell.model import CallKind
from swell.records import AttemptRecord, CallGrown, LoadedCall, LoadedSpans, SpanRecord, Window

__all__ = ["Pager"]


class Pager:
    """Keeps the window of each pool filled."""

    def __init__(self, state: EngineState, results: ResultPublisher) -> None:
        self._state = state
        self._results = results

    # ------------------------------------------------------------ the window

    def refill(self, pool: Pool) -> None:
        """Read what should be in memory by now."""
        if pool.app.closing:
            return
        self._read_calls(pool)
        room = self._room(pool)
        call = pool.window.next_refill(has_room=bool(room)) or _held_up(pool, has_room=bool(room))
        while call is not None:
            self._read_inputs(call, room)
            room = self._room(pool)
            call = pool.window.next_refill(has_room=bool(room))

    def _read_inputs(self, call: Call, room: int) -> None:
        """Read more inputs of a call, as many as its part of the window has room for."""
        call.begin_read()
        call.pool.window.begin_reading_inputs(call, has_room=bool(room))
        most = self._state.settings.backlog_inputs_max
        window = Window(max(most - call.in_memory, most // 2), room or 1)
        self._state.emit(LoadSpans(call.id, call.tail, window))

    def _read_calls(self, pool: Pool) -> None:
        """Read calls that are in the store alone, if few are in memory, or all of those wait for a retry."""
        most = self._state.settings.backlog_calls_max
        few = len(pool.window.calls) <= most // 2 or not pool.backlog.count
        if not pool.window.stored_calls or pool.window.is_reading_calls or not few:
            return
        room = self._room(pool)
        if room or pool.window.is_turn_of_calls:
            pool.window.begin_reading_calls()
            count = max(1, most // 8, most - len(pool.window.calls)) if room else 1
            window = Window(self._state.settings.backlog_inputs_max, room or 1)
            self._state.emit(LoadCalls(pool.id, pool.window.loaded_upto, count, window))

    def _room(self, pool: Pool) -> int:
        """Return how many bytes to read at once: an eighth of the most, or 0 while half of that is used or on its way.

        If everything in memory waits for a retry, all bytes may be used instead of half of them.
        """
        most = self._state.settings.backlog_bytes_max
        share = most // 8
        taken = pool.window.bytes_in_memory + share * (pool.window.reads + pool.window.is_reading_calls)
        return share if taken <= (most // 2 if pool.backlog.count else most) else 0

    def calls_loaded(self, event: CallsLoaded, now: float) -> None:
        """Take in calls that were in the store alone."""
        pool = self._state.pools.get(event.function_id)
        if pool is None or pool.app.closing:
            return
        ended = pool.window.end_reading_calls()
        for loaded in event.calls:
            pool.window.pass_by(loaded.call.sequence)
            if loaded.call.call_id not in ended:
                self.adopt(pool, loaded, now)
        if not event.calls and pool.window.stored_calls:
            raise AssertionError(f"{pool.id}: the store has none of {pool.window.stored_calls} calls that wait in it")
        self._state.mark_dirty(pool)

    def spans_loaded(self, event: SpansLoaded, now: float) -> None:
        """Take in more inputs of a long call."""
        loaded = event.spans
        call = self._state.calls.get(loaded.call_id)
        if call is None:
            return  # it was cancelled in the meantime
        call.end_read()
        call.pool.window.end_reading_inputs()
        if not call.stored:
            return  # they have ended while they were read
        before = call.tail
        self._queue(call, loaded, now)
        if call.tail <= before and call.stored:
            raise AssertionError(f"{call.id}: the store has none of {call.stored} inputs from {before} on")
        self._state.mark_dirty(call.pool)

    # ------------------------------------------------------------ one call

    def adopt(self, pool: Pool, loaded: LoadedCall, now: float) -> None:
        """Take a call back into memory, with the first of its inputs that have not ended."""
        state, stored = self._state, loaded.call
        if stored.call_id in state.calls:
            return
        call = Call(
            stored.call_id, CallKind.SPAWN, pool, stored.method, 0, parent=stored.parent, opened_at=stored.opened_at
        )
        call.restore(stored, _waiting_attempts(loaded))
        pool.window.take_in(call.pending)
        state.enroll(call)
        call.history.note(stored.opened_at, EventKind.STORED, 0, stored.accepted)
        if not stored.sealed:
            # Its client is gone with a former server: what was accepted is all there will be.
            state.persist(CallGrown(call.id, call.accepted, sealed=True))
        self._queue(call, loaded.spans, now)
        self._results.end_if_finished(call, now)

    def _queue(self, call: Call, loaded: LoadedSpans, now: float) -> None:
        """Queue the inputs of some spans that have no result."""
        taken = 0
        runs = iter([*loaded.done, (1 << 62, 0)])
        done = next(runs)
        for record in loaded.spans:
            waiting: list[tuple[int, int]] = []
            first, last = record.first, record.first + len(record.ends)
            while first < last:
                while done[0] + done[1] <= first:
                    done = next(runs)
                until = min(last, max(first, done[0]))
                if until > first:
                    waiting.append((first, until))
                first = max(until, min(last, done[0] + done[1]))
            taken += self._queue_waiting(call, record, waiting, now)
        call.take_from_store(taken, upto=loaded.upto)
        call.pool.window.drop_refill(call)
        call.pool.window.note_refill(call)

    def _queue_waiting(self, call: Call, record: SpanRecord, waiting: list[tuple[int, int]], now: float) -> int:
        count = sum(last - first for first, last in waiting)
        if not count:
            return 0
        segment = Segment(record.first, record.items, left=count)
        pool = call.pool
        pool.window.add_bytes(len(record.payload))
        for first, last in waiting:
            for start, stop, until in _pieces(first, last, call):
                span = Span(call, segment, start, stop, queued_at=now)
                call.history.note(now, EventKind.LOADED, start, stop - start)
                if until > now:
                    pool.backlog.delay(span, until)
                    pool.timers.arm(Timer.RETRY, until)
                else:
                    pool.backlog.add(span)
        return count


def _waiting_attempts(loaded: LoadedCall) -> Iterator[AttemptRecord]:
    """Yield the attempts of inputs without a result, in order."""
    runs = iter([*loaded.spans.done, (1 << 62, 0)])
    done = next(runs)
    for each in sorted(loaded.attempts, key=lambda each: each.index):
        while done[0] + done[1] <= each.index:
            done = next(runs)
        if each.index < done[0]:
            yield each


def _held_up(pool: Pool, *, has_room: bool) -> Call | None:
    """Return a call to read more of although enough of it is in memory, if everything there waits for a retry."""
    window, backlog = pool.window, pool.backlog
    if backlog.count or not backlog.delayed_count or window.needs_refill:
        return None
    call = window.first_tail()
    return call if call is not None and (has_room or not call.in_memory) else None


def _pieces(first: int, last: int, call: Call) -> Iterator[tuple[int, int, float]]:
    """Split a run of inputs so that an input with a time of its own stands alone: (first, last, not before)."""
    while (index := call.next_held_until(first, last)) is not None:
        if index > first:
            yield first, index, 0.0
        yield index, index + 1, call.pop_held_until()
        first = index + 1
    if first < last:
        yield first, last, 0.0
