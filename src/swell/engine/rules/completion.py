"""What becomes of inputs in containers: results are ends, failures go round again or are ends, lost ones back in line.

An input leaves a container in exactly one of these ways, and a result is decided exactly once: when its position leaves
the delivery's open set, or is marked revoked in it. This module must not know how inputs are placed or containers
scaled.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from swell.engine.rules.results import Outcome, ResultPublisher, SucceededRun
from swell.engine.state.call import Call
from swell.engine.state.container import Container, Delivery, Lease
from swell.engine.state.engine_state import EngineState
from swell.engine.state.history import EventKind
from swell.engine.state.span import Segment, Span
from swell.engine.state.timers import Timer
from swell.model import CallKind, DeliveryMode, MemoryExcess, OutputStatus, Resources
from swell.policy.retry import retry_delay
from swell.records import AttemptRecord
from swell.wire.messages import Cancel, Completed, Items, ItemsTaken, Outputs, Returned, TakeItems, Yielded

__all__ = ["Completion", "ProtocolError", "outcome_in"]

SUCCESS, FAILURE, TIMEOUT = OutputStatus.SUCCESS, OutputStatus.FAILURE, OutputStatus.TIMEOUT
TERMINATED, OUT_OF_MEMORY = OutputStatus.TERMINATED, OutputStatus.OUT_OF_MEMORY
INTERNAL_FAILURE = OutputStatus.INTERNAL_FAILURE
SERIAL, BATCH, LEASE = DeliveryMode.SERIAL, DeliveryMode.BATCH, DeliveryMode.LEASE
STATUSES = frozenset(int(status) for status in OutputStatus)
#: Parallel inputs share a container with many; only after so many crashes is one made to run alone.
ALONE_AFTER = 3


class ProtocolError(Exception):
    """A container said something that cannot be: it must be closed."""


class Completion:
    """Ends inputs, or sends them round again."""

    def __init__(self, state: EngineState, results: ResultPublisher) -> None:
        self._state = state
        self._results = results

    # ------------------------------------------------------------ what containers report

    def completed(self, container: Container, message: Completed, payload: bytes, now: float) -> None:
        """A container reports results."""
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
        """The common case, at the cost of few spans: inputs of one call, all succeeded, none needs a second look."""
        call = runs[0][0]
        call.add_running(-len(message.ends))
        for delivery_id, position, count in message.parts:
            delivery = container.deliveries[delivery_id]
            delivery.close_run(position, count)
            self._close_if_empty(delivery, now)
        outputs = Outputs(call.id, [(run.first, run.count) for _, run in runs], message.ends, [], message.blobs)
        self._results.succeeded(call, [run for _, run in runs], outputs, payload, container.id, now)

    def _one_by_one(self, container: Container, message: Completed, payload: bytes, now: float) -> None:
        """The general case. Positions that are not open have been answered before, or were never there: ignored."""
        failures = dict(message.failures)
        blobs = set(message.blobs)
        by_call: dict[str, tuple[Call, list[tuple[Segment, Outcome]]]] = {}
        held = [container.deliveries.get(delivery_id) for delivery_id, _, _ in message.parts]
        if any(delivery is not None and delivery.mode is LEASE for delivery in held):
            raise ProtocolError("it answers a request that it was not delivered")
        item = start = 0
        for delivery_id, first, count in message.parts:
            delivery = container.deliveries.get(delivery_id)  # an earlier part may have ended it
            answered: list[int] = []
            unasked: list[int] = []
            for position in range(first, first + count):
                end = message.ends[item]
                status = OutputStatus(failures.get(item, SUCCESS))
                if delivery is not None and position in delivery.open:
                    if position in delivery.revoked:
                        answered.append(position)
                    elif status is TERMINATED and self._counts_as_lost(delivery, position):
                        unasked.append(position)
                    else:
                        answered.append(position)
                        call, segment, index = delivery.locate(position)
                        call.add_running(-1)
                        if not self._retried(call, segment, index, status, now):
                            ended = outcome_in(delivery, index, status, payload[start:end], has_blob=item in blobs)
                            by_call.setdefault(call.id, (call, []))[1].append((segment, ended))
                item, start = item + 1, end
            if delivery is not None:
                delivery.close(answered)
                self.requeue(delivery, unasked, now)
        for call, outcomes in by_call.values():
            self._results.publish(call, [outcome for _, outcome in outcomes], now)
            for segment, outcome in outcomes:
                self._results.done(call, segment, (outcome.index,), now)

    def _counts_as_lost(self, delivery: Delivery, position: int) -> bool:
        """Judge an input that was stopped though nobody asked for it: as part of a batch, or with its container.

        It goes round again as if its container had died, and as often; True if so.
        """
        call, _, index = delivery.locate(position)
        crashes = call.count_crash(index)
        if crashes >= self._state.settings.poison_crashes_max:
            return False
        self._record_attempt(call, index, 0.0)
        return True

    def yielded(self, container: Container, message: Yielded, payload: bytes) -> None:
        """A generator produced values: pass on those that its consumer does not have from an earlier attempt."""
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
        ends = message.ends
        if known:
            base = ends[known - 1]
            ends, payload = [end - base for end in ends[known:]], payload[base:]
        self._state.send_to_client(call.client, Items(call.id, index, ends), payload)

    def items_taken(self, message: TakeItems) -> None:
        """Pass on how far the consumer of a generator has come."""
        call = self._state.calls.get(message.call_id)
        stream = call.streams.get(message.index) if call is not None else None
        if stream is not None and stream.delivery is not None and stream.position in stream.delivery.open:
            taken = ItemsTaken(stream.delivery.id, stream.position, message.count)
            self._state.send_to_container(stream.delivery.container, taken)

    def returned(self, container: Container, message: Returned, now: float) -> None:
        """A container returns inputs that it never started: no attempt is counted."""
        container.end_reclaim()
        delivery = container.deliveries.get(message.delivery)
        if delivery is not None and delivery.mode is not LEASE:
            back = {position for position in delivery.open if position >= message.position}
            ended = back & delivery.revoked  # cancelled while the container was giving them back
            delivery.close(ended)
            self.requeue(delivery, back - ended, now)
        self._state.mark_dirty(container.pool)

    # ------------------------------------------------------------ what the edge reports

    def released(self, call_id: str, lease: Lease, status: OutputStatus, busy_s: float, now: float) -> None:
        """A request is over. How it ended is told to nobody: the edge knows."""
        delivery, position, _ = lease
        if position not in delivery.revoked:
            call, segment, index = delivery.locate(position)
            call.add_running(-1)
            self._results.end_silently(call, segment, outcome_in(delivery, index, status, b""), now)
            pool = delivery.container.pool
            if 0 < busy_s <= now - delivery.at:
                pool.estimates.learn_service(busy_s, 1)
                pool.measures.run.add(busy_s)
        self.freed(call_id, lease, now)

    def freed(self, call_id: str, lease: Lease, now: float) -> None:
        """The slot of a request is free; what there was to say of its end has been said."""
        delivery, position, _ = lease
        self._state.remove_lease(call_id)
        delivery.close((position,))
        self._close_if_empty(delivery, now)
        self._state.mark_dirty(delivery.container.pool)

    # ------------------------------------------------------------ what the engine decides

    def revoke(self, delivery: Delivery, positions: Sequence[int], *, now: float) -> None:
        """Take running inputs away from their container, which is told to stop them and may take its time."""
        state, container = self._state, delivery.container
        for position in positions:
            call, _, _ = delivery.locate(position)
            call.add_running(-1)
        delivery.revoke(positions)
        if delivery.mode is not LEASE:  # else it is the edge that stops them, when it hears of their end
            state.send_to_container(container, Cancel(delivery.id, list(positions)))
        container.must_yield(now + state.settings.cancel_grace_s)
        container.pool.timers.arm(Timer.RESIST, container.resist_until)

    def fail_attempt(self, delivery: Delivery, position: int, status: OutputStatus, text: str, now: float) -> None:
        """One attempt of a running input ended badly by the engine's own judgement: retry it or tell the caller."""
        call, segment, index = delivery.locate(position)
        if not self._retried(call, segment, index, status, now):
            ended = outcome_in(delivery, index, status, text.encode())
            self._results.end(call, segment, [ended], now)

    def lost(self, container: Container, reason: str, now: float, excess: MemoryExcess | None = None) -> None:
        """A container is gone: what it had started is re-run or blamed, what it had not started is just requeued.

        Args:
            container: which.
            reason: why, in words.
            now: the time.
            excess: what it was killed for, if that was the memory it used.
        """
        limit = self._state.settings.poison_crashes_max
        held = list(container.deliveries.values())
        was_alone = container.holds == 1
        for delivery in reversed(held):
            if delivery.mode is LEASE:
                self._broken_off(delivery, reason, now, INTERNAL_FAILURE if excess is None else OUT_OF_MEMORY)
                continue
            is_head = delivery is held[0]
            if excess is not None:
                self._outgrown(delivery, excess, now, was_alone=was_alone, is_head=is_head, lost=reason)
                continue
            positions = sorted(delivery.open - delivery.revoked)
            blamed = [] if container.crash_expected else self._suspects(delivery, positions, is_head=is_head)
            for position in blamed:
                call, segment, index = delivery.locate(position)
                crashes = call.count_crash(index)
                # Only an input that was alone when its container died is known to have done it.
                if crashes >= limit and was_alone:
                    positions.remove(position)
                    call.add_running(-1)
                    text = (
                        f"input {index} was running in {crashes} containers when they died (the last: {reason}); it is "
                        f"not tried again (poison_crashes_max = {limit})"
                    )
                    ended = outcome_in(delivery, index, INTERNAL_FAILURE, text.encode())
                    self._results.end(call, segment, [ended], now)
                else:
                    self._record_attempt(call, index, 0.0)
            suspicious = bool(blamed) or (is_head and not container.crash_expected)
            self.requeue(delivery, positions, now, suspected=suspicious, lost=reason)
        container.drop_deliveries()

    def _outgrown(
        self, delivery: Delivery, excess: MemoryExcess, now: float, *, was_alone: bool, is_head: bool, lost: str
    ) -> None:
        """Judge inputs whose container used more memory than it may.

        Running one again would use as much again, so an input that had the container alone has failed, as if it had
        raised. Of several, nobody knows how much each used, or whether all of them would fit one by one: each runs
        again by itself at no cost, after which there is one suspect. Of a serial queue only the head has begun.
        """
        positions = sorted(delivery.open - delivery.revoked)
        if was_alone and positions:
            [position] = positions
            call, _, index = delivery.locate(position)
            call.add_running(-1)
            delivery.close((position,))
            call.history.note(now, EventKind.OUTGREW, index, 1, delivery.container.id, str(excess))
            text = _describe_excess(excess, delivery.container.spec.resources)
            self.fail_attempt(delivery, position, OUT_OF_MEMORY, f"input {index}: {text}", now)
            positions = []
        may_be_guilty = is_head or delivery.mode is not SERIAL
        self.requeue(delivery, positions, now, suspected=may_be_guilty, lost=lost, alone_after=0)

    def _broken_off(self, delivery: Delivery, reason: str, now: float, status: OutputStatus) -> None:
        """Requests have lost their container: they fail, since nobody knows what they have done there."""
        for position in sorted(delivery.open):
            call, segment, index = delivery.locate(position)
            self._state.remove_lease(call.id)
            if position not in delivery.revoked:
                call.add_running(-1)
                text = f"its container is gone: {reason}; a request is not run twice"
                ended = outcome_in(delivery, index, status, text.encode())
                self._results.end(call, segment, [ended], now)
        delivery.close(list(delivery.open))

    @staticmethod
    def _suspects(delivery: Delivery, positions: list[int], *, is_head: bool) -> list[int]:
        """Return the running inputs that may have killed the container.

        Of a serial queue only the first delivery has started, and within a longer one nobody knows how far it came: its
        inputs are re-run alone, so that the next crash has one suspect. Parallel inputs and batches are all suspects.
        """
        if delivery.mode is SERIAL:
            return list(positions) if is_head and len(positions) == 1 else []
        return list(positions)

    def requeue(
        self,
        delivery: Delivery,
        positions: Iterable[int],
        now: float,
        *,
        suspected: bool = False,
        lost: str = "",
        alone_after: int = ALONE_AFTER,
    ) -> None:
        """Put inputs of a delivery back in front of their calls' queues, in order; it costs them no attempt.

        Args:
            delivery: which has them.
            positions: which of them.
            now: the time.
            suspected: one of them may have killed its container.
            lost: what became of the container, if it is gone; otherwise it has given them back.
            alone_after: crashes after which a suspect of several that ran at once has to run alone.
        """
        back = sorted(positions)
        delivery.close(back)
        runs: list[tuple[Call, Segment, int, int, bool]] = []  # with first, last, alone
        alone_after = min(alone_after, self._state.settings.poison_crashes_max)
        for position in back:
            call, segment, index = delivery.locate(position)
            call.add_running(-1)
            call.add_pending(1)
            alone = suspected and (delivery.mode is SERIAL or call.crashes.get(index, 0) >= alone_after)
            last = runs[-1] if runs else None
            if last is not None and last[1] is segment and last[3] == index and not (alone or last[4]):
                runs[-1] = (call, segment, last[2], index + 1, False)
            else:
                runs.append((call, segment, index, index + 1, alone))
        what = EventKind.LOST if lost else EventKind.RECLAIMED
        for call, segment, first, upto, alone in runs:
            span = Span(call, segment, first, upto, queued_at=now, alone=alone)
            span.call.pool.backlog.put_back(span)
            if lost:
                span.call.pool.measures.lost += len(span)
            span.call.history.note(now, what, span.first, len(span), delivery.container.id, lost)
        self._close_if_empty(delivery, now)

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

    def _retried(self, call: Call, segment: Segment, index: int, status: OutputStatus, now: float) -> bool:
        """Send a failed input round again if its policy allows; True if so."""
        app = call.pool.app
        if status not in (FAILURE, TIMEOUT, OUT_OF_MEMORY) or call.cancelled or (app.closing and not app.suspended):
            return False
        if call.kind is CallKind.WEB:
            return False
        failures = call.count_failure(index)
        delay = retry_delay(call.pool.spec.retry, failures, self._state.settings.retry_delay_min_s)
        if delay is None:
            call.forget_failures(index)
            return False
        span = Span(call, segment, index, index + 1, queued_at=now)
        call.add_pending(1)
        call.pool.backlog.delay(span, now + delay)
        call.pool.timers.arm(Timer.RETRY, now + delay)
        call.history.note(now, EventKind.RETRIED, index, 1, "", now + delay)
        call.pool.measures.retried += 1
        self._record_attempt(call, index, now + delay)
        return True

    def _record_attempt(self, call: Call, index: int, not_before: float) -> None:
        """Write down what is behind an input of a spawned call that goes round again."""
        if call.kind.is_async:
            failures, crashes = call.failures.get(index, 0), call.crashes.get(index, 0)
            self._state.persist(AttemptRecord(call.id, index, failures, crashes, not_before))

    def _close_if_empty(self, delivery: Delivery, now: float) -> None:
        container = delivery.container
        if not delivery.open and container.close(delivery, now):
            container.pool.fleet.mark_idle(container)
            for pool in self._state.blocked.values():
                if not pool.fleet.live:
                    self._state.mark_dirty(pool)  # what is idle now may make room for it


