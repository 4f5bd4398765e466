"""What of the spawned calls is in memory, and what in the store alone: reading it back in time, or when somebody asks.

Of a long call only a window is in memory, and of very many calls only the first. Nothing that waits is ever passed over
because of that: as the window empties, the next inputs are read. This module must not know how inputs are placed, nor
how the store is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from swell.engine.events import (
    CallLoaded,
    CallsLoaded,
    LoadCall,
    LoadCalls,
    LoadSpans,
    ReadTrace,
    SendRecorded,
    SpansLoaded,
)
from swell.engine.rules.results import ResultPublisher
from swell.engine.rules.unchanged import answer
from swell.engine.state.call import Call
from swell.engine.state.engine_state import EngineState
from swell.engine.state.history import EventKind
from swell.engine.state.pool import Pool
from swell.engine.state.span import Segment, Span
from swell.engine.state.timers import Timer
from swell.engine.views.explain import Explainer
from swell.errors import ConnectionError, NotFoundError, OutputExpiredError, ServiceError, to_wire
from swell.ids import call_and_index
from swell.model import CallKind
from swell.records import CallGrown, LoadedCall, LoadedSpans, SpanRecord, StoredCall, Window
from swell.wire.messages import Accepted, CallDescription, DescribeCall, Failed, Message, OpenCall, Refused, Watch
from swell.wire.queries import AskStory, CallReport, InspectCall

__all__ = ["Pager", "stopping"]

Hear = Callable[[int, Message, bytes, float], None]  #: handles what a client said: client, message, payload, now


class Pager:
    """Keeps the window of each pool filled, and fetches what clients ask about."""

    def __init__(self, state: EngineState, results: ResultPublisher) -> None:
        self._state = state
        self._results = results
        self._questions: dict[str, list[tuple[int, Message, bytes]]] = {}  # by call

    # ------------------------------------------------------------ the window

    def refill(self, pool: Pool) -> None:
        """Ask for what should be in memory by now."""
        if pool.app.closing:
            return
        self._read_calls(pool)
        for call in list(pool.window.needs_refill.values()) or _held_up(pool):
            room = self._room(pool)
            if not call.loading and (room or not call.in_memory):
                call.begin_read()
                pool.window.begin_reading_inputs(has_room=bool(room))
                most = self._state.settings.backlog_inputs_max
                window = Window(max(most - call.in_memory, most // 2), room or 1)
                self._state.emit(LoadSpans(call.id, call.tail, window))

    def _read_calls(self, pool: Pool) -> None:
        """Ask for calls that are in the store alone, if few are in memory, or all of those wait for a retry."""
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

        What waits for a retry must not keep the rest from running: if there is nothing else, more is read up to the
        most. What exceeds it is one span of each call of which nothing else is in memory.
        """
        most = self._state.settings.backlog_bytes_max
        share = most // 8
        taken = pool.window.bytes_in_memory + share * (pool.window.reads + pool.window.is_reading_calls)
        return share if taken <= (most // 2 if pool.backlog.count else most) else 0

    def calls_loaded(self, event: CallsLoaded, now: float) -> None:
        """Calls that were in the store alone go on."""
        pool = self._state.pools.get(event.function_id)
        if pool is None or pool.app.closing:
            return
        ended = pool.window.end_reading_calls()
        for loaded in event.calls:
            pool.window.pass_by(loaded.call.sequence)
            if loaded.call.call_id not in ended:
                self._adopt(pool, loaded, now)
        if not event.calls and pool.window.stored_calls:
            raise AssertionError(f"{pool.id}: the store has none of {pool.window.stored_calls} calls that wait in it")
        self._state.mark_dirty(pool)

    def spans_loaded(self, event: SpansLoaded, now: float) -> None:
        """More inputs of a long call are in memory."""
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

    def _adopt(self, pool: Pool, loaded: LoadedCall, now: float) -> None:
        """Take a call back into memory, with the first of its inputs that have not ended."""
        state, stored = self._state, loaded.call
        if stored.call_id in state.calls:
            return
        call = Call(
            stored.call_id, CallKind.SPAWN, pool, stored.method, 0, parent=stored.parent, opened_at=stored.opened_at
        )
        call.restore(stored, (each for each in loaded.attempts if not _is_done(each.index, loaded.spans)))
        pool.window.take_in(call.pending)
        state.enroll(call)
        call.history.note(stored.opened_at, EventKind.STORED, 0, stored.accepted)
        if not stored.sealed:
            # Whoever fed it is gone with a former server; what was accepted is all there will be.
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
        segment = Segment(record.first, record.ends, record.payload, frozenset(record.blobs), left=count)
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

    # ------------------------------------------------------------ questions about what is not in memory

    def ask(self, call_id: str, client: int, message: Message, payload: bytes = b"") -> None:
        """Have the store looked up for a call that a client asks about; `answer` follows."""
        self._questions.setdefault(call_id, []).append((client, message, payload))
        if self._state.begin_lookup(call_id):
            self._state.emit(LoadCall(call_id, Window(1, 1)))  # one span will do: it is read on as others are

    def unask(self, call_id: str, client: int, request: int) -> None:
        """Forget that a client wanted to follow a call that is being looked up."""
        waiting = self._questions.get(call_id, [])
        waiting[:] = [
            (asker, asked, payload)
            for asker, asked, payload in waiting
            if not (isinstance(asked, Watch) and (asker, asked.request) == (client, request))
        ]

    def answer(self, event: CallLoaded, hear: Hear, begin: Hear, now: float) -> None:
        """Answer those who asked about a call: from memory, if it goes on there, or from what is kept of its end.

        Args:
            event: what the store has.
            hear: handles a message about a call that is in memory now.
            begin: handles an OpenCall of a call that nobody knows.
            now: the time.
        """
        found, has_ended = event.found, self._state.end_lookup(event.call_id)
        if event.trouble:
            self._fail_questions(event.call_id, event.trouble)
            return
        if isinstance(found, LoadedCall) and not has_ended:
            pool = self._state.pools.get(found.call.function_id)
            if pool is not None and not pool.app.closing:
                self._adopt(pool, found, now)
                self._state.mark_dirty(pool)
        for client, message, payload in self._questions.pop(event.call_id, []):
            if event.call_id in self._state.calls:
                hear(client, message, payload, now)
            elif isinstance(found, StoredCall):
                request = getattr(message, "request", 0)
                answer(self._state, client, request, partial(self._answer_ended, client, message, found))
            elif isinstance(found, LoadedCall) and not self._state.is_stopping:
                # It has ended a moment ago, or its app is stopping: the store knows by now how it ended.
                self.ask(event.call_id, client, message, payload)
            elif isinstance(message, OpenCall):
                if isinstance(found, LoadedCall):
                    self._state.send_to_client(client, Accepted(event.call_id, found.call.accepted))
                else:
                    begin(client, message, payload, now)
            elif isinstance(message, Watch | DescribeCall | InspectCall | AskStory):
                error = stopping() if found else NotFoundError(f"no call {event.call_id} is known here")
                self._state.send_to_client(client, Failed(message.request, *to_wire(error)))

    def _fail_questions(self, call_id: str, why: str) -> None:
        """Tell those who asked about a call that it cannot be read."""
        code, text, fields = to_wire(ServiceError(why))
        for client, message, _ in self._questions.pop(call_id, []):
            if isinstance(message, OpenCall):  # it may be known: nothing of it is taken twice
                self._state.send_to_client(client, Refused(call_id, 0, code, text, fields))
            elif isinstance(message, Watch | DescribeCall | InspectCall | AskStory):
                self._state.send_to_client(client, Failed(message.request, code, text, fields))

    def _answer_ended(self, client: int, message: Message, call: StoredCall) -> None:
        tell = self._state.send_to_client
        match message:
            case Watch():
                self._send_recorded(client, message, call)
            case DescribeCall():
                name = call.function_name
                tell(client, CallDescription(message.request, call.call_id, call.accepted, call.accepted, name))
            case InspectCall():
                tell(client, _report(message.request, call))
            case AskStory():
                self._tell_story(client, message, call)
            case OpenCall():
                tell(client, Accepted(call.call_id, call.accepted))
            case _:
                pass  # a cancellation of what has ended

    def _send_recorded(self, client: int, message: Watch, call: StoredCall) -> None:
        request, first, last = message.request, message.first, message.last
        if 0 <= first <= last <= call.accepted:
            self._state.emit(SendRecorded(client, call.call_id, first, last, must_have=request, request=request))
        else:
            stray = first if first < 0 else last - 1
            text = f"call {call.call_id} has ended with {call.accepted} inputs, numbered from 0: there is no {stray}"
            self._state.send_to_client(client, Failed(request, *to_wire(OutputExpiredError(text))))

    def _tell_story(self, client: int, message: AskStory, call: StoredCall) -> None:
        _, index = call_and_index(message.about)
        if index is None:
            self._state.send_to_client(client, Explainer.from_store(message.request, call, None, None))
        else:
            self._state.emit(ReadTrace(client, message.request, call, index))


def stopping(why: str = "") -> ConnectionError:
    """Return why a server does nothing more that is to last. Who can, tries again, and finds the next one."""
    return ConnectionError(f"the server is stopping: {why}" if why else "the server is stopping")


def _is_done(index: int, spans: LoadedSpans) -> bool:
    return any(first <= index < first + count for first, count in spans.done)


def _held_up(pool: Pool) -> list[Call]:
    """Return a call to read on though enough of it is in memory, if all that is there waits for its retry."""
    if pool.backlog.count or not pool.backlog.delayed_count:
        return []
    return [call for call in pool.window.calls.values() if call.stored][:1]


def _pieces(first: int, last: int, call: Call) -> Iterator[tuple[int, int, float]]:
    """Split a run of inputs so that one with a time of its own stands alone: (first, last, not before)."""
    for index in sorted(index for index in call.held_until if first <= index < last):
        if index > first:
            yield first, index, 0.0
        yield index, index + 1, call.pop_held_until(index)
        first = index + 1
    if first < last:
        yield first, last, 0.0


def _report(request: int, call: StoredCall) -> CallReport:
    return CallReport(
        request,
        call.call_id,
        "",
        call.function_name,
        CallKind.SPAWN.name.lower(),
        call.opened_at,
        call.accepted,
        0,
        0,
        call.accepted,
        call.ended_at,
        call.parent,
    )
