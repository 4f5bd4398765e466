"""One call as a fake client follows it: sends its inputs within the rules, and checks every answer.

This module must not know the engine; it sees only what a client sees.
"""

from __future__ import annotations

from collections.abc import Callable

from swell.items import pack
from swell.model import CallKind, OutputStatus
from swell.sim.clock import Clock
from swell.sim.work import CallPlan, input_bytes, item_bytes, result_bytes
from swell.wire import messages as m

__all__ = ["Following"]

WATCH = 4  #: number of the request


class Following:
    """One call as its client sees it."""

    def __init__(
        self,
        plan: CallPlan,
        function_id: str,
        clock: Clock,
        send: Callable[[m.Message, bytes], None],
        ended: Callable[[], None],
    ) -> None:
        self.plan = plan
        self.statuses: dict[int, OutputStatus] = {}
        self.finished_at: float | None = None
        self.opened_at = clock.now
        self.cancelled = False
        self.refusals = 0
        self._send = send
        self._ended = ended
        self._clock = clock
        self._function_id = function_id
        self._opened = False
        self._sealed = False
        self._sent = 0
        self._window = plan.window  #: shrinks to what a refusal left of it, and grows with every answer
        self._accepted = 0  #: of a spawned call
        self._recorded: set[int] = set()
        self._items: dict[int, int] = {}
        self._pausing = False
        self._watching = False

    @property
    def is_over(self) -> bool:
        """True when nothing more is expected."""
        return self.finished_at is not None

    # ------------------------------------------------------------ sending

    def pump(self) -> None:
        """Send what the window allows."""
        plan, total = self.plan, len(self.plan.works)
        if plan.cancels_after_s is not None and not self._opened:
            self._clock.after(plan.cancels_after_s, self.cancel)
        while not (self._sealed or self._pausing or self.cancelled or self.is_over):
            done = self._accepted if plan.kind is CallKind.SPAWN else len(self.statuses)
            room = self._window - (self._sent - done)
            count = min(plan.span_max, room, total - self._sent)
            if count <= 0 and self._opened:
                return
            items = pack([input_bytes(plan.call_id, index) for index in range(self._sent, self._sent + count)])
            blobs = [i for i in range(self._sent, self._sent + count) if plan.works[i].is_blob]
            first, self._sent = self._sent, self._sent + count
            self._sealed = self._sent == total
            if self._opened:
                self._send(m.PutInputs(plan.call_id, first, items.ends, self._sealed, blobs), items.payload)
            else:
                self._opened = True
                call_id, function_id, sealed = plan.call_id, self._function_id, self._sealed
                self._send(
                    m.OpenCall(
                        call_id=call_id,
                        function_id=function_id,
                        method=plan.method,
                        kind=plan.kind,
                        ends=items.ends,
                        sealed=sealed,
                        blobs=blobs,
                    ),
                    items.payload,
                )
                self._check_over()

    def cancel(self) -> None:
        """Cancel the call, unless it is over."""
        if not self.is_over and not self.cancelled:
            self.cancelled = True
            self._send(m.CancelCall(self.plan.call_id, self.plan.terminates), b"")
            # What is cancelled is answered at once, and a client that cancels waits for no answer.
            self._clock.after(1.0, self._finish)

    def _finish(self) -> None:
        if self.finished_at is None:
            self.finished_at = self._clock.now
            self._ended()

    # ------------------------------------------------------------ hearing

    def refused(self, message: m.Refused) -> None:
        """Go back to the first refused input, and offer it again later."""
        if message.first >= self._sent or self.cancelled:
            return  # an older word about what was already offered again
        self.refusals += 1
        if message.retry_after_s is None:
            self.cancelled = True
            self._finish()
            return
        done = self._accepted if self.plan.kind is CallKind.SPAWN else len(self.statuses)
        self._window = max(1, message.first - done)
        self._sent = message.first
        self._opened = self._opened and message.first > 0
        self._sealed = False
        self._pausing = True
        self._clock.after(message.retry_after_s, self._resume)

    def _resume(self) -> None:
        self._pausing = False
        self.pump()

    def accepted(self, message: m.Accepted) -> None:
        """Inputs of a spawned call are safe."""
        self._accepted = max(self._accepted, message.upto)
        if self.plan.watches and not self._watching:
            self._watching = True
            self._send(m.Watch(WATCH, self.plan.call_id, 0, len(self.plan.works)), b"")
        self.pump()
        self._check_over()

    def outputs(self, message: m.Outputs, payload: bytes) -> None:
        """Results arrived: each is checked to be the right one, and the only one."""
        self._window = min(self.plan.window, 2 * self._window)
        failures, pieces = dict(message.failures), message.items(payload).pieces()
        indexes = (index for first, count in message.parts for index in range(first, first + count))
        for item, (index, data) in enumerate(zip(indexes, pieces, strict=True)):
            self._output(index, OutputStatus(failures.get(item, 1)), data, item in message.blobs)
        self.pump()
        self._check_over()

    def _output(self, index: int, status: OutputStatus, data: bytes, is_blob: bool) -> None:
        name = f"{self.plan.call_id}/{index}"
        assert index not in self.statuses, f"{name}: two results reached the client"
        if status is OutputStatus.SUCCESS:
            assert data == result_bytes(self.plan.call_id, index), f"{name}: result {data!r}"
            assert is_blob is self.plan.works[index].is_blob, f"{name}: taken for a blob, or not for one"
        elif status is OutputStatus.GENERATOR_DONE:
            assert self._items.get(index, 0) == int(data), f"{name}: {self._items.get(index, 0)} of {int(data)} items"
        self.statuses[index] = status

    def items(self, message: m.Items, payload: bytes) -> int:
        """Values of a generator arrived; return how many there are by now."""
        for data in message.items(payload).pieces():
            number = self._items.get(message.index, 0)
            wanted = item_bytes(self.plan.call_id, message.index, number)
            assert data == wanted, f"item {data!r} instead of {wanted!r}"
            self._items[message.index] = number + 1
        return self._items[message.index]

    def _check_over(self) -> None:
        total = len(self.plan.works)
        if self.plan.kind is CallKind.SPAWN and not self.plan.watches:
            if self._accepted == total:
                self._finish()
        elif len(self.statuses) == total:
            self._finish()