def _check_shape(message: Completed, payload: bytes) -> None:
    ends, counted = message.ends, sum(part[2] for part in message.parts)
    if len(ends) != counted or not ends or ends[-1] > len(payload) or min(part[2] for part in message.parts) < 1:
        raise ProtocolError(f"{counted} results with {len(ends)} offsets do not fit a payload of {len(payload)} bytes")
    if ends != sorted(ends):
        raise ProtocolError(f"the ends of {len(ends)} results are not in order")
    if message.blobs and not 0 <= min(message.blobs) <= max(message.blobs) < counted:
        raise ProtocolError(f"a blob is named at {max(message.blobs)}, and there are {counted} results")
    if not 0 <= message.busy_s < float("inf"):
        raise ProtocolError(f"{message.busy_s} is no time that inputs can take")
    for _, code in message.failures:
        if code not in STATUSES:
            raise ProtocolError(f"{code} is no status of an output")


def _describe_excess(excess: MemoryExcess, resources: Resources) -> str:
    request, limit = resources.memory_bytes >> 20, excess.limit_bytes >> 20
    return (
        f"its container {excess}. It asked for memory=({request}, {limit}), which is (request, limit): "
        "raise the limit, or use less"
    )


def outcome_in(
    delivery: Delivery, index: int, status: OutputStatus, payload: bytes, *, has_blob: bool = False
) -> Outcome:
    """Return how an input has ended that a container had."""
    return Outcome(index, status, payload, has_blob, delivery.at, delivery.container.id)


def _runs(container: Container, message: Completed) -> list[tuple[Call, SucceededRun]] | None:
    """Return in runs what a container has done; None if some of that was not open, or it is of more than one call."""
    runs: list[tuple[Call, SucceededRun]] = []
    upto: dict[int, int] = {}  # by delivery: nothing is to be counted twice
    for delivery_id, position, count in message.parts:
        delivery = container.deliveries.get(delivery_id)
        if delivery is None or delivery.revoked or delivery.mode is LEASE or position < upto.get(delivery_id, 0):
            return None
        upto[delivery_id] = position + count
        if not delivery.open.issuperset(range(position, position + count)):
            return None
        for part, first, many in delivery.runs(position, count):
            if runs and part.call is not runs[0][0]:
                return None
            runs.append((part.call, SucceededRun(part.segment, first, many, delivery.at)))
    return runs
