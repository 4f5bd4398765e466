"""Settle what containers report: success ends an input, failure retries or ends it, an unfinished one is requeued.

How an input's result is decided exactly once
---------------------------------------------

A container gets inputs in *deliveries*. To it, an input is (delivery, position); to everybody else it is (call, index).
The two are tied for as long as the position is in the delivery's `open` set, and every race between a container, its
clients and the clock is settled by that set:

- A delivery's id is used once, and fences. What comes for a delivery that is gone, or for a position that is not open,
  was settled before, by whichever message came first. It is ignored, not an error: the container could not know.
- A position leaves `open` when its container has answered, has returned the input unstarted (`returned`), or is gone
  (`losses`). Whoever takes it out decides what becomes of the input, and nobody decides again.
- Cancellation and timeouts cannot wait for the container's answer, and its slot cannot be given away before that. So
  the two are separated: `revoke` ends the input at once and keeps the position open, in `revoked` too. It still fills
  its slot; its answer frees the slot and says nothing else.

      delivered ──▶ open ──▶ answered ──▶ its result, or another attempt (`attempts.retry`)
                     │  └──▶ returned, or its container lost ──▶ the front of the queue (`attempts.requeue`)
                     └─────▶ revoked (has ended; fills its slot) ──▶ answered: the slot is free

A call's counts follow: an input counts as running while its position is open and not revoked. So
`accepted = pending + running + done` holds between any two events, and `state.check` asserts it.

Attempts. A failure of user code counts against the retry policy; an input that a container returns unstarted, or that
was in a container lost through no fault of its own, has not been attempted. A container may also answer TERMINATED for
an input that nobody has cancelled, since it was stopped with the batch or the process that it shared: that counts as
a crash, and the input ends with the last of `poison_crashes_max`.

The common case comes first: a message that reports successes alone, all of positions that are open, of one call. It is
settled in runs of consecutive inputs, at the cost of a few sets and one message, however many they are
(`_all_succeeded`). Anything else is settled input by input (`_one_by_one`), with the same outcome.

Order. All effects of one message are emitted before the next is looked at; results are published before they are
counted (`ResultPublisher.done`), since counting the last one ends the call, and that must be the last word of it.

This module must not know how inputs are placed or containers scaled.
"""

from __future__ import annotations

from collections.abc import Sequence

from swell.engine.rules.attempts import Attempts
from swell.engine.rules.deliveries import outcome_in
from swell.engine.rules.results import Outcome, ResultPublisher, SucceededRun
from swell.engine.state.call import Call
from swell.engine.state.container import Container, Delivery
from swell.engine.state.engine_state import EngineState
from swell.engine.state.span import Segment
from swell.engine.state.timers import Timer
from swell.model import DeliveryMode, OutputStatus
from swell.wire.leases import CancelDirect
from swell.wire.messages import Cancel, Completed, Items, ItemsTaken, Outputs, Returned, TakeItems, Yielded

__all__ = ["Completion", "ProtocolError"]

SUCCESS, TERMINATED = OutputStatus.SUCCESS, OutputStatus.TERMINATED
SERIAL, BATCH = DeliveryMode.SERIAL, DeliveryMode.BATCH
#: What the server sends no container: who answers is the edge's, or the client's, to know.
LEASE, DIRECT = DeliveryMode.LEASE, DeliveryMode.DIRECT
ELSEWHERE = (LEASE, DIRECT)
STATUSES = frozenset(int(status) for status in OutputStatus)


class ProtocolError(Exception):
    """A container has sent what no correct one sends: it is killed."""


