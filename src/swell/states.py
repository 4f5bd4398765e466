"""Lifecycles as tables: the states that an Input, a Container and an App pass through, and which steps are legal.

Three rules. A step that is not in its table is a defect of the caller: it raises IllegalStep. A lifecycle is whole: a
boolean that only makes sense in some states is a state itself. What can be derived is not a state: a Call's state
follows from its Inputs and is stored nowhere. An Input's follows from where it is, since inputs travel by the thousand:
in a backlog, in a delivery, or in an output. The simulator's oracle keeps it for each one, and takes it through this
table; the engine keeps the Containers', the Apps' and the call leases'. This module must not know why a step is taken.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

from swell.model import OutputStatus

__all__ = [
    "APP_STEPS",
    "CONTAINER_STEPS",
    "ENDS_AS",
    "INPUT_STEPS",
    "LEASE_STEPS",
    "SHOWN_AS",
    "AppState",
    "ContainerState",
    "IllegalStep",
    "InputState",
    "LeaseState",
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
    """Where one Container is. People are shown fewer states: see `SHOWN_AS`."""

    REQUESTED = "requested"  #: wanted and placed; the backend has not started it yet
    STARTING = "starting"  #: the process lives: imports and enter hooks run
    ABANDONED = "abandoned"  #: the engine gave up its start: it is being killed, and was never ready
    READY = "ready"  #: takes inputs
    LEAVING = "leaving"  #: takes no more inputs, and gets no order to leave before it has finished
    DRAINING = "draining"  #: was ordered to leave: finishes its inputs, runs its exit hooks
    INTERRUPTED = "interrupted"  #: was ordered to stop its inputs and leave: they run again elsewhere
    KILLED = "killed"  #: is being killed: its inputs run again elsewhere
    STOPPED = "stopped"  #: ended because the engine wanted it to
    FAILED = "failed"  #: never became ready
    LOST = "lost"  #: died or stopped responding after it was ready


class AppState(Enum):
    """Where one App is. Its kind (ephemeral, detached, deployed) never changes."""

    RUNNING = "running"  #: takes calls
    RETIRING = "retiring"  #: takes calls, and is stopped when the last one has ended
    STOPPING = "stopping"  #: its calls have ended, its containers leave
    SUSPENDED = "suspended"  #: the server stops: its containers leave, its spawned calls continue in the next server
    ENDED = "ended"  #: nothing of it is left


class LeaseState(Enum):
    """Where one call lease is."""

    OPEN = "open"  #: its client may send calls
    RECALLED = "recalled"  #: its container is told to begin no more of them
    CLOSED = "closed"  #: its container will begin no more; a call that was announced may still run
    ENDED = "ended"  #: its slot is free, or its container is gone


class IllegalStep(AssertionError):
    """A transition that no table allows: a defect in swell, never a user's mistake."""


_I, _C, _A, _L = InputState, ContainerState, AppState, LeaseState

INPUT_STEPS: dict[InputState, frozenset[InputState]] = {
    _I.PENDING: frozenset({_I.RUNNING, _I.FAILED, _I.CANCELLED}),  # FAILED: no container can start
    _I.RUNNING: frozenset({_I.PENDING, _I.SUCCEEDED, _I.FAILED, _I.TIMED_OUT, _I.CANCELLED}),
    _I.SUCCEEDED: frozenset(),
    _I.FAILED: frozenset(),
    _I.TIMED_OUT: frozenset(),
    _I.CANCELLED: frozenset(),
}

CONTAINER_STEPS: dict[ContainerState, frozenset[ContainerState]] = {
    _C.REQUESTED: frozenset({_C.STARTING, _C.ABANDONED, _C.FAILED}),
    _C.STARTING: frozenset({_C.READY, _C.ABANDONED, _C.FAILED}),
    _C.ABANDONED: frozenset({_C.STOPPED, _C.FAILED}),  # FAILED: it is at fault itself, as when it took too long
    _C.READY: frozenset({_C.LEAVING, _C.DRAINING, _C.INTERRUPTED, _C.KILLED, _C.LOST}),
    _C.LEAVING: frozenset({_C.DRAINING, _C.INTERRUPTED, _C.KILLED, _C.LOST}),
    _C.DRAINING: frozenset({_C.INTERRUPTED, _C.KILLED, _C.STOPPED}),
    _C.INTERRUPTED: frozenset({_C.KILLED, _C.STOPPED}),
    _C.KILLED: frozenset({_C.STOPPED, _C.LOST}),  # LOST: it is at fault itself, as when it broke the protocol
    _C.STOPPED: frozenset(),
    _C.FAILED: frozenset(),
    _C.LOST: frozenset(),
}

APP_STEPS: dict[AppState, frozenset[AppState]] = {
    _A.RUNNING: frozenset({_A.RETIRING, _A.STOPPING, _A.SUSPENDED}),
    _A.RETIRING: frozenset({_A.STOPPING, _A.SUSPENDED}),
    _A.STOPPING: frozenset({_A.ENDED}),
    _A.SUSPENDED: frozenset({_A.ENDED}),
    _A.ENDED: frozenset(),
}

LEASE_STEPS: dict[LeaseState, frozenset[LeaseState]] = {
    _L.OPEN: frozenset({_L.RECALLED, _L.CLOSED, _L.ENDED}),
    _L.RECALLED: frozenset({_L.CLOSED, _L.ENDED}),
    _L.CLOSED: frozenset({_L.ENDED}),
    _L.ENDED: frozenset(),
}

#: The name under which people see a container's state: in the CLI, the JSON API, metrics and stored records. A state
#: that is missing here lasts a moment, and is shown as the state before it.
SHOWN_AS: dict[ContainerState, str] = {
    _C.REQUESTED: "requested",
    _C.STARTING: "starting",
    _C.READY: "ready",
    _C.LEAVING: "ready",
    _C.DRAINING: "draining",
    _C.INTERRUPTED: "draining",
    _C.STOPPED: "stopped",
    _C.FAILED: "failed",
    _C.LOST: "lost",
}

#: The final state of an Input, by the status of its output.
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

S = TypeVar("S", InputState, ContainerState, AppState, LeaseState)


def step(now: S, then: S) -> S:
    """Return `then` if a thing with a lifecycle may go there from `now`; raise IllegalStep otherwise."""
    if then not in _steps(now):
        raise IllegalStep(f"{_NOUNS[type(now)]} cannot go from {now.value} to {then.value}")
    return then


def is_final(state: InputState | ContainerState | AppState | LeaseState) -> bool:
    """Tell whether no step leads out of a state."""
    return not _steps(state)


_NOUNS: dict[type[Enum], str] = {
    InputState: "an input",
    ContainerState: "a container",
    AppState: "an app",
    LeaseState: "a call lease",
}


def _steps(
    state: InputState | ContainerState | AppState | LeaseState,
) -> frozenset[InputState | ContainerState | AppState | LeaseState]:
    if isinstance(state, InputState):
        return INPUT_STEPS[state]
    if isinstance(state, ContainerState):
        return CONTAINER_STEPS[state]
    return APP_STEPS[state] if isinstance(state, AppState) else LEASE_STEPS[state]
