"""What dashboards and metrics read of a server: everything there is at one moment, counted and timed.

Tags 164 and 174. This module must not know who looks, or how it is shown.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from swell.model import AutoscalerSettings
from swell.wire.inquiries import AppRow, ContainerRow, FunctionRow
from swell.wire.message import Message

__all__ = [
    "BOUNDS_S",
    "CallRow",
    "Counted",
    "DecisionRow",
    "FormerMeasures",
    "FunctionMeasures",
    "NodeRow",
    "Observation",
    "Observe",
    "Times",
]

#: Upper bounds of the classes in which times are counted, in seconds; one more class has what took longer.
BOUNDS_S: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_000.0),
)


class Observe(Message, frozen=True, tag=164):
    """Answered by Observation."""

    request: int
    since: float = 0.0  #: only decisions after that; seconds since the epoch


class _Row(Struct, array_like=True, frozen=True, gc=False):
    pass


class Times(_Row, frozen=True):
    """How many took how long: a count for each class of `BOUNDS_S`, and one for what took longer."""

    counts: list[int]
    total_s: float


class DecisionRow(_Row, frozen=True):
    """What the autoscaler wanted from a moment on, and why."""

    at: float
    plan: int
    live: int  #: containers there were, those that start included
    reason: str
    held_back: str


class Counted(_Row, frozen=True):
    """What is counted of the inputs and containers of a function since the server started."""

    accepted: int
    ended: dict[int, int]  #: inputs by OutputStatus
    retried: int
    lost: int  #: inputs that were run again because their container was gone
    containers_failed: int  #: that never became ready
    containers_lost: int
    wait: Times  #: of inputs, from being queued to a container
    run: Times  #: of inputs, or of batches, in a container
    start: Times  #: of containers, from being asked for to being ready


class FunctionMeasures(_Row, frozen=True):
    """One function."""

    app_id: str
    app_name: str
    row: FunctionRow
    static: AutoscalerSettings  #: as declared
    override: AutoscalerSettings  #: as changed at run time
    requested: int  #: containers asked for that are not gone
    observed: int  #: those of them that have checked in
    counted: Counted
    decisions: list[DecisionRow]
    url: str = ""


class FormerMeasures(_Row, frozen=True):
    """All pools of one name that are gone."""

    app_name: str
    name: str
    counted: Counted


class NodeRow(_Row, frozen=True):
    """One machine."""

    name: str
    cores: float
    busy_cores: float  #: by containers, as measured last
    cpu_used: float  #: spoken for
    memory_bytes: int
    memory_used_bytes: int  #: spoken for
    gpus: int
    gpus_used: int


class CallRow(_Row, frozen=True):
    """One call."""

    call_id: str
    function: str  #: "app.function"
    kind: str
    pending: int
    running: int
    done: int
    total: int | None  #: None: more may come
    opened_at: float
    ended_at: float | None


class Observation(Message, frozen=True, tag=174):
    """Everything there is."""

    request: int
    at: float
    pid: int
    version: str
    started_at: float
    address: str
    nodes: list[NodeRow]
    apps: list[AppRow]
    functions: list[FunctionMeasures]
    containers: list[ContainerRow]  #: the latest first
    calls: list[CallRow]  #: the latest first; those that go on before those that have ended
    former: list[FormerMeasures] = []