class Completion:
    """Takes in what containers report of their inputs."""

    def __init__(self, state: EngineState, results: ResultPublisher, attempts: Attempts) -> None:
        self._state = state
        self._results = results
        self._attempts = attempts

    # ------------------------------------------------------------ what containers report

    def completed(self, container: Container, message: Completed, payload: bytes, now: float) -> None:
        """Settle the inputs whose results a container reports."""
        pool = container.pool
        self._state.mark_dirty(pool)
        _check_shape(message, payload)
        self._learn(container, message, now)
        runs = None if message.failures else _runs(container, message)
        if runs:
            self._all_succeeded(container, runs, message, payload, now)
        else:
            self._one_by_one(container, message, payload, now)

    def _all_succeeded(
        self,
        container: Container,
        runs: list[tuple[Call, SucceededRun]],
        message: Completed,
        payload: bytes,
        now: float,
    ) -> None:
        """End inputs of one call that have all succeeded, at a cost per run of them."""
        call = runs[0][0]
        call.add_running(-len(message.ends))
        for delivery_id, position, count in message.parts:
            delivery = container.deliveries[delivery_id]
            delivery.close_run(position, count)
            delivery.container.close(delivery, now)
        outputs = Outputs(call.id, [(run.first, run.count) for _, run in runs], message.ends, [], message.blobs)
        self._results.succeeded(call, [run for _, run in runs], outputs, payload, container_id=container.id, now=now)

    def _one_by_one(self, container: Container, message: Completed, payload: bytes, now: float) -> None:
        """Settle inputs one by one. Positions that are not open were answered before, or were never there: ignored."""
        failures = dict(message.failures)
        items, blobs = message.items(payload), set(message.blobs)
        by_call: dict[str, tuple[Call, list[tuple[Segment, Outcome]]]] = {}
        held = [container.deliveries.get(delivery_id) for delivery_id, _, _ in message.parts]
        if any(delivery is not None and delivery.mode in ELSEWHERE for delivery in held):
            raise ProtocolError("it answers an input that it was not delivered")
        item = 0
        for delivery_id, first, count in message.parts:
            delivery = container.deliveries.get(delivery_id)  # an earlier part may have ended it
            answered: list[int] = []
            unasked: list[int] = []
            for position in range(first, first + count):
                status = OutputStatus(failures.get(item, SUCCESS))
                if delivery is not None and position in delivery.open:
                    if position in delivery.revoked:
                        answered.append(position)
                    elif status is TERMINATED and self.counts_as_lost(delivery, position):
                        unasked.append(position)
                    else:
                        answered.append(position)
                        call, segment, index = delivery.locate(position)
                        call.add_running(-1)
                        if not self._attempts.retry(call, segment, index, status, now):
                            ended = outcome_in(delivery, index, status, items.at(item), has_blob=item in blobs)
                            by_call.setdefault(call.id, (call, []))[1].append((segment, ended))
                item += 1
            if delivery is not None:
                delivery.close(answered)
                self._attempts.requeue(delivery, unasked, now)
        for call, outcomes in by_call.values():
            self._results.publish(call, [outcome for _, outcome in outcomes], now)
            for segment, outcome in outcomes:
                self._results.done(call, segment, (outcome.index,), now)

    def counts_as_lost(self, delivery: Delivery, position: int) -> bool:
        """Judge an input that was stopped though nobody asked for it: as part of a batch, or with its container.

        It runs again as if its container had died, and as often; True if it does.
        """
        call, _, index = delivery.locate(position)
        crashes = call.count_crash(index)
        if crashes >= self._state.settings.poison_crashes_max:
            return False
        self._attempts.record(call, index, 0.0)
        return True

    def yielded(self, container: Container, message: Yielded, payload: bytes) -> None:
        """Pass on the values of a generator that its consumer does not have from an earlier attempt."""
        if not message.ends or message.ends[-1] > len(payload) or message.ends != sorted(message.ends):
            raise ProtocolError(f"{len(message.ends)} values do not fit a payload of {len(payload)} bytes")
        delivery = container.deliveries.get(message.delivery)
        if delivery is None or message.position not in delivery.open or message.position in delivery.revoked:
            return
        call, _, index = delivery.locate(message.position)
        stream = call.stream_of(index)
        known = stream.extend(delivery, message.position, len(message.ends))
        if known == len(message.ends):
            # Its consumer has taken these already and will not say so again.
            self._state.send_to_container(container, ItemsTaken(delivery.id, message.position, stream.produced))
            return
        values = message.items(payload).slice(known, len(message.ends) - known)
        self._state.send_to_client(call.client, Items(call.id, index, values.ends), values.payload)

    def items_taken(self, message: TakeItems) -> None:
        """Tell a generator's container how many of its values the consumer has taken."""
        call = self._state.calls.get(message.call_id)
        stream = call.streams.get(message.index) if call is not None else None
        if stream is not None and stream.delivery is not None and stream.position in stream.delivery.open:
            taken = ItemsTaken(stream.delivery.id, stream.position, message.count)
            self._state.send_to_container(stream.delivery.container, taken)

    def returned(self, container: Container, message: Returned, now: float) -> None:
        """Requeue inputs that a container returns unstarted: no attempt is counted."""
        was_stalled = container.stalled
        container.end_reclaim()
        delivery = container.deliveries.get(message.delivery)
        if delivery is not None and delivery.mode not in ELSEWHERE:
            back = {position for position in delivery.open if position >= message.position}
            ended = back & delivery.revoked  # cancelled while the container was giving them back
            delivery.close(ended)
            self._attempts.requeue(delivery, back - ended, now)
        if was_stalled and not container.is_held:
            container.stall()  # to have returned all is no progress
        self._state.mark_dirty(container.pool)

    # ------------------------------------------------------------ what the engine decides

    def revoke(self, delivery: Delivery, positions: Sequence[int], *, now: float) -> None:
        """Take running inputs away from their container, which is told to stop them and has a grace for it."""
        state, container = self._state, delivery.container
        for position in positions:
            call, _, _ = delivery.locate(position)
            call.add_running(-1)
        delivery.revoke(positions)
        if delivery.mode is DIRECT:
            state.send_to_container(container, CancelDirect(delivery.parts[0].call.id))
        elif delivery.mode is not LEASE:  # else the edge stops them, when it is told of their end
            state.send_to_container(container, Cancel(delivery.id, list(positions)))
        container.must_yield(now + state.settings.cancel_grace_s)
        container.pool.timers.watch(Timer.RESIST, container.id, container.resist_until)

    # ------------------------------------------------------------ inside

    def _learn(self, container: Container, message: Completed, now: float) -> None:
        pool = container.pool
        delivery = container.deliveries.get(message.parts[0][0]) if message.parts else None
        if delivery is None:
            return
        if delivery.mode is SERIAL:
            container.note_progress(delivery, now)
        if not message.busy_s:
            return  # nothing was executed: cancelled before it began
        count = 1 if delivery.mode is BATCH else max(1, len(message.ends))
        each_s = message.busy_s / count
        pool.estimates.learn_service(each_s, count)
        pool.measures.run.add(each_s, count)


