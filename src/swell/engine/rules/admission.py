"""Admit calls and inputs within the limits; watch the calls that were admitted.

This module must not know how inputs are placed or containers scaled.
"""

from __future__ import annotations

from swell.engine.events import SendRecorded
from swell.engine.rules.attempts import Attempts
from swell.engine.rules.cancelling import Cancelling
from swell.engine.rules.lookups import Lookups, stopping
from swell.engine.rules.results import ResultPublisher
from swell.engine.state.call import Call, Watcher
from swell.engine.state.engine_state import EngineState
from swell.engine.state.history import EventKind
from swell.engine.state.pool import Pool
from swell.engine.state.span import Segment, Span
from swell.errors import Error, InvalidError, NotFoundError, ResourceExhausted, ServiceError, to_wire
from swell.ids import id_problem
from swell.items import PackedItems
from swell.model import CallKind, OutputStatus
from swell.names import identifier_problem, text_problem
from swell.policy.admission import admit
from swell.records import CallGrown, CallRecord, SpanRecord
from swell.wire.messages import (
    Accepted,
    CallDescription,
    DescribeCall,
    Failed,
    OpenCall,
    PutInputs,
    Refused,
    Unwatch,
    Watch,
)

__all__ = ["Admission"]

TRACE_MAX = 8 << 10  #: characters


