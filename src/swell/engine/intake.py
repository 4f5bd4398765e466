"""What clients ask about calls: opening, feeding, watching and cancelling them, within the limits.

This module must not know how inputs are placed or containers scaled.
"""

from __future__ import annotations

import re

from swell.engine.call import Call, Watcher
from swell.engine.container import Delivery
from swell.engine.events import AskStore, SendRecorded
from swell.engine.ledger import Ledger
from swell.engine.settle import Settler
from swell.engine.span import Segment, Span
from swell.errors import Error, InvalidError, NotFoundError, ResourceExhausted, to_wire
from swell.model import CallKind, OutputStatus
from swell.policy.admission import admit
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

__all__ = ["Intake"]

_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)  #: files are named after it


class Intake:
    """Takes calls in and lets clients follow them."""

    def __init__(self, ledger: Ledger, settler: Settler) -> None:
        self._ledger = ledger
        self._settler = settler

    # ------------------------------------------------------------ inputs

    def open(self, client: int, message: OpenCall, payload: bytes, now: float) -> None:
        """Begin a call with its first inputs."""
        ledger = self._ledger
        known = ledger.calls.get(message.call_id)
        if known is not None:
            # A resend after a broken connection: same call, perhaps a new connection.
            self._accept(known, client)
            return
        pool = ledger.pools.get(message.function_id)
        if pool is None or pool.app.closing:
            what = "does not exist" if pool is None else "belongs to an app that is stopping"
            text = f"function {message.function_id} {what}; is its app running?"
            self._refuse(client, message.call_id, 0, NotFoundError(text))
            return
        problem = _problem(message.ends, payload)
        if not _CALL_ID.fullmatch(message.call_id):
            problem = f"{message.call_id!r:.200} is not the id of a call: 1 to 100 letters, digits, '-' and '_'"
        if problem:
            self._refuse(client, message.call_id, 0, InvalidError(problem))
            return
        call = Call(message.call_id, message.kind, pool, message.method, client, parent=message.parent)
        taken = self._take(call, client, 0, message.ends, message.blobs, payload, now)
        if message.ends and not taken:
            return  # nothing of it is in: as if it had never been offered
        ledger.calls[call.id] = call
        ledger.bind(client, call)
        call.sealed = message.sealed and taken == len(message.ends)
        if call.kind is CallKind.SPAWN:
            self._accept(call, client)
        self._settler.end_if_finished(call)

    def put(self, client: int, message: PutInputs, payload: bytes, now: float) -> None:
        """Take more inputs of a call."""
        call = self._ledger.calls.get(message.call_id)
        if call is None:
            text = f"call {message.call_id} is not open; its app may have stopped"
            self._refuse(client, message.call_id, message.first, NotFoundError(text))
            return
        if call.cancelled:
            return
        if message.first != call.accepted:
            return  # sent before the client heard that earlier inputs were refused; it will offer them again
        problem = _problem(message.ends, payload)
        if problem:
            self._refuse(client, call.id, message.first, InvalidError(problem))
            return
        taken = self._take(call, client, message.first, message.ends, message.blobs, payload, now)
        call.sealed = message.sealed and taken == len(message.ends)
        if call.kind is CallKind.SPAWN:
            self._accept(call, client)
        self._settler.end_if_finished(call)

    def _take(
        self, call: Call, client: int, first: int, ends: list[int], blobs: list[int], payload: bytes, now: float
    ) -> int:
        """Queue what the limits allow of some inputs, refuse the rest, and return how many were queued."""
        pool, offered, is_async = call.pool, len(ends), call.kind.is_async
        admitted = admit(
            self._ledger.settings,
            is_async=is_async,
            offered=offered,
            pending=pool.pending[is_async],
            running=pool.running[is_async],
        )
        count = admitted.count
        if count:
            if count < offered:
                ends = ends[:count]
                payload = payload[: ends[-1]]
            segment = Segment(first, ends, payload, frozenset(blobs))
            pool.backlog.add(Span(call, segment, first, first + count, queued_at=now))
            call.add_accepted(count)
            call.add_pending(count)
            self._ledger.touch(pool)
        if count < offered:
            retry_after_s = self._ledger.settings.retry_after_s
            error = ResourceExhausted(admitted.limit, admitted.value, retry_after_s)
            self._refuse(client, call.id, first + count, error, retry_after_s)
        return count

    def _accept(self, call: Call, client: int) -> None:
        self._ledger.tell(client, Accepted(call.id, call.accepted))

    def _refuse(self, client: int, call_id: str, first: int, error: Error, retry_after_s: float | None = None) -> None:
        code, text, fields = to_wire(error)
        self._ledger.tell(client, Refused(call_id, first, code, text, fields, retry_after_s))

    # ------------------------------------------------------------ following

    def watch(self, client: int, message: Watch) -> None:
        """Send a client the outputs of a call, those there are and those to come."""
        ledger = self._ledger
        call = ledger.calls.get(message.call_id)
        if call is None:
            ledger.emit(AskStore(client, message))
            return
        if not call.kind.is_async:
            text = f"call {call.id} is not a spawned call: its results go to its caller alone"
            ledger.tell(client, Failed(message.request, NotFoundError.code, text))
            return
        ledger.emit(SendRecorded(client, call.id, message.first, message.last))
        call.watchers.append(Watcher(client, message.request, message.first, message.last))
        ledger.bind(client, call)

    def unwatch(self, client: int, message: Unwatch) -> None:
        """Stop sending outputs of a call to a client."""
        call = self._ledger.calls.get(message.call_id)
        if call is not None:
            call.watchers = [w for w in call.watchers if (w.client, w.request) != (client, message.request)]

    def describe(self, client: int, message: DescribeCall) -> None:
        """Tell what is known of a call."""
        call = self._ledger.calls.get(message.call_id)
        if call is None:
            self._ledger.emit(AskStore(client, message))
            return
        total = call.accepted if call.sealed else None
        name = call.pool.spec.name
        self._ledger.tell(client, CallDescription(message.request, call.id, total, call.done, name))

    # ------------------------------------------------------------ ending

    def cancel(self, call: Call, now: float, *, terminate_containers: bool = False, why: str) -> None:
        """End every unfinished input of a call as TERMINATED."""
        if call.cancelled:
            return
        call.cancelled = True
        call.sealed = True
        text = why.encode()
        self._settler.end_pending(call, OutputStatus.TERMINATED, text)
        for container in list(call.pool.containers.values()):
            hit = False
            # What it runs comes last: what is queued behind that must not begin because of it.
            for delivery in reversed(list(container.deliveries.values())):
                hit |= self._cancel_running(call, delivery, text, now)
            if hit and terminate_containers:
                container.resist_until = now
                call.pool.arm("resist", now)
        self._settler.end_if_finished(call)
        self._ledger.touch(call.pool)

    def _cancel_running(self, call: Call, delivery: Delivery, text: bytes, now: float) -> bool:
        positions = [p for p in delivery.positions_of(call) if p in delivery.open and p not in delivery.void]
        if not positions:
            return False
        indexes = [delivery.locate(position)[1:] for position in positions]
        self._settler.void(delivery, positions, now=now)
        for segment, index in indexes:
            self._settler.settle(call, segment, [(index, OutputStatus.TERMINATED, text, False)])
        return True

    def client_gone(self, client: int, now: float) -> None:
        """A client's connection ended: its synchronous calls end with it, what it watched goes on unwatched."""
        for call in list(self._ledger.calls_of.pop(client, {}).values()):
            call.watchers = [watcher for watcher in call.watchers if watcher.client != client]
            if call.client == client and not call.kind.is_async:
                self.cancel(call, now, why="the caller is gone")


def _problem(ends: list[int], payload: bytes) -> str:
    """Return why inputs cannot be told apart; "" if they can."""
    if (ends[-1] if ends else 0) != len(payload):
        return f"{len(ends)} inputs end at byte {ends[-1] if ends else 0} of a payload of {len(payload)} bytes"
    if ends and (ends[0] < 0 or ends != sorted(ends)):
        return f"the ends of {len(ends)} inputs are not in order"
    return ""
