"""Lifecycles as tables: the states an Input and a Container pass through, and which steps are legal.

Two rules. Everything not in a table is a bug of the caller, named `IllegalStep`. What can be derived is not a state: a
Call's state follows from its Inputs and is stored nowhere. This module must not know why a step is taken.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["CONTAINER_STEPS", "INPUT_STEPS", "ContainerState", "IllegalStep", "InputState", "step"]


class InputState(Enum):
    """Where one Input is."""

    PENDING = "pending"  #: waits in its Pool, or for its retry's delay
    RUNNING = "running"  #: delivered to a container
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    CANCELLED = "cancelled"


class ContainerState(Enum):
    """Where one Container is."""

    REQUESTED = "requested"  #: wanted and placed; the backend has not started it yet
    STARTING = "starting"  #: the process lives: imports and enter hooks run
    READY = "ready"  #: takes inputs
    DRAINING = "draining"  #: finishes what it has, takes nothing more
    STOPPED = "stopped"
    FAILED = "failed"  #: never became ready
    LOST = "lost"  #: died or fell silent while it lived


class IllegalStep(AssertionError):
    """A transition that no table allows: a defect in swell, never a user's mistake."""


_I, _C = InputState, ContainerState

INPUT_STEPS: dict[InputState, frozenset[InputState]] = {
    _I.PENDING: frozenset({_I.RUNNING, _I.FAILED, _I.CANCELLED}),  # FAILED: no container can start
    _I.RUNNING: frozenset({_I.PENDING, _I.SUCCEEDED, _I.FAILED, _I.TIMED_OUT, _I.CANCELLED}),
    _I.SUCCEEDED: frozenset(),
    _I.FAILED: frozenset(),
    _I.TIMED_OUT: frozenset(),
    _I.CANCELLED: frozenset(),
}

CONTAINER_STEPS: dict[ContainerState, frozenset[ContainerState]] = {
    _C.REQUESTED: frozenset({_C.STARTING, _C.FAILED, _C.STOPPED, _C.LOST}),
    _C.STARTING: frozenset({_C.READY, _C.FAILED, _C.STOPPED, _C.LOST}),
    _C.READY: frozenset({_C.DRAINING, _C.STOPPED, _C.LOST}),
    _C.DRAINING: frozenset({_C.STOPPED, _C.LOST}),
    _C.STOPPED: frozenset(),
    _C.FAILED: frozenset(),
    _C.LOST: frozenset(),
}


def step(now: ContainerState, then: ContainerState) -> ContainerState:
    """Return `then` if a Container may go there from `now`; raise IllegalStep otherwise."""
    if then not in CONTAINER_STEPS[now]:
        raise IllegalStep(f"a container cannot go from {now.value} to {then.value}")
    return then