class Admission:
    """Admits calls and their inputs, and does what clients ask of them afterwards."""

    def __init__(
        self,
        state: EngineState,
        attempts: Attempts,
        cancelling: Cancelling,
        results: ResultPublisher,
        lookups: Lookups,
    ) -> None:
        self._state = state
        self._attempts = attempts
        self._cancelling = cancelling
        self._results = results
        self._lookups = lookups

    # ------------------------------------------------------------ inputs

    def open(self, client: int, message: OpenCall, payload: bytes, now: float) -> None:
        """Begin a call with its first inputs."""
        state = self._state
        known = state.calls.get(message.call_id)
        if known is not None:
            if known.is_announced:
                self._take_back(known, client, now)
            else:
                self._accept(known, client)  # a resend after a broken connection: perhaps it is a new one
            return
        if message.resent and message.kind.is_async:
            self._lookups.ask(message.call_id, client, message, payload)
            return
        pool = state.pools.get(message.function_id)
        problem = self.why_not(message, payload, pool)
        if pool is None or problem is not None:
            assert problem is not None
            self.refuse(client, message.call_id, 0, problem)
            return
        self.begin(pool, client, message, payload, now)

    def begin(self, pool: Pool, client: int, message: OpenCall, payload: bytes, now: float) -> bool:
        """Begin a call that is new; False if the limits admit none of its inputs."""
        state = self._state
        call = Call(message.call_id, message.kind, pool, message.method, client, parent=message.parent, opened_at=now)
        offered = len(message.ends)
        count = self._admit(call, client, 0, offered)
        if offered and not count:
            return False  # no input was admitted: as if the call had never been opened
        if message.sealed and count == offered:
            call.seal()
        call.trace_from(message.trace)
        if message.wants_lease and message.kind is CallKind.REMOTE:
            call.want_lease()
            pool.measures.count_fallback()
        if call.kind.is_async:
            call.number(state.next_sequence())
            if not pool.is_recorded:
                state.keep(pool, has_calls=True)
            state.persist(
                CallRecord(
                    call_id=call.id,
                    sequence=call.sequence,
                    function_id=pool.id,
                    function_name=pool.spec.name,
                    method=call.method,
                    parent=message.parent,
                    opened_at=now,
                    accepted=count,
                    sealed=call.sealed,
                )
            )
            if count and call.sealed and pool.window.is_full:
                self._leave_to_store(call, count, message, payload)
                state.send_to_client(client, Accepted(call.id, count))
                return True
            pool.window.accept(call.sequence)
        state.enroll(call)
        state.bind(client, call)
        state.mark_dirty(pool)  # it is not idle now, also if there are no inputs yet
        self._take(call, 0, count, message.items(payload), now)
        if call.kind is CallKind.WEB and pool.is_down and now < pool.start_backoff.not_before:
            self._results.end_pending(call, OutputStatus.INIT_FAILURE, b"", now)
        if call.kind.is_async:
            self._accept(call, client)
        self._results.end_if_finished(call, now)
        return True

    def _take_back(self, call: Call, client: int, now: float) -> None:
        """Queue a call that was announced and that its client sends here: its container has not begun it."""
        self._state.claim(client, call)
        delivery = call.direct
        if delivery is not None and not delivery.is_confirmed and not delivery.revoked:
            self._attempts.requeue(delivery, (0,), now)
            self._state.mark_dirty(call.pool)

    def why_not(self, message: OpenCall, payload: bytes, pool: Pool | None) -> Error | None:
        """Return why a call cannot begin."""
        if self._state.is_stopping:
            return stopping()
        if pool is None or pool.app.closing or pool.is_retired:
            return NotFoundError(f"function {message.function_id} {_what_is_wrong(pool)}")
        problem = id_problem(message.call_id, "a call") or _problem(0, message.ends, message.blobs, payload)
        if message.trace and sum(len(name) + len(text) for name, text in message.trace.items()) > TRACE_MAX:
            problem = f"the trace context of a call may have {TRACE_MAX:,} characters"
        if message.method and (unnamed := identifier_problem(message.method, "method")):
            problem = unnamed
        if message.parent and (unnamed := text_problem(message.parent, "id of a caller")):
            problem = unnamed
        if not problem and (message.kind is CallKind.WEB or message.method in pool.web_methods):
            problem = _web_problem(message, pool)
        if not problem and message.parameters:
            problem = f"{message.call_id} names parameters of a class, which only a request of a web function may"
        if problem:
            return InvalidError(problem)
        if message.kind.is_async and self._state.store_trouble:
            return ServiceError(f"nothing can be spawned: {self._state.store_trouble}")
        return None

    def put(self, client: int, message: PutInputs, payload: bytes, now: float) -> None:
        """Admit more inputs of a call."""
        call = self._state.calls.get(message.call_id)
        if call is None:
            gone = NotFoundError(f"call {message.call_id} is not open; its app may have stopped")
            self.refuse(client, message.call_id, message.first, stopping() if self._state.is_stopping else gone)
            return
        if call.cancelled:
            return
        if message.first != call.accepted:
            return  # sent before the client received that earlier inputs were refused; it will send them again
        if call.sealed:
            text = f"call {call.id} takes no more inputs: the connection or the server that it was fed by had gone"
            self.refuse(client, call.id, message.first, NotFoundError(text))
            return
        problem = _problem(message.first, message.ends, message.blobs, payload)
        if problem:
            self.refuse(client, call.id, message.first, InvalidError(problem))
            return
        offered = len(message.ends)
        count = self._admit(call, client, message.first, offered)
        if message.sealed and count == offered:
            call.seal()
        self._take(call, message.first, count, message.items(payload), now)
        if call.kind.is_async:
            if count or call.sealed:
                self._state.persist(CallGrown(call.id, call.accepted, call.sealed))
            self._accept(call, client)
        self._results.end_if_finished(call, now)

    def _admit(self, call: Call, client: int, first: int, offered: int) -> int:
        """Return how many of the offered inputs the limits admit, and refuse the rest."""
        pool, is_async, settings = call.pool, call.kind.is_async, self._state.settings
        admitted = admit(
            settings,
            is_async=is_async,
            offered=offered,
            pending=pool.counts.pending[is_async],
            running=pool.counts.running[is_async],
        )
        if admitted.count < offered:
            error = ResourceExhausted(admitted.limit, admitted.value, settings.retry_after_s)
            self.refuse(client, call.id, first + admitted.count, error)
        return admitted.count

    def _take(self, call: Call, first: int, count: int, items: PackedItems[bytes], now: float) -> None:
        """Queue admitted inputs. Those of a spawned call are recorded, and only that if enough are in memory."""
        if not count:
            return
        items = items.slice(0, count)
        call.add_accepted(count)
        call.add_pending(count)
        pool = call.pool
        if call.kind.is_async:
            self._state.persist(SpanRecord.of(call.id, first, items))
            before = call.in_memory - count
            settings = self._state.settings
            if call.stored or (
                before
                and (before >= settings.backlog_inputs_max or pool.window.bytes_in_memory >= settings.backlog_bytes_max)
            ):
                call.leave_in_store(count)
                pool.window.note_refill(call)
                call.history.note(now, EventKind.STORED, first, count)
                self._state.mark_dirty(pool)
                return
            pool.window.add_bytes(len(items.payload))
            call.note_tail(first + count)
        segment = Segment(first, items)
        pool.backlog.add(Span(call, segment, first, first + count, queued_at=now))
        call.history.note(now, EventKind.ACCEPTED, first, count)
        self._state.mark_dirty(pool)

    def _leave_to_store(self, call: Call, count: int, message: OpenCall, payload: bytes) -> None:
        """Record a whole call and forget it: enough calls are in memory, and the pager reads it when its turn comes."""
        pool = call.pool
        self._state.persist(SpanRecord(call.id, 0, message.ends, payload, message.blobs))
        pool.window.leave_to_store(count)
        pool.app.note_stored(pool)
        pool.counts.add_stored(count)

    def _accept(self, call: Call, client: int) -> None:
        self._state.send_to_client(client, Accepted(call.id, call.accepted))

    def refuse(self, client: int, call_id: str, first: int, error: Error) -> None:
        """Tell a client that a call's inputs from `first` on are not accepted."""
        code, text, fields = to_wire(error)
        retry_after_s = error.retry_after_s if isinstance(error, ResourceExhausted) else None
        self._state.send_to_client(
            client,
            Refused(call_id=call_id, first=first, code=code, text=text, fields=fields, retry_after_s=retry_after_s),
        )

    # ------------------------------------------------------------ following

    def watch(self, client: int, message: Watch) -> None:
        """Send a client the outputs of a call: the recorded ones now, the others as they come."""
        state = self._state
        call = state.calls.get(message.call_id)
        if call is None:
            self._lookups.ask(message.call_id, client, message)
            return
        if not call.kind.is_async:
            text = f"call {call.id} is not a spawned call: its results go to its caller alone"
            state.send_to_client(client, Failed(message.request, NotFoundError.code, text))
            return
        first, last = max(0, message.first), min(message.last, call.accepted)
        if message.is_poll:
            then, request = _description(message.request, call), message.request
            state.emit(SendRecorded(client, call.id, first, last, then=then, request=request))
            return
        state.emit(SendRecorded(client, call.id, first, last, request=message.request))
        call.watch(Watcher(client, message.request, message.first, message.last))
        state.bind(client, call)

    def unwatch(self, client: int, message: Unwatch) -> None:
        """Stop sending outputs of a call to a client."""
        call = self._state.calls.get(message.call_id)
        if call is None:
            self._lookups.unask(message.call_id, client, message.request)
        else:
            call.unwatch(client, message.request)
            self._state.clients.unbind_watcher(client, call)

    def describe(self, client: int, message: DescribeCall) -> None:
        """Send a client the description of a call."""
        call = self._state.calls.get(message.call_id)
        if call is None:
            self._lookups.ask(message.call_id, client, message)
            return
        self._state.send_to_client(client, _description(message.request, call))

    # ------------------------------------------------------------ ending

    def lags(self, client: int, is_lagging: bool) -> None:
        """Hold the calls of a client that does not read its results, or let them go on when it reads again."""
        if is_lagging:
            self._state.begin_lag(client)
        else:
            self._state.end_lag(client)

    def client_gone(self, client: int, now: float) -> None:
        """Cancel the synchronous calls of a client that is gone; those that it watched go on unwatched."""
        self._lookups.client_gone(client)
        for call in self._state.clients.take_calls(client):
            call.unwatch(client)
            if call.client != client:
                continue
            if not call.kind.is_async:
                self._cancelling.cancel(call, now, why="the caller is gone")
            elif not call.sealed:
                # What was accepted is done; more will not come.
                call.seal()
                self._state.persist(CallGrown(call.id, call.accepted, sealed=True))
                self._results.end_if_finished(call, now)


