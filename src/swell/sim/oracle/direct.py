"""Direct calls, as the oracle sees them: what containers do with them past the engine, and what they may be told of it.

While a call is only where its client has sent it, the engine may not know it, and nobody can say what it should do. So
what is checked here is what must hold in any case: one call at a time in a container, no second direct run, and no end
that nothing explains. Once it is delivered like any other input, the ledger has it, with all that happened
before. This module must not know the engine's state.
"""

from __future__ import annotations

from swell.config import Settings
from swell.model import FunctionSpec, MemoryExcess, OutputStatus
from swell.policy.retry import retry_delay
from swell.wire.leases import REPORT_EVERY_S

__all__ = ["DirectBook", "DirectCall"]


DOOR_S = 0.015  #: how long a container may take to read what a client sends first


class DirectCall:
    """What is known of one call that was sent directly at least once."""

    __slots__ = (
        "began_at",
        "crashes",
        "ended_at",
        "failures",
        "is_lost",
        "not_before",
        "runs",
        "sent_to",
        "spec",
        "steps",
    )

    def __init__(self) -> None:
        self.spec: FunctionSpec | None = None
        self.sent_to = ""  #: the container that its client has sent it to, as the engine was told
        self.is_lost = False  #: its client gets no answer from there
        self.began_at: float | None = None
        self.runs = 0  #: times that it has begun, directly
        self.failures = 0  #: attempts that failed
        self.crashes = 0  #: containers lost while it ran directly
        self.steps = 0  #: mishaps behind it
        self.ended_at: float | None = None  #: when a container had run it to its end
        self.not_before = 0.0  #: when it may run again, after an attempt that failed


class DirectBook:
    """All calls that were sent directly."""

    def __init__(self, settings: Settings) -> None:
        self.calls: dict[str, DirectCall] = {}
        self.answers = 0  #: direct calls that have ended in their containers
        self._settings = settings
        self._running: dict[str, str] = {}  # by container
        self._leases: dict[str, str] = {}  # their containers
        self._gone: dict[str, bool] = {}  # containers -> were they killed for memory?

    def steps(self, call_id: str) -> int:
        """Return the mishaps that are behind a call."""
        call = self.calls.get(call_id)
        return 0 if call is None else call.steps

    # ------------------------------------------------------------ what containers do

    def began(self, container_id: str, spec: FunctionSpec, call_id: str, at: float) -> None:
        """A container begins to execute a call that a client has sent it."""
        assert container_id not in self._running, (
            f"{container_id} runs {self._running.get(container_id)}, and begins {call_id}"
        )
        call = self.calls.setdefault(call_id, DirectCall())
        assert not call.runs, f"{call_id} is sent directly for the second time"
        call.runs += 1
        call.spec, call.began_at = spec, at
        self._running[container_id] = call_id

    def ended(self, container_id: str, call_id: str, status: OutputStatus, at: float) -> None:
        """A container has run a call to its end."""
        assert self._running.pop(container_id) == call_id
        call = self.calls[call_id]
        self.answers += 1
        call.ended_at = at
        call.steps += status is OutputStatus.FAILURE

    def _fail(self, call: DirectCall, now: float) -> None:
        call.failures += 1
        assert call.spec is not None
        call.not_before = now + (retry_delay(call.spec.retry, call.failures, self._settings.retry_delay_min_s) or 0.0)

    def dies_of(self, call_id: str) -> None:
        """A call takes its container down."""
        self.calls[call_id].steps += 1

    def gone(self, container_id: str, excess: MemoryExcess | None) -> None:
        """A container is gone, and what it ran with it."""
        self._gone[container_id] = excess is not None
        call_id = self._running.pop(container_id, None)
        if call_id is not None:
            call = self.calls[call_id]
            call.crashes += excess is None
            call.failures += excess is not None

    def forget(self) -> None:
        """All containers are gone with the server."""
        self._running.clear()

    # ------------------------------------------------------------ what clients say

    def granted(self, lease: str, container_id: str) -> None:
        """A client gets a lease."""
        self._leases[lease] = container_id

    def failed(self, lease: str, call_id: str, now: float, *, is_news: bool) -> None:
        """The engine hears that a first attempt has failed; once its container is gone, it has judged what it knew."""
        call = self.calls.get(call_id)
        if call is None or call.spec is None or call.failures or call.is_lost:
            return
        if is_news or self._leases[lease] not in self._gone:
            self._fail(call, now)

    def announced(self, lease: str, call_id: str, *, is_lost: bool) -> None:
        """A client tells the engine where it has sent a call; nobody but the container knows whether it has begun."""
        call = self.calls.setdefault(call_id, DirectCall())
        call.sent_to = self._leases[lease]
        call.is_lost = call.is_lost or is_lost

    # ------------------------------------------------------------ what the engine decides

    def cancelled(self, call_id: str, now: float, *, doomed: bool, slack_s: float) -> None:
        """A container is told to stop a call: it was cancelled, or has run for as long as it may."""
        call = self.calls.get(call_id)
        if doomed or call is None or call.spec is None or call.began_at is None:
            return
        took, limit = now - call.began_at, call.spec.timeout_s
        # Where only the client has announced it, its time counts from when it was sent.
        assert took >= limit - slack_s - DOOR_S, f"{call_id} is stopped after {took} s of {limit} s"
        over_s = 0.0 if call.ended_at is None else now - call.ended_at
        assert over_s <= REPORT_EVERY_S + slack_s, f"{call_id} is stopped {over_s} s after it has ended"
        self._fail(call, now)
        call.steps += 1

    def check_counts(self, counted: int, announced: set[str]) -> None:
        """Assert that no direct call was counted twice."""
        most = len(self.calls.keys() | announced)
        assert counted <= most, f"{counted} direct calls are counted, and there were {most}"

    def check_end(self, call_id: str, status: OutputStatus, *, doomed: bool) -> None:
        """Assert that a call may end so that the engine still thinks to be where its client has sent it."""
        call = self.calls.get(call_id, DirectCall())
        match status:
            case OutputStatus.TERMINATED:
                asked = doomed or call.crashes >= self._settings.poison_crashes_max
                assert asked, f"{call_id} is terminated, but nobody asked for it"
            case OutputStatus.TIMEOUT:
                assert call.failures, f"{call_id} ends as {status.name}, and has not failed"
            case OutputStatus.OUT_OF_MEMORY:
                assert call.failures or self._gone.get(call.sent_to), f"{call_id} used no more memory than it may"
            case OutputStatus.INTERNAL_FAILURE:
                crashes, most = call.crashes, self._settings.poison_crashes_max
                crashes += call.sent_to in self._gone and not call.crashes  # it may not have begun there
                assert crashes >= most, f"{call_id} is blamed for {crashes} of {most} crashes"
            case OutputStatus.INIT_FAILURE:
                pass  # it waits for a container again
            case _:
                raise AssertionError(f"{call_id} ends as {status.name}, which only its client can know")
