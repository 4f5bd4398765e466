"""What the oracle knows of inputs, calls and deliveries. Values, which others change.

This module must not know the rules.
"""

from __future__ import annotations

from swell.model import DeliveryMode, FunctionSpec, OutputStatus
from swell.sim.work import Work
from swell.states import InputState
from swell.wire.messages import OpenCall

__all__ = ["EPSILON", "Account", "CallAccount", "Held"]

EPSILON = 1e-9


class Account:
    """What is known of one input."""

    __slots__ = ("alone", "answer", "began_at", "crashes", "delivery", "failures", "not_before", "state", "steps")

    def __init__(self) -> None:
        self.state = InputState.PENDING
        self.answer: OutputStatus | None = None
        self.delivery = 0
        self.began_at: float | None = None  #: when its container began to execute it, in this attempt
        self.failures = 0
        self.crashes = 0  #: containers lost while it was executed
        self.alone = False  #: in the last of them it was the only one
        self.steps = 0  #: mishaps behind it
        self.not_before = 0.0


class CallAccount:
    """What is known of one call."""

    def __init__(self, client: int, message: OpenCall, spec: FunctionSpec, works: tuple[Work, ...]) -> None:
        self.id = message.call_id
        self.client = client
        self.kind = message.kind
        self.method = message.method
        self.function_id = message.function_id
        self.spec = spec
        self.works = works
        self.inputs: list[Account] = []  #: accepted, as far as is known
        self.frontier = 0  #: first index that never left for a container
        self.returned: set[int] = set()  #: below the frontier, and pending again
        self.kept: set[int] = set()  #: have results that a former server recorded
        self.doomed = False  #: cancelled, or its client or app is gone
        self.ended = 0
        self.is_direct = False  #: it is, or was, only where its client has sent it: see `direct`
        self.is_claimed = True  #: its client has said to the server that it waits
        self.keeps_result = False  #: it has ended, and nobody was told
        self.is_sealed = message.sealed


class Held:
    """One delivery."""

    def __init__(
        self, container_id: str, mode: DeliveryMode, inputs: list[tuple[CallAccount, int]], sent_at: float
    ) -> None:
        self.container_id = container_id
        self.sent_at = sent_at
        self.mode = mode
        self.inputs = inputs
        self.live = set(range(len(inputs)))
        self.stopping: set[int] = set()  #: ended for their clients; the container has not answered yet
