"""Lookups: a client names a call that is not in memory, and the store is asked for it.

It may be a call that goes on, which is taken into memory so that the message is handled as any other; one that has
ended, of which the store has what is kept; or none. One read answers all messages about a call that came meanwhile.
This module must not know how the window on the backlog moves.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from swell.engine.events import CallLoaded, LoadCall, ReadTrace, SendRecorded
from swell.engine.rules.paging import Pager
from swell.engine.rules.unchanged import answer
from swell.engine.state.engine_state import EngineState
from swell.engine.views.explain import Explainer
from swell.errors import ConnectionError, NotFoundError, OutputExpiredError, ServiceError, to_wire
from swell.ids import call_and_index
from swell.model import CallKind
from swell.records import LoadedCall, StoredCall, Window
from swell.wire.messages import Accepted, CallDescription, DescribeCall, Failed, Message, OpenCall, Refused, Watch
from swell.wire.queries import AskStory, CallReport, InspectCall

__all__ = ["Lookups", "stopping"]

Handle = Callable[[int, Message, bytes, float], None]  #: handles a client's message: client, message, payload, now


class Lookups:
    """Asks the store about calls, and answers the clients that named them."""

    def __init__(self, state: EngineState, pager: Pager) -> None:
        self._state = state
        self._pager = pager
        self._questions: dict[str, list[tuple[int, Message, bytes]]] = {}  # by call

    def ask(self, call_id: str, client: int, message: Message, payload: bytes = b"") -> None:
        """Ask the store for a call that a client names; `answer` follows."""
        self._questions.setdefault(call_id, []).append((client, message, payload))
        if self._state.begin_lookup(call_id):
            self._state.emit(LoadCall(call_id, Window(1, 1)))  # one span will do: the pager reads on

    def unask(self, call_id: str, client: int, request: int) -> None:
        """Forget that a client wanted to follow a call that is being looked up."""
        waiting = self._questions.get(call_id, [])
        waiting[:] = [
            (asker, asked, payload)
            for asker, asked, payload in waiting
            if not (isinstance(asked, Watch) and (asker, asked.request) == (client, request))
        ]

    def client_gone(self, client: int) -> None:
        """Forget what a client that is gone wanted to follow or to open; what it wanted to cancel is cancelled.

        This looks at all that is being read: that is little, since the store answers some events later.
        """
        for waiting in self._questions.values():
            waiting[:] = [
                (asker, asked, payload)
                for asker, asked, payload in waiting
                if asker != client or not isinstance(asked, Watch | OpenCall)
            ]

    def answer(self, event: CallLoaded, handle: Handle, begin: Handle, now: float) -> None:
        """Answer the clients that named a call: from memory, if it goes on there, or from what is kept of its end.

        Args:
            event: what the store has.
            handle: handles a message about a call that is in memory now.
            begin: handles an OpenCall of a call that the store does not have.
            now: the time.
        """
        found, has_ended = event.found, self._state.end_lookup(event.call_id)
        if event.trouble:
            self._fail_questions(event.call_id, event.trouble)
            return
        if isinstance(found, LoadedCall) and not has_ended:
            pool = self._state.pools.get(found.call.function_id)
            if pool is not None and not pool.app.closing:
                self._pager.adopt(pool, found, now)
                self._state.mark_dirty(pool)
        for client, message, payload in self._questions.pop(event.call_id, []):
            if event.call_id in self._state.calls:
                handle(client, message, payload, now)
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
        """Tell the clients that named a call that it cannot be read."""
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
    """Return the error of what a stopping server refuses; a client that tries again finds the next server."""
    return ConnectionError(f"the server is stopping: {why}" if why else "the server is stopping")


def _report(request: int, call: StoredCall) -> CallReport:
    return CallReport(
        request=request,
        call_id=call.call_id,
        app_name="",
        function_name=call.function_name,
        kind=CallKind.SPAWN.name.lower(),
        opened_at=call.opened_at,
        num_inputs=call.accepted,
        pending=0,
        running=0,
        done=call.accepted,
        ended_at=call.ended_at,
        parent=call.parent,
    )