def _check_shape(message: Completed, payload: bytes) -> None:
    ends, counted = message.ends, sum(part[2] for part in message.parts)
    if len(ends) != counted or not ends or ends[-1] > len(payload) or min(part[2] for part in message.parts) < 1:
        raise ProtocolError(f"{counted} results with {len(ends)} offsets do not fit a payload of {len(payload)} bytes")
    if ends != sorted(ends):
        raise ProtocolError(f"the ends of {len(ends)} results are not in order")
    if message.blobs and not 0 <= min(message.blobs) <= max(message.blobs) < counted:
        raise ProtocolError(f"a blob is named at {max(message.blobs)}, and there are {counted} results")
    if not 0 <= message.busy_s < float("inf"):
        raise ProtocolError(f"busy_s must be finite and at least 0, got {message.busy_s}")
    for _, code in message.failures:
        if code not in STATUSES:
            raise ProtocolError(f"unknown output status {code}")


def _runs(container: Container, message: Completed) -> list[tuple[Call, SucceededRun]] | None:
    """Return in runs what a container has done; None if a position was not open, or inputs are of several calls."""
    runs: list[tuple[Call, SucceededRun]] = []
    upto: dict[int, int] = {}  # by delivery: nothing is to be counted twice
    for delivery_id, position, count in message.parts:
        delivery = container.deliveries.get(delivery_id)
        if delivery is None or delivery.revoked or delivery.mode in ELSEWHERE or position < upto.get(delivery_id, 0):
            return None
        upto[delivery_id] = position + count
        if not delivery.open.issuperset(range(position, position + count)):
            return None
        for part, first, many in delivery.runs(position, count):
            if runs and part.call is not runs[0][0]:
                return None
            runs.append((part.call, SucceededRun(part.segment, first, many, delivery.at)))
    return runs
