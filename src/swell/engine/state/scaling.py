"""What the autoscaler wants of one pool, why it cannot have it, and what it wanted before.

This module must not know how a plan is made, or carried out.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from swell.policy.autoscale import Plan

if TYPE_CHECKING:
    from swell.engine.state.fleet import Fleet

__all__ = ["Decision", "Scaling"]

DECISIONS_MAX = 100  #: the latest of one pool


class Decision(NamedTuple):
    """What the autoscaler wanted from some moment on, and why."""

    at: float
    plan: int
    live: int  #: containers there were, starting ones included
    reason: str
    blocked_reason: str  #: why there are not as many, "" if there are


class Scaling:
    """The present plan, and the decisions that led to it."""

    __slots__ = ("blocked_reason", "brief_since", "decisions", "plan")

    def __init__(self) -> None:
        self.plan = Plan(0, "idle")
        self.blocked_reason = ""  #: why the plan is not carried out, in words; "" if it is
        self.brief_since = inf  #: since when it waits for what is over soon; infinity if it does not
        self.decisions: deque[Decision] = deque(maxlen=DECISIONS_MAX)

    def decide(self, plan: Plan) -> None:
        """Want another number of containers."""
        self.plan = plan

    def block(self, reason: str, *, brief_from: float = inf) -> None:
        """Note why the plan cannot be carried out now, "" if it can; and the time, if that is over soon."""
        self.blocked_reason = reason
        self.brief_since = min(self.brief_since, brief_from) if brief_from < inf else inf

    def note(self, now: float, fleet: Fleet) -> None:
        """Remember the decision, with the containers that there are, unless it is the one before."""
        plan, before = self.plan, self.decisions[-1] if self.decisions else None
        if before is None or (before.plan, before.blocked_reason) != (plan.containers, self.blocked_reason):
            self.decisions.append(Decision(now, plan.containers, fleet.live, plan.reason, self.blocked_reason))
