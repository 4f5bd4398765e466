"""What containers have: deliveries and the slots of requests, and which containers must not be given any more.

This module must not know how an input may end.
"""

from __future__ import annotations

from collections.abc import Iterable

from swell.model import CallKind, DeliveryMode, MemoryExcess, OutputStatus
from swell.sim.oracle.accounts import EPSILON, CallAccount, Held
from swell.sim.oracle.ledger import Ledger
from swell.states import InputState, is_final, step
from swell.wire import messages as m
from swell.wire.web import Leased

__all__ = ["Custody"]


class Custody:
    """All containers, and what each has of the inputs in a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._held: dict[int, Held] = {}
        self._held_by: dict[str, dict[int, Held]] = {}
        self._leases: dict[str, Held] = {}  # of requests over HTTP, by call
        self._leased_so_far = 0
        self._no_more: dict[str, str] = {}  # containers that must not be given inputs, and why
        self._stopped: set[str] = set()  # have been stopped for a while, of which the engine knows nothing

    def forget(self) -> None:
        """The server is killed, and all containers with it."""
        self._held.clear()
        self._held_by.clear()
        self._leases.clear()
        self._no_more.clear()
        self._stopped.clear()

    # ------------------------------------------------------------ what containers send

    def heard(self, container_id: str, message: m.Message) -> None:
        """A container has sent a message."""
        mine = self._held_by.get(container_id, {})
        match message:
            case m.Completed():
                self._completed(mine, message)
            case m.Returned():
                held = mine.get(message.delivery)
                if held is not None:
                    held.stopping.difference_update([p for p in held.stopping if p >= message.position])
                    for position in [p for p in sorted(held.live) if p >= message.position]:
                        assert held.inputs[position][0].inputs[held.inputs[position][1]].began_at is None, (
                            "gave back an input that it had begun"
                        )
                        self._ledger.give_back(held, position)
            case m.Leaving():
                self._no_more.setdefault(container_id, "said that it is leaving")
            case _:
                pass

    def _completed(self, mine: dict[int, Held], message: m.Completed) -> None:
        failures, item = dict(message.failures), 0
        for number, first, count in message.parts:
            held = mine.get(number)
            for position in range(first, first + count):
                if held is not None:
                    held.stopping.discard(position)
                if held is not None and position in held.live:
                    self._ledger.answered(held, position, OutputStatus(failures.get(item, 1)))
                item += 1

    def exited(self, container_id: str, excess: MemoryExcess | None) -> None:
        """A container is gone."""
        mine = self._held_by.pop(container_id, {})
        left = sum(len(held.live) for held in mine.values())
        there = left + sum(len(held.stopping) for held in mine.values())
        for number, held in mine.items():
            self._held.pop(number, None)
            for position in sorted(held.live):
                call, index = held.inputs[position]
                account = call.inputs[index]
                if held.mode is DeliveryMode.LEASE:
                    self.free(call)
                    if not is_final(account.state):
                        killed = OutputStatus.INTERNAL_FAILURE if excess is None else OutputStatus.OUT_OF_MEMORY
                        self._ledger.await_end(call, index, killed)
                    continue
                if excess is not None and there == 1:
                    account.failures += 1
                    self._ledger.await_end(call, index, OutputStatus.OUT_OF_MEMORY)
                    continue
                # The engine cannot know whether it had begun: the delivery may not have been read.
                account.crashes += excess is None
                account.alone = left == 1
                self._ledger.give_back(held, position)
        self._no_more[container_id] = "is gone"

    def stopped(self, container_ids: Iterable[str]) -> None:
        """Containers are not reached, or stand still: what they are sent may begin late, or never."""
        self._stopped.update(container_ids)

    def left_in(self, container_id: str) -> list[str]:
        """Return the inputs that a container has, in words."""
        mine = self._held_by.get(container_id, {})
        return [
            f"{call.id}/{index}"
            for held in mine.values()
            for call, index in (held.inputs[position] for position in sorted(held.live))
        ]

    def free(self, call: CallAccount) -> bool:
        """The slot of a request is free; False if it has none."""
        held = self._leases.pop(call.id, None)
        if held is None:
            return False
        held.live.clear()
        return True

    # ------------------------------------------------------------ what they are sent

    def starts(self, container_id: str) -> None:
        """A container is asked for."""
        self._held_by[container_id] = {}

    def delivered(self, container_id: str, message: m.Deliver, now: float) -> None:
        """Inputs are sent to a container."""
        why = self._no_more.get(container_id)
        assert why is None, f"{container_id} {why} and is given inputs"
        inputs: list[tuple[CallAccount, int]] = []
        for call_id, first, count in message.parts:
            call = self._ledger.calls[call_id]
            assert call.method == message.method, f"{call_id} goes to {message.method!r} instead of {call.method!r}"
            if call.is_direct:
                call.returned.add(first)  # it was elsewhere until now
            else:
                _check_order(call, first, now)
            for index in range(first, first + count):
                self._ledger.leaves(call, index, message.delivery, now)
                inputs.append((call, index))
        held = self._held[message.delivery] = Held(container_id, message.mode, inputs, now)
        self._held_by[container_id][message.delivery] = held

    def leased(self, client: int, message: Leased, now: float) -> None:
        """A request has its slot."""
        call, container_id = self._ledger.calls[message.call_id], message.container_id
        why = self._no_more.get(container_id)
        assert why is None, f"{container_id} {why} and a request is sent there"
        assert client == call.client, f"{call.id}: client {client} is told its container instead of {call.client}"
        assert call.kind is CallKind.WEB, f"{call.id} is no request"
        account = call.inputs[0]
        account.state = step(account.state, InputState.RUNNING)
        account.began_at = now
        call.frontier = 1
        held = self._leases[call.id] = Held(container_id, DeliveryMode.LEASE, [(call, 0)], now)
        self._leased_so_far += 1
        self._held_by[container_id][-self._leased_so_far] = held  # no delivery has such a number

    def cancelled(self, container_id: str, message: m.Cancel, now: float) -> None:
        """A container is told to stop inputs."""
        held = self._held[message.delivery]
        for position in message.positions:
            assert position in held.live, f"{container_id}: cancels what it does not run"
            held.stopping.add(position)
            call, index = held.inputs[position]
            if call.doomed:
                held.live.discard(position)
                self._ledger.await_end(call, index, OutputStatus.TERMINATED)
                continue
            began, limit = call.inputs[index].began_at, call.spec.timeout_s
            if container_id in self._stopped:
                began = held.sent_at
            assert began is not None, f"{call.id}/{index} timed out in {container_id} before it began"
            assert now - began >= limit - self._ledger.slack_s, (
                f"{call.id}/{index} timed out after {now - began} s of {limit} s"
            )
            self._ledger.answered(held, position, OutputStatus.TIMEOUT)

    def drained(self, container_id: str) -> None:
        """A container is told to leave."""
        assert container_id not in self._no_more or "leaving" in self._no_more[container_id], (
            f"{container_id} {self._no_more[container_id]} and is told to leave"
        )
        leased = [call_id for call_id, held in self._leases.items() if held.container_id == container_id]
        assert not leased, f"{container_id} is told to leave, and {leased[0]} is on its way to it"
        self._no_more[container_id] = "was told to leave"

    def killed(self, container_id: str) -> None:
        """A container is killed."""
        assert self._no_more.get(container_id) != "is being killed", f"{container_id}: killed twice"
        self._no_more[container_id] = "is being killed"


def _check_order(call: CallAccount, first: int, now: float) -> None:
    assert first <= call.frontier, f"{call.id}/{first} overtakes {call.frontier}"
    ahead = [i for i in call.returned if i < first and call.inputs[i].not_before <= now - EPSILON]
    assert not ahead, f"{call.id}/{first} overtakes {min(ahead)}, which waits, too"