def _what_is_wrong(pool: Pool | None) -> str:
    """Return why a function takes no calls, and how to mend that."""
    if pool is None:
        return (
            "does not exist; is its app running? A variant that only requests have asked for ends when it is idle: "
            "name it by its parameters"
        )
    if pool.is_retired:
        return "is not in the live version of its app any more; is its app running?"
    return "belongs to an app that is stopping; is its app running?"


def _description(request: int, call: Call) -> CallDescription:
    total = call.accepted if call.sealed else None
    return CallDescription(request, call.id, total, call.done, call.pool.spec.name)


def _web_problem(message: OpenCall, pool: Pool) -> str:
    """Return why a call is no request of a web function; "" if it is one."""
    name = f"{pool.label}.{message.method}" if message.method else pool.label
    if message.method not in pool.web_methods:
        return f"{name} does not answer HTTP: call it, with .remote() for one"
    if message.kind is not CallKind.WEB:
        return f"{name} answers HTTP (it is a webhook) and cannot be called: get_web_url() tells where"
    if message.ends != [0] or not message.sealed:
        return f"a request is one input without bytes, and {message.call_id} has {len(message.ends)}"
    return ""


def _problem(first: int, ends: list[int], blobs: list[int], payload: bytes) -> str:
    """Return why a payload cannot be split into its inputs; "" if it can."""
    if (ends[-1] if ends else 0) != len(payload):
        return f"{len(ends)} inputs end at byte {ends[-1] if ends else 0} of a payload of {len(payload)} bytes"
    if ends and (ends[0] < 0 or ends != sorted(ends)):
        return f"the ends of {len(ends)} inputs are not in order"
    strays = [index for index in blobs if not first <= index < first + len(ends)]
    if strays:
        return f"input {strays[0]} is said to name a blob, and is none of {len(ends)} from {first} on"
    return ""
