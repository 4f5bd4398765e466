"""One request over HTTP as a fake edge follows it: waits for its turn, has its slot, and says when it is over.

This module must not know the engine; it sees only what an edge sees.
"""

from __future__ import annotations

from collections.abc import Callable

from swell.model import CallKind, OutputStatus
from swell.sim.clock import Clock
from swell.sim.work import CallPlan, Mishap
from swell.wire import messages as m
from swell.wire.web import Leased, Release

__all__ = ["Request"]

CUT_OFF_S = 0.0005  #: how long an app takes to notice that its client has gone


class Request:
    """One request as its edge sees it.

    Args:
        plan: What it does, in its only input.
        function_id: Of the web function.
        clock: The time.
        send: Sends a message to the server.
        ended: Called when it is over.
        kill: Ends a container, by its id.
    """

    def __init__(
        self,
        *,
        plan: CallPlan,
        function_id: str,
        clock: Clock,
        send: Callable[[m.Message, bytes], None],
        ended: Callable[[], None],
        kill: Callable[[str], None],
    ) -> None:
        self.plan = plan
        self.status: OutputStatus | None = None
        self.opened_at = clock.now
        self.leased_at: float | None = None
        self.finished_at: float | None = None
        self.is_cancelled = False
        self._function_id = function_id
        self._clock = clock
        self._send = send
        self._ended = ended
        self._kill = kill
        self._work = plan.works[0]

    @property
    def is_over(self) -> bool:
        """True when nothing more is expected, and its slot is free or its container on its way out."""
        return self.finished_at is not None

    def pump(self) -> None:
        """Ask for its turn."""
        plan = self.plan
        parameters = plan.parameters
        opening = m.OpenCall(
            call_id=plan.call_id,
            function_id=self._function_id,
            method=plan.method,
            kind=CallKind.WEB,
            ends=[0],
            sealed=True,
            parameters=parameters,
        )
        self._send(opening, b"")
        if plan.cancels_after_s is not None:
            self._clock.after(plan.cancels_after_s, self._client_left)

    # ------------------------------------------------------------ hearing

    def leased(self, message: Leased) -> None:
        """It is its turn."""
        name = self.plan.call_id
        assert self.leased_at is None, f"{name} is told two containers"
        assert self.finished_at is None, f"{name} is over, and told a container"
        self.leased_at = self._clock.now
        match self._work.mishap(0):
            case None:
                self._clock.after(self._work.duration_s, lambda: self._release(OutputStatus.SUCCESS))
            case Mishap.FAIL:
                self._clock.after(self._work.duration_s, lambda: self._release(OutputStatus.FAILURE))
            case Mishap.KILL | Mishap.OUTGROW:
                self._clock.after(self._work.duration_s, lambda: self._kill(message.container_id))
            case Mishap.HANG:
                pass

    def outputs(self, message: m.Outputs) -> None:
        """The server ends it."""
        assert self.status is None, f"{self.plan.call_id}: two ends reached the edge"
        self.status = OutputStatus(dict(message.failures)[0])
        if self.leased_at is None or self._work.resists:
            self._finish()  # of what resists, the container has to go
        else:
            self._clock.after(CUT_OFF_S, lambda: self._release(OutputStatus.TERMINATED))

    def refused(self) -> None:
        """There is no room for it: its client is told to try again."""
        self._finish()

    def server_gone(self) -> None:
        """The server is gone, and so is its container."""
        self._finish()

    # ------------------------------------------------------------ its end

    def _client_left(self) -> None:
        if self.is_over:
            return
        self.is_cancelled = True
        if self.leased_at is None:
            self._send(m.CancelCall(self.plan.call_id), b"")
        elif not self._work.resists:
            self._clock.after(CUT_OFF_S, lambda: self._release(OutputStatus.TERMINATED))

    def _release(self, status: OutputStatus) -> None:
        if not self.is_over:
            self._send(Release(self.plan.call_id, int(status), self._work.duration_s), b"")
            if self.plan.repeats:
                self._send(Release(self.plan.call_id, int(status), self._work.duration_s), b"")
            self._finish()

    def _finish(self) -> None:
        if self.finished_at is None:
            self.finished_at = self._clock.now
            self._ended()
