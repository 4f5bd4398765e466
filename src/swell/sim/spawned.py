"""One spawned call of a client whose server may be killed: what was accepted gets one result, whatever happens.

Sends its inputs within the rules, again where it is unknown whether they arrived, and checks every answer. This
module must not know the engine; it sees only what a client sees.
"""

from __future__ import annotations

from collections.abc import Callable

from swell.items import pack
from swell.model import CallKind, OutputStatus
from swell.sim.clock import Clock
from swell.sim.work import CallPlan, input_bytes, result_bytes
from swell.wire import messages as m

__all__ = ["SpawnedCall"]

WATCH = 4  #: number of the request
CANCEL_PATIENCE_S = 1.0

Say = Callable[[m.Message, bytes], None]


class SpawnedCall:
    """A call as its client knows it, over all its connections."""

    def __init__(self, plan: CallPlan, function_id: str, clock: Clock) -> None:
        assert plan.kind is CallKind.SPAWN
        self.plan = plan
        self.told: dict[int, tuple[OutputStatus, bytes]] = {}
        self.accepted = 0  #: inputs that the server said it has
        self.cancelled = False
        self._function_id = function_id
        self._clock = clock
        self._send: Say | None = None
        self._sent = 0
        self._window = plan.window
        self._opened = False
        self._was_opened = False  #: once; the server may have received that
        self._resent = False  #: the server may have had it from a former connection, and refused some of it there
        self._given_up = False  #: it lost its connection in the middle: it sends no more
        self._refused = False
        self._watching = False
        self._pausing = False
        self._cancel_is_over = False
        if plan.cancels_after_s is not None:
            clock.after(plan.cancels_after_s, self._cancel)

    @property
    def is_over(self) -> bool:
        """True when its client expects nothing more."""
        if self._refused or self._cancel_is_over:
            return True
        if self.accepted < len(self.plan.works) and not self._given_up:
            return False
        return not self.plan.watches or len(self.told) >= self.accepted

    # ------------------------------------------------------------ connections

    def connected(self, send: Say) -> None:
        """There is a connection: go on."""
        self._send = send
        self._pausing = self._watching = False
        if self.cancelled:
            send(m.CancelCall(self.plan.call_id, self.plan.terminates), b"")
        if self._was_opened and not self.accepted and self._is_one_message and not self._given_up:
            self._sent, self._opened = 0, False  # it is unknown whether they arrived
        self._pump()
        self._watch()

    def disconnected(self) -> None:
        """The server is gone. A call that was being fed is not fed any more."""
        self._send = None
        if (
            self._was_opened
            and self.accepted < len(self.plan.works)
            and not (self._is_one_message and not self.accepted)
        ):
            self._given_up = True

    @property
    def _is_one_message(self) -> bool:
        return len(self.plan.works) <= min(self.plan.span_max, self.plan.window)

    # ------------------------------------------------------------ sending

    def _pump(self) -> None:
        plan, total = self.plan, len(self.plan.works)
        while self._send is not None and not (self._pausing or self.cancelled or self._given_up or self._refused):
            if self._opened and self._sent == total:
                return
            count = min(plan.span_max, self._window - (self._sent - self.accepted), total - self._sent)
            if count <= 0 and (self._opened or total):
                return
            self._send_inputs(self._sent, count)

    def _send_inputs(self, first: int, count: int) -> None:
        assert self._send is not None
        plan = self.plan
        items = pack([input_bytes(plan.call_id, index) for index in range(first, first + count)])
        blobs = [index for index in range(first, first + count) if plan.works[index].is_blob]
        self._sent = first + count
        sealed = self._sent == len(plan.works)
        if self._opened:
            self._send(m.PutInputs(plan.call_id, first, items.ends, sealed, blobs), items.payload)
            return
        resent, self._opened, self._was_opened = self._was_opened, True, True
        self._resent = resent
        opening = m.OpenCall(
            call_id=plan.call_id,
            function_id=self._function_id,
            method=plan.method,
            kind=plan.kind,
            ends=items.ends,
            sealed=sealed,
            blobs=blobs,
            resent=resent,
        )
        self._send(opening, items.payload)

    def _cancel(self) -> None:
        if self.is_over or self.cancelled:
            return
        self.cancelled = True
        if self._send is not None:
            self._send(m.CancelCall(self.plan.call_id, self.plan.terminates), b"")

        def over() -> None:
            self._cancel_is_over = True

        self._clock.after(CANCEL_PATIENCE_S, over)

    def _watch(self) -> None:
        if self.plan.watches and self.accepted and self._send is not None and not self._watching:
            self._watching = True
            last = self.accepted if self._given_up else len(self.plan.works)
            self._send(m.Watch(WATCH, self.plan.call_id, 0, last), b"")

    # ------------------------------------------------------------ hearing

    def heard_accepted(self, message: m.Accepted) -> None:
        """The server has inputs, and will not lose them."""
        self.accepted = max(self.accepted, message.upto)
        if self._resent and self.accepted < self._sent:
            self._given_up = True  # the others were refused, of which the former server's end kept it from hearing
        self._watch()
        self._pump()

    def heard_refused(self, message: m.Refused) -> None:
        """Go back to the first refused input, and offer it again later."""
        if message.first >= self._sent or self.cancelled or self._given_up:
            return
        if message.retry_after_s is None:
            self._refused = True
            return
        self._window = max(1, message.first - self.accepted)
        self._sent = message.first
        self._opened = self._opened and message.first > 0
        self._pausing = True
        self._clock.after(message.retry_after_s, self._resume)

    def _resume(self) -> None:
        self._pausing = False
        self._pump()

    def heard_outputs(self, message: m.Outputs, payload: bytes) -> None:
        """Results arrived; one that was told before is told as it was."""
        self._window = min(self.plan.window, 2 * self._window)
        failures, pieces = dict(message.failures), message.items(payload).pieces()
        indexes = (index for first, count in message.parts for index in range(first, first + count))
        for item, (index, data) in enumerate(zip(indexes, pieces, strict=True)):
            self._check(index, OutputStatus(failures.get(item, 1)), data)

    def _check(self, index: int, status: OutputStatus, data: bytes) -> None:
        name, known = f"{self.plan.call_id}/{index}", self.told.get(index)
        assert known is None or known == (status, data), f"{name}: told {known}, and then {(status, data)}"
        if status is OutputStatus.SUCCESS:
            assert data == result_bytes(self.plan.call_id, index), f"{name}: result {data!r}"
        self.told[index] = (status, data)
