"""The oracle's ledger: each input by itself, its attempts, and whether it may end, or be run again, as it does.

It must not know how the engine is told, or tells, what it enters here.
"""

from __future__ import annotations

from swell.config import Settings
from swell.model import CallKind, OutputStatus
from swell.policy.retry import retry_delay
from swell.sim.oracle.accounts import EPSILON, Account, CallAccount, Held
from swell.sim.oracle.direct import DirectBook
from swell.sim.work import Mishap, Work
from swell.states import ENDS_AS, InputState, is_final, step

__all__ = ["Ledger"]

ENDS_WELL = (OutputStatus.SUCCESS, OutputStatus.GENERATOR_DONE)
COUNTED = (OutputStatus.FAILURE, OutputStatus.TIMEOUT, OutputStatus.OUT_OF_MEMORY)


class Ledger:
    """All inputs of all calls."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.calls: dict[str, CallAccount] = {}
        self.works: dict[str, tuple[Work, ...]] = {}
        self.expect_innocent_survival = True  #: False while containers are lost at random
        self.slack_s = EPSILON  #: by how much a time limit may be missed
        self.direct = DirectBook(settings)
        self._limbo: dict[tuple[str, int], CallAccount] = {}  # answered just now; what comes of it is unsaid

    # ------------------------------------------------------------ what containers ask and tell

    def work(self, call_id: str, index: int) -> tuple[Work, int]:
        """Return the behaviour of an input and the number of mishaps behind it."""
        call = self.calls.get(call_id)
        if call is None or call.is_direct:
            return self.works[call_id][index], self.direct.steps(call_id)
        return call.works[index], call.inputs[index].steps

    def began(self, delivery: int, call_id: str, index: int, at: float) -> None:
        """A container begins to execute an input."""
        account = self.calls[call_id].inputs[index]
        if account.state is InputState.RUNNING and account.delivery == delivery:
            account.began_at = at

    def killed(self, delivery: int, call_id: str, index: int) -> None:
        """An input takes its container down."""
        account = self.calls[call_id].inputs[index]
        if account.state is InputState.RUNNING and account.delivery == delivery:
            account.steps += 1

    # ------------------------------------------------------------ attempts

    def leaves(self, call: CallAccount, index: int, delivery: int, now: float) -> None:
        """An input leaves for a container."""
        if call.is_direct:
            self._goes_round(call)
        account = call.inputs[index]
        if self._limbo.pop((call.id, index), None) is not None:
            self._retry(call, index, now)
        state = account.state
        assert state is InputState.PENDING, f"{call.id}/{index} is {state.value} and leaves again"
        assert now >= account.not_before - EPSILON, f"{call.id}/{index} leaves before its retry is due"
        account.state = step(state, InputState.RUNNING)
        account.delivery = delivery
        if index == call.frontier:
            call.frontier += 1
        else:
            call.returned.remove(index)

    def _goes_round(self, call: CallAccount) -> None:
        """A direct call is delivered like any other from now on, with what has happened to it before."""
        call.is_direct = False
        account, before = call.inputs[0], self.direct.calls.get(call.id)
        account.state = step(account.state, InputState.PENDING)
        if before is not None:
            account.failures, account.crashes, account.steps = before.failures, before.crashes, before.steps
            account.not_before = before.not_before

    def answered(self, held: Held, position: int, status: OutputStatus) -> None:
        """A container has answered an input, or it is stopped for that reason."""
        held.live.discard(position)
        call, index = held.inputs[position]
        account = call.inputs[index]
        if status in COUNTED:
            account.failures += 1
            account.steps += 1
        elif status is OutputStatus.TERMINATED:
            account.crashes += 1  # stopped with its batch, though nobody asked for it
        self.await_end(call, index, status)

    def await_end(self, call: CallAccount, index: int, status: OutputStatus) -> None:
        """An input was answered: what comes of it is to be among the effects."""
        call.inputs[index].answer = status
        self._limbo[call.id, index] = call

    def give_back(self, held: Held, position: int) -> None:
        """An input of a delivery waits again."""
        held.live.discard(position)
        call, index = held.inputs[position]
        self._pend(call, index, 0.0)

    @staticmethod
    def _pend(call: CallAccount, index: int, not_before: float) -> None:
        account = call.inputs[index]
        account.state = step(account.state, InputState.PENDING)
        account.answer = None
        account.began_at = None
        account.not_before = not_before
        call.returned.add(index)

    def settled(self, now: float) -> None:
        """All effects of an event are known: what was answered and did not end goes round again."""
        for (_, index), call in self._limbo.items():
            if call.is_claimed or not self._may_end_unheard(call, index):
                self._retry(call, index, now)
            else:  # its result is kept for its client
                call.keeps_result = True
                self._close(call, call.inputs[index], call.inputs[index].answer or OutputStatus.TERMINATED)
        self._limbo.clear()

    def _may_end_unheard(self, call: CallAccount, index: int) -> bool:
        """Tell whether the last answer ends an input, also if nobody is told."""
        account = call.inputs[index]
        if account.answer in COUNTED:
            return retry_delay(call.spec.retry, account.failures, self.settings.retry_delay_min_s) is None
        return account.answer in ENDS_WELL or call.doomed

    def _retry(self, call: CallAccount, index: int, now: float) -> None:
        account, name = call.inputs[index], f"{call.id}/{index}"
        assert call.kind is not CallKind.WEB, f"{name} has lost its container, and does not end"
        assert account.answer not in ENDS_WELL, f"{name}: the result is lost"
        assert not call.doomed, f"{name} was cancelled and goes on"
        not_before = 0.0
        if account.answer in COUNTED:
            delay = retry_delay(call.spec.retry, account.failures, self.settings.retry_delay_min_s)
            assert delay is not None, f"{name}: tried again after {account.failures} failures"
            not_before = now + delay
        self._pend(call, index, not_before)

    # ------------------------------------------------------------ ends

    def end(self, call: CallAccount, index: int, status: OutputStatus) -> None:
        """An input has its result, which has to be one that it may have."""
        account, name = call.inputs[index], f"{call.id}/{index}"
        if call.is_direct:
            assert not is_final(account.state), f"{name} ends twice"
            self.direct.check_end(call.id, status, doomed=call.doomed)
            self._close(call, account, status)
            return
        if call.keeps_result and is_final(account.state):
            call.keeps_result = False  # its client has asked for what was kept
            return
        assert not is_final(account.state), f"{name} ends twice"
        self._check_end(call, index, status)
        is_answered = self._limbo.pop((call.id, index), None) is not None
        assert is_answered or account.state is not InputState.RUNNING, f"{name} ends while it runs"
        if not is_answered and index == call.frontier:
            call.frontier += 1
        call.returned.discard(index)
        self._close(call, account, status)

    def _check_end(self, call: CallAccount, index: int, status: OutputStatus) -> None:
        account, name = call.inputs[index], f"{call.id}/{index}"
        attempts = 1 + (call.spec.retry.max_retries if call.spec.retry else 0)
        match status:
            case OutputStatus.SUCCESS | OutputStatus.GENERATOR_DONE:
                assert account.answer is status, f"{name} ends as {status.name}, but nobody said so"
            case OutputStatus.FAILURE | OutputStatus.TIMEOUT:
                assert account.answer is status, f"{name} ends as {status.name}, but nobody said so"
                assert account.failures == attempts or call.doomed, f"{name}: {account.failures} of {attempts} attempts"
            case OutputStatus.OUT_OF_MEMORY:
                assert account.answer is status, f"{name} is blamed for memory, and did not have its container alone"
                assert account.failures == attempts or call.doomed, f"{name}: {account.failures} of {attempts} attempts"
                guilty = Mishap.OUTGROW in call.works[index].mishaps
                assert guilty or not self.expect_innocent_survival, f"{name} is innocent"
            case OutputStatus.TERMINATED:
                asked = call.doomed or account.crashes >= self.settings.poison_crashes_max
                assert asked, f"{name} is terminated, but nobody asked for it"
            case OutputStatus.INIT_FAILURE:
                assert account.state is InputState.PENDING, f"{name} was running: a start cannot have failed it"
            case OutputStatus.INTERNAL_FAILURE:
                limit = self.settings.poison_crashes_max
                assert account.crashes >= limit, f"{name} is blamed for {account.crashes} of {limit} crashes"
                guilty = call.works[index].always_kills or Mishap.KILL in call.works[index].mishaps
                assert guilty or not self.expect_innocent_survival, f"{name} is innocent"

    def request_ends(self, call: CallAccount, status: OutputStatus, now: float) -> None:
        """A request that has its slot is ended by the engine. The slot stays taken until the edge releases it."""
        account = call.inputs[0]
        assert account.began_at is not None
        match status:
            case OutputStatus.TERMINATED:
                assert call.doomed, f"{call.id} is terminated, but nobody asked for it"
            case OutputStatus.TIMEOUT:
                took, limit = now - account.began_at, call.spec.timeout_s
                assert took >= limit - self.slack_s, f"{call.id} timed out after {took} s of {limit} s"
            case OutputStatus.INTERNAL_FAILURE | OutputStatus.OUT_OF_MEMORY:
                assert account.answer is status, f"{call.id}: its container lives, or had another end"
                self._limbo.pop((call.id, 0))
            case _:
                raise AssertionError(f"{call.id} ends as {status.name}, which only its edge can know")
        self._close(call, account, status)

    def released(self, call: CallAccount, status: OutputStatus) -> None:
        """The edge says how a request has ended."""
        account = call.inputs[0]
        if not is_final(account.state):
            self._close(call, account, status)

    @staticmethod
    def _close(call: CallAccount, account: Account, status: OutputStatus) -> None:
        account.state = step(account.state, ENDS_AS[status])
        call.ended += 1

    def unfinished(self) -> list[str]:
        """Return what has not ended, in words."""
        return [
            f"{call.id}/{index} {account.state.value}"
            for call in self.calls.values()
            if not call.is_direct  # whether they have ended is their clients' to know
            for index, account in enumerate(call.inputs)
            if not is_final(account.state)
        ]

    def forget(self) -> None:
        """The server is killed: of what was answered just now, nothing comes."""
        self._limbo.clear()
        self.direct.forget()
