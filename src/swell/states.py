"""Lifecycles as tables: the states an Input and a Container pass through, and which steps are legal.

Two rules. Everything not in a table is a bug of the caller, named `IllegalStep`. What can be derived is not a state: a
Call's state follows from its Inputs and is stored nowhere. An Input's follows from where it is, since inputs travel by
the thousand: in a backlog, in a delivery, or in an output. The simulator's witness keeps it for each one, and takes it
through this table; the engine keeps the Containers'. This module must not know why a step is taken.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

from swell.model import OutputStatus

__all__ = [
    "CONTAINER_STEPS",
    "ENDS_AS",
    "INPUT_STEPS",
    "ContainerState",
    "IllegalStep",
    "InputState",
    "is_final",
    "step",
]


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

#: The state in which an Input ends whose output has that status.
ENDS_AS: dict[OutputStatus, InputState] = {
    OutputStatus.SUCCESS: _I.SUCCEEDED,
    OutputStatus.GENERATOR_DONE: _I.SUCCEEDED,
    OutputStatus.FAILURE: _I.FAILED,
    OutputStatus.INIT_FAILURE: _I.FAILED,
    OutputStatus.INTERNAL_FAILURE: _I.FAILED,
    OutputStatus.OUT_OF_MEMORY: _I.FAILED,
    OutputStatus.TIMEOUT: _I.TIMED_OUT,
    OutputStatus.TERMINATED: _I.CANCELLED,
}

S = TypeVar("S", InputState, ContainerState)


def step(now: S, then: S) -> S:
    """Return `then` if an Input or a Container may go there from `now`; raise IllegalStep otherwise."""
    if then not in _steps(now):
        what = "an input" if isinstance(now, InputState) else "a container"
        raise IllegalStep(f"{what} cannot go from {now.value} to {then.value}")
    return then


def is_final(state: InputState | ContainerState) -> bool:
    """Tell whether nothing follows a state."""
    return not _steps(state)


def _steps(state: InputState | ContainerState) -> frozenset[InputState] | frozenset[ContainerState]:
    return INPUT_STEPS[state] if isinstance(state, InputState) else CONTAINER_STEPS[state]
