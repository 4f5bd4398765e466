"""Direct calls: what containers report of them, and how those that are announced become inputs like any other.

A call on a call lease is unknown here until it has ended well, and then only counted and remembered. One that takes
long, fails or is cut off is announced, by its client or by its container, whichever is first; from then on it is an
input of a delivery of mode DIRECT, in the slot of its lease. Who ends it first decides what becomes of it, as with any
position of a delivery that is open (see `completion`):

    announced ──▶ open ──▶ reported, or its client has the answer ──▶ over, silently: its client knows
                   │  └──▶ its container lost, or its connection ──▶ the front of the queue, as any other
                   └─────▶ revoked (timed out, cancelled) ──▶ reported: its lease is vacant

A client that has its answer says nothing of a call that was not announced, and a container reports late. So a call may
be announced after it was reported: then the histories have it. This module must not know who gets a lease.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import inf

from swell.engine.rules.admission import Admission
from swell.engine.rules.attempts import Attempts
from swell.engine.rules.calls import Calls
from swell.engine.rules.cancelling import Cancelling
from swell.engine.rules.completion import Completion, ProtocolError
from swell.engine.rules.deliveries import outcome_in
from swell.engine.rules.losses import Losses
from swell.engine.rules.results import Outcome, ResultPublisher
from swell.engine.state.call import Call
from swell.engine.state.call_lease import NOBODY, CallLease
from swell.engine.state.container import Container, Delivery
from swell.engine.state.engine_state import EngineState
from swell.engine.state.history import DirectCall, DirectCallsOf, EventKind
from swell.engine.state.pool import Pool
from swell.engine.state.span import Part, Segment
from swell.engine.state.timers import Timer
from swell.errors import Error, InvalidError
from swell.items import PackedItems
from swell.model import CallKind, DeliveryMode, OutputStatus
from swell.wire.leases import NOT_BEGUN, Abandoned, Announce, DirectAnswered, DirectReport, LeaseClosed
from swell.wire.messages import OpenCall

__all__ = ["DirectCalls"]

SUCCESS, FAILURE, TERMINATED = OutputStatus.SUCCESS, OutputStatus.FAILURE, OutputStatus.TERMINATED
DIRECT = DeliveryMode.DIRECT
#: How a direct call may end in its container; whatever else is claimed has failed.
ENDS = {int(status): status for status in (SUCCESS, FAILURE, TERMINATED)}
LOST = "its connection to the container broke"


class DirectCalls:
    """Takes in what is said of calls on call leases."""

    def __init__(
        self,
        state: EngineState,
        *,
        results: ResultPublisher,
        attempts: Attempts,
        completion: Completion,
        cancelling: Cancelling,
        losses: Losses,
        admission: Admission,
        calls: Calls,
    ) -> None:
        self._state = state
        self._results = results
        self._attempts = attempts
        self._completion = completion
        self._cancelling = cancelling
        self._losses = losses
        self._admission = admission
        self._calls = calls

    # ------------------------------------------------------------ what containers report

    def reported(self, container: Container, message: DirectReport, now: float) -> None:
        """Count the calls that a container has run for the client of a lease, and end those that were announced."""
        if not container.takes_calls:
            raise ProtocolError("it reports direct calls, and can have had none")
        _check_shape(message)
        state, pool = self._state, container.pool
        state.mark_dirty(pool)
        announced: dict[str, Delivery] = {}
        lease = container.leases.get(message.lease)
        if lease is not None:
            lease.use(now)
            announced = lease.announced
        open_calls, histories, failures = state.calls, state.histories, dict(message.failures)
        is_retried = _is_retried(container)
        of = DirectCallsOf(pool.id, pool.app.name, pool.spec.name, container.id)
        ended: list[tuple[str, DirectCall]] = []
        for i, call_id in enumerate(message.call_ids):
            code = failures.get(i, SUCCESS)
            delivery = announced.get(call_id)
            if delivery is not None:
                self._ended(delivery, code, now)
            elif call_id in open_calls or call_id in histories:
                continue  # it has gone round again, or its client had the answer before this report
            elif code != NOT_BEGUN and not (is_retried and code == FAILURE):
                began_at = max(0.0, now - message.ages[i])
                status = ENDS.get(code, FAILURE)
                parent = message.parents[i] if message.parents else ""
                ended.append((call_id, DirectCall(of, began_at, began_at + message.took[i], status, parent)))
        self._learn(pool, message.took, failures)
        if ended:
            histories.keep_direct(ended)
            pool.counts.count_direct(len(ended))
            container.count_served(len(ended))
            measures = pool.measures
            measures.count_direct(len(ended))
            measures.wait.add(0.0, len(ended))
            for status, many in Counter(call.status for _, call in ended).items():
                measures.count_ended(status, many)

    @staticmethod
    def _learn(pool: Pool, took: Sequence[float], failures: dict[int, int]) -> None:
        if NOT_BEGUN in failures.values():
            took = [each for i, each in enumerate(took) if failures.get(i) != NOT_BEGUN]
        if took:
            pool.estimates.learn_service(sum(took) / len(took), len(took))
            pool.measures.run.add_each(took)

    def _ended(self, delivery: Delivery, code: int, now: float) -> None:
        """Settle a call that was announced, and that its container reports as ended, or as not begun."""
        if 0 in delivery.revoked:
            self._close(delivery, now)
        elif code == NOT_BEGUN:
            self._attempts.requeue(delivery, (0,), now)
        elif delivery.is_cut_off:
            self._attempts.requeue(delivery, (0,), now, lost=LOST)
        elif code == TERMINATED and self._completion.counts_as_lost(delivery, 0):
            self._attempts.requeue(delivery, (0,), now)
        else:
            self._end(delivery, ENDS.get(code, FAILURE), now)

    def _end(self, delivery: Delivery, status: OutputStatus, now: float) -> None:
        """End an attempt whose client has the answer; if it failed and has retries, they follow."""
        call, segment, index = delivery.locate(0)
        call.add_running(-1)
        if status is FAILURE and _is_retried(delivery.container):
            if not self._attempts.retry(call, segment, index, status, now):
                ended = outcome_in(delivery, index, TERMINATED, b"the call was cancelled")
                self._results.end(call, segment, [ended], now)
        elif status is TERMINATED:
            self._results.end(call, segment, [outcome_in(delivery, index, status, b"")], now)
        else:
            call.history.answer()
            self._results.end_silently(call, segment, outcome_in(delivery, index, status, b""), now)
        self._close(delivery, now)

    def _close(self, delivery: Delivery, now: float) -> None:
        delivery.close((0,))
        delivery.container.close(delivery, now)
        self._state.mark_dirty(delivery.container.pool)

    def closed(self, container: Container, message: LeaseClosed, now: float) -> None:
        """Take in that no more calls of a lease begin. Announced ones that the container does not run are not there."""
        lease = container.leases.get(message.lease)
        if lease is None or not lease.may_begin_calls:
            return
        container.close_lease(lease, now)
        for delivery in list(lease.deliveries.values()):
            if 0 in delivery.revoked:
                if not delivery.is_confirmed:
                    self._close(delivery, now)
            elif delivery.is_cut_off:
                self._attempts.requeue(delivery, (0,), now, lost=LOST)
            elif not delivery.is_confirmed:
                self._drop(delivery, now)
        self._state.mark_dirty(container.pool)

    def _drop(self, delivery: Delivery, now: float) -> None:
        """Forget a call that is not where its client thinks: it will say so, or has its answer."""
        call, segment, index = delivery.locate(0)
        call.add_running(-1)
        self._results.done(call, segment, (index,), now)
        self._state.histories.forget_call(call.id)  # else what the client says next would come after the end
        self._close(delivery, now)

    def abandoned(self, container: Container, message: Abandoned, now: float) -> None:
        """Cancel a call whose client has closed its connection to the container."""
        call = self._state.calls.get(message.call_id)
        delivery = None if call is None else call.direct
        if call is None or delivery is None or delivery.container is not container or delivery.is_cut_off:
            return
        self._cancelling.cancel(call, now, why="the caller is gone")

    # ------------------------------------------------------------ what is announced

    def announced_by_container(self, container: Container, message: Announce, payload: bytes, now: float) -> None:
        """Take in a call that a container runs. If its client has announced it before, the container confirms that.

        Raises:
            ProtocolError: it cannot be a call.
        """
        lease = container.leases.get(message.lease)
        if lease is None:
            return
        known = lease.announced.get(message.call_id)
        if known is not None:
            known.confirm()
            known.begin(max(known.since, now - message.age_s))  # its client counts from when it was sent
        elif message.call_id not in self._state.calls and message.call_id not in self._state.histories:
            problem = self._admission.why_not(_as_open(message, payload), payload, container.pool)
            if problem is None or _is_finishing(container.pool, problem):
                self._begin(message, payload, lease, NOBODY, now).confirm()
            elif not container.pool.app.closing:
                raise ProtocolError(f"it announces what is no call: {problem}")

    def announced_by_client(self, client: int, message: Announce, payload: bytes, now: float) -> None:
        """Take in a call that a client waits for: what comes of it is sent there from now on."""
        state = self._state
        known = state.calls.get(message.call_id)
        if known is not None:
            if known.is_announced:  # any other is not a direct call, and whoever opened it waits for it
                state.claim(client, known)
                self._go_on(known, message, now)
            return
        kept = state.call_leases.take_unclaimed(message.call_id)
        if kept is not None:
            state.send_to_client(client, *kept)
            return
        if message.call_id in state.histories and not (
            message.is_lost and state.histories.was_answered(message.call_id)
        ):
            return  # it has ended, and its client knows or is being told: this was on its way
        lease = state.call_leases.by_id.get(message.lease)
        if lease is not None:
            self._take_in(client, message, payload, lease, now)
        elif message.is_lost or message.failed:
            self._take_late(client, message, payload, now)
        # Else the client is about to get its answer, or to see that its container is gone.

    def _take_in(self, client: int, message: Announce, payload: bytes, lease: CallLease, now: float) -> None:
        pool = lease.container.pool
        problem = self._admission.why_not(_as_open(message, payload), payload, pool)
        if problem is not None and not _is_finishing(pool, problem):
            self._admission.refuse(client, message.call_id, 0, problem)
            return
        delivery = self._begin(message, payload, lease, client, now)
        self._go_on(delivery.parts[0].call, message, now)

    def _go_on(self, call: Call, message: Announce, now: float) -> None:
        """Do what follows from how a client announces a call that is known."""
        delivery = call.direct
        if delivery is None or 0 in delivery.revoked:
            return  # it has gone round again, or has ended, as the client was told
        if message.failed:
            self._end(delivery, FAILURE, now)
        elif message.is_lost:
            delivery.cut_off()
            if delivery.lease is not None and not delivery.lease.may_begin_calls and not delivery.is_confirmed:
                self._attempts.requeue(delivery, (0,), now, lost=LOST)
        self._state.mark_dirty(call.pool)

    def _take_late(self, client: int, message: Announce, payload: bytes, now: float) -> None:
        """Take in a call whose lease is over: judge it by how that ended, or take it as one that was never begun."""
        state = self._state
        if message.failed and (pool := state.pools.get(message.function_id)) is not None:
            self._take_failed(client, message, payload, pool, now)
            return
        end = state.call_leases.ends.get(message.lease)
        if end is None or state.pools.get(end.lease.container.pool.id) is not end.lease.container.pool:
            self._calls.open(client, _as_open(message, payload), payload, now)
            return
        pool = end.lease.container.pool
        problem = self._admission.why_not(_as_open(message, payload), payload, pool)
        if problem is not None and not _is_finishing(pool, problem):
            self._admission.refuse(client, message.call_id, 0, problem)
            return
        delivery = self._begin(message, payload, end.lease, client, now)
        self._losses.settle(delivery, end.reason, now, end.excess, was_alone=end.was_alone, is_head=True)

    def _take_failed(self, client: int, message: Announce, payload: bytes, pool: Pool, now: float) -> None:
        """Take in a call whose first attempt has failed, and of whose lease nothing is left."""
        problem = self._admission.why_not(_as_open(message, payload), payload, pool)
        if problem is not None:
            self._admission.refuse(client, message.call_id, 0, problem)
            return
        call, segment = self._enroll(message, payload, pool, client, now)
        pool.measures.count_direct(1)
        if not self._attempts.retry(call, segment, 0, FAILURE, now):
            ended = Outcome(0, TERMINATED, b"its function has no retries")
            self._results.end(call, segment, [ended], now)
        self._state.mark_dirty(pool)

    def _enroll(
        self, message: Announce, payload: bytes, pool: Pool, client: int, opened_at: float
    ) -> tuple[Call, Segment]:
        """Make a call of what is announced; where its input is, is to be said by whoever calls this."""
        call = Call(
            message.call_id, CallKind.REMOTE, pool, message.method, client, parent=message.parent, opened_at=opened_at
        )
        call.seal()
        call.announce()
        call.trace_from(message.trace)
        call.add_accepted(1)
        self._state.enroll(call)
        if client != NOBODY:
            self._state.bind(client, call)
        return call, Segment(0, PackedItems([len(payload)], payload))

    def _begin(self, message: Announce, payload: bytes, lease: CallLease, client: int, now: float) -> Delivery:
        """Make an input of a direct call: it runs, in the slot of its lease."""
        state, container = self._state, lease.container
        pool = container.pool
        since = max(lease.granted_at, now - message.age_s)
        call, segment = self._enroll(message, payload, pool, client, since)
        call.add_running(1)
        part = Part(call, segment, 0, 1, queued_at=since, alone=False)
        delivery = Delivery(state.next_delivery(), container, DIRECT, [part], since)
        call.deliver(delivery)
        container.give_direct(delivery, lease)
        call.history.note(since, EventKind.SENT, 0, 1, container.id)
        pool.measures.wait.add(0.0)
        pool.measures.count_direct(1)
        if container.id in pool.fleet.containers:
            pool.timers.watch(Timer.TIMEOUT, container.id, since + container.spec.timeout_s)
        state.mark_dirty(pool)
        return delivery

    # ------------------------------------------------------------ what clients say of announced ones

    def answered(self, client: int, message: DirectAnswered, now: float) -> None:
        """End a call whose client has the answer of the container."""
        state = self._state
        state.call_leases.take_unclaimed(message.call_id)
        call = state.calls.get(message.call_id)
        if call is None or not call.is_announced or call.client != client:
            return
        delivery = call.direct
        if delivery is None:
            self._cancelling.cancel(call, now, why="the caller has its answer")
        elif 0 not in delivery.revoked:
            self._end(delivery, SUCCESS if message.status == SUCCESS else FAILURE, now)


def _is_retried(container: Container) -> bool:
    retry = container.spec.retry
    return retry is not None and retry.max_retries > 0


def _as_open(message: Announce, payload: bytes) -> OpenCall:
    """Return the message with which the call would have come to the server in the first place."""
    return OpenCall(
        call_id=message.call_id,
        function_id=message.function_id,
        method=message.method,
        kind=CallKind.REMOTE,
        ends=[len(payload)],
        sealed=True,
        parent=message.parent,
        trace=message.trace,
    )


def _is_finishing(pool: Pool, problem: Error) -> bool:
    """Tell whether a call, which runs already, is refused for no more than that its pool takes no new ones."""
    return pool.is_retired and not pool.app.closing and not isinstance(problem, InvalidError)


def _check_shape(message: DirectReport) -> None:
    count = len(message.call_ids)
    if len(message.ages) != count or len(message.took) != count:
        raise ProtocolError(f"{count} calls with {len(message.ages)} and {len(message.took)} times")
    if len(message.parents) not in (0, count) or len(message.methods) not in (0, count):
        raise ProtocolError(f"{count} calls with {len(message.parents)} parents and {len(message.methods)} methods")
    if any(position >= count for position, _ in message.failures):
        raise ProtocolError(f"a call that failed is none of the {count} that are reported")
    if count and max(max(message.ages), max(message.took)) == inf:
        raise ProtocolError("a call has run for ever")
