"""Everything that runs on a server at one moment, counted and timed, for dashboards and metrics.

Tags 164 and 174. This module must not know its readers, or how it is shown.
"""

from __future__ import annotations

from msgspec import Struct

from swell.bounds import Code, Count, Id, Integer, Moment, Name, Number, Pid, RequestNumber, Text
from swell.model import AutoscalerSettings, RefusedNode
from swell.wire.histogram import Times
from swell.wire.message import Message
from swell.wire.queries import AppRow, ContainerRow, FunctionRow

__all__ = [
    "CallRow",
    "Counted",
    "DecisionRow",
    "FunctionMeasures",
    "LinkRow",
    "NodeRow",
    "Observation",
    "Observe",
    "RetiredMeasures",
]


class Observe(Message, frozen=True, tag=164):
    """Get the numbers of all that runs; answered by Observation."""

    request: RequestNumber
    since: Moment = 0.0  #: only decisions after this time; seconds since the epoch


class _Row(Struct, array_like=True, frozen=True, gc=False):
    pass


class DecisionRow(_Row, frozen=True):
    """A decision of the autoscaler, and its reason."""

    at: Moment
    plan: Count
    live: Count  #: containers at that time, starting ones included
    reason: Text
    held_back: Text


class Counted(_Row, frozen=True):
    """Counts of the inputs and containers of a function since the server started."""

    accepted: Count
    ended: dict[Code, Count]  #: inputs by OutputStatus
    retried: Count
    lost: Count  #: inputs that were requeued because their container was lost
    containers_failed: Count  #: containers that never became ready
    containers_lost: Count
    wait: Times  #: of inputs, from being queued to a container
    run: Times  #: of inputs, or of batches, in a container
    start: Times  #: of containers, from being requested to being ready
    leases_granted: Count = 0  #: call leases that clients got
    leases_recalled: Count = 0
    direct: Count = 0  #: calls that went straight to a container; of the accepted ones
    fallbacks: Count = 0  #: calls through the server whose clients would have liked a call lease


class FunctionMeasures(_Row, frozen=True):
    """One function."""

    app_id: Id
    app_name: Name
    row: FunctionRow
    static: AutoscalerSettings  #: as declared
    override: AutoscalerSettings  #: as changed at run time
    requested: Count  #: containers that were requested and have not ended
    observed: Count  #: those of them that are ready
    counted: Counted
    decisions: list[DecisionRow]
    url: Text = ""  #: its URL, if it is a web function
    more_urls: list[Text] = []  #: URLs of the other web methods of a class

    @property
    def urls(self) -> list[str]:
        """All its URLs."""
        return [self.url, *self.more_urls] if self.url else []


class RetiredMeasures(_Row, frozen=True):
    """All retired pools of one name."""

    app_name: Name
    name: Name
    counted: Counted


class LinkRow(_Row, frozen=True):
    """How a node elsewhere has been connected with the server since it came."""

    heard_at: Moment  #: when it gave a sign of life last
    round_trip_s: Number | None  #: how long a word and its answer took last; None: none was answered yet
    received_bytes: Integer  #: of messages and files that came from it
    sent_bytes: Integer  #: likewise, to it


class NodeRow(_Row, frozen=True):
    """One machine."""

    name: Name
    cores: Number
    busy_cores: Number  #: cores that containers kept busy when last measured
    cpu_used: Number  #: cores that containers have requested
    memory_bytes: Integer
    memory_used_bytes: Integer  #: memory that containers have requested
    gpus: Count
    gpus_used: Count
    containers: Count = 0  #: that are not gone
    state: Name = "ready"  #: "ready", "draining", or "drained" once it has no containers
    drain_until: Moment | None = None  #: when the machine is gone, if that is known
    started: Count = 0  #: containers that were ever started on it
    lost: Count = 0  #: of these, those that died while they were needed
    link: LinkRow | None = None  #: None: it is the server's machine


class CallRow(_Row, frozen=True):
    """One call."""

    call_id: Id
    function: Name  #: "app.function"
    kind: Name  #: "remote", "map", "spawn" or "web"
    pending: Count
    running: Count
    done: Count
    num_inputs: Count | None  #: None while more may come
    opened_at: Moment
    ended_at: Moment | None
    app_name: Name = ""

    @property
    def function_name(self) -> str:
        """The function's name without the app's; both may have dots in them."""
        return self.function.removeprefix(f"{self.app_name}.")


class Observation(Message, frozen=True, tag=174):
    """The numbers of all that runs, at one moment."""

    request: RequestNumber
    at: Moment
    pid: Pid
    version: Name
    started_at: Moment
    address: Text
    nodes: list[NodeRow]
    apps: list[AppRow]
    functions: list[FunctionMeasures]
    containers: list[ContainerRow]  #: the latest of them, the latest first
    calls: list[CallRow]  #: running ones before ended ones, each the latest first
    former: list[RetiredMeasures] = []
    refused_nodes: list[RefusedNode] = []  #: machines that are there and get no containers
    containers_total: Count = 0
