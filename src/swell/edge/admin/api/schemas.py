"""What the API answers with: JSON objects, for programs in any language.

Times are in UTC, as RFC 3339 writes them. This module must not know routes or messages.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

__all__ = [
    "AppDetail",
    "AppList",
    "AppSummary",
    "AutoscalerLayer",
    "AutoscalerLayers",
    "CallDetail",
    "CallList",
    "CallSummary",
    "ContainerList",
    "ContainerSummary",
    "Ending",
    "ExceptionText",
    "FunctionDetail",
    "FunctionSummary",
    "LogLine",
    "LogLines",
    "LoginToken",
    "Moment",
    "Node",
    "NodeList",
    "Result",
    "ResultPage",
    "ServerStatus",
    "Spawned",
    "StoryEvent",
    "StoryPart",
    "StoryTold",
    "StreamLine",
    "Version",
    "moment",
]

Moment = Annotated[datetime, Meta(tz=True)]


class Document(Struct, frozen=True):
    """Base of all answers."""


def moment(at: float | None) -> datetime | None:
    """Return seconds since the epoch as a time; None and 0 mean that there is none."""
    return datetime.fromtimestamp(at, UTC) if at else None


# ---------------------------------------------------------------- the server


class ServerStatus(Document, frozen=True):
    """How the server is doing."""

    version: str
    started_at: Moment | None
    data_dir: str  #: empty for a server that keeps nothing
    web_url: str  #: where web endpoints answer; empty if nothing listens
    web_trouble: str  #: why not
    apps: int
    containers: int
    pending: int  #: inputs that wait
    running: int
    done: int  #: since the server started


class Node(Document, frozen=True):
    """One machine, and what of it is spoken for."""

    name: str
    cores: float
    busy_cores: float  #: by containers, as measured last
    cpu_used: float  #: requested by containers
    memory_bytes: int
    memory_used_bytes: int  #: requested by containers
    gpus: int
    gpus_used: int


class NodeList(Document, frozen=True):
    """The machines on which containers run."""

    nodes: list[Node]


class LoginToken(Document, frozen=True):
    """What logs in one browser, once."""

    token: str
    path: str  #: to open in the browser, below the root of this server
    expires_in_s: float


# ---------------------------------------------------------------- apps and functions


class AppSummary(Document, frozen=True):
    """One app."""

    app_id: str
    name: str
    state: str  #: "deployed", "ephemeral", "ephemeral (detached)", "stopping…" or "stopped"
    version: int  #: that is live; 0 if it was never deployed
    containers: int
    pending: int
    running: int
    created_at: Moment | None
    stopped_at: Moment | None


class AppList(Document, frozen=True):
    """Apps, the latest first."""

    apps: list[AppSummary]


class AutoscalerLayer(Document, frozen=True):
    """Settings of an autoscaler; null where a layer says nothing."""

    min_containers: int | None = None
    max_containers: int | None = None
    buffer_containers: int | None = None
    scaledown_window: int | None = None  #: seconds that an idle container is kept


class AutoscalerLayers(Document, frozen=True):
    """Settings in force, and the layers they follow from: what the decorator says, and what was changed since."""

    effective: AutoscalerLayer
    static: AutoscalerLayer
    override: AutoscalerLayer  #: dropped when the app is deployed again


class FunctionSummary(Document, frozen=True):
    """One function, or class, and its containers."""

    name: str
    function_id: str
    version: int
    settings: AutoscalerLayer  #: in force
    plan: int  #: containers wanted
    reason: str  #: why so many
    held_back: str  #: why there are not as many; empty if there are
    starting: int  #: containers
    busy: int
    idle: int
    pending: int  #: inputs
    running: int
    done: int
    schedule: str  #: empty without one
    next_run: Moment | None
    is_retired: bool  #: the live version does not have it; it finishes what it has
    web_urls: list[str]


class Version(Document, frozen=True):
    """One version of an app."""

    version: int
    deployed_at: Moment | None
    deployed_by: str
    commit: str
    tag: str


class AppDetail(Document, frozen=True):
    """One app with its functions."""

    app: AppSummary
    live: Version | None
    tags: dict[str, str]
    functions: list[FunctionSummary]


class FunctionDetail(Document, frozen=True):
    """One function, its numbers at this moment, and its autoscaler."""

    app_id: str
    app_name: str
    function: FunctionSummary
    backlog: int  #: inputs that wait for a container
    total_containers: int
    running_inputs: int
    input_headroom: int  #: inputs that the present containers could take at once
    autoscaler: AutoscalerLayers


# ---------------------------------------------------------------- calls


class ExceptionText(Document, frozen=True):
    """What a function raised, in words."""

    type: str  #: name of its class, with its module unless that is builtins; empty if only the text is known
    message: str
    traceback: str  #: empty if it was not the function that failed


Ended = Literal["success", "failure", "terminated", "timeout", "init_failure", "internal_failure", "out_of_memory"]


class Result(Document, frozen=True):
    """How one input ended: `success` has a value, everything else an exception."""

    call_id: str
    index: int
    status: Ended
    value: Raw | UnsetType = UNSET  #: what the function returned
    omitted: str | UnsetType = UNSET  #: why there is no value though it succeeded
    exception: ExceptionText | UnsetType = UNSET


class ResultPage(Document, frozen=True):
    """The results of some inputs of a call that are there, by index."""

    call_id: str
    num_inputs: int | None  #: null while more may come
    results: list[Result]
    missing: int  #: inputs of the range that was asked for and have not ended


class Spawned(Document, frozen=True):
    """A call that was accepted; its results are kept for seven days, unless the server is set otherwise."""

    call_id: str


class CallDetail(Document, frozen=True):
    """One call and where its inputs are."""

    call_id: str
    app_name: str
    function_name: str
    kind: str  #: "remote", "map", "spawn" or "web"
    state: Literal["open", "ended"]
    opened_at: Moment | None
    ended_at: Moment | None
    num_inputs: int | None  #: null while more may come
    pending: int
    running: int
    done: int
    parent: str  #: id of the input that made it; empty if none did


class CallSummary(Document, frozen=True):
    """One call in a list."""

    call_id: str
    function: str  #: as in "app.function"
    kind: str  #: "remote", "map", "spawn" or "web"
    opened_at: Moment | None
    ended_at: Moment | None
    num_inputs: int | None  #: null while more may come
    pending: int
    running: int
    done: int


class CallList(Document, frozen=True):
    """Calls, the latest first; those that go on before those that have ended."""

    calls: list[CallSummary]


class Ending(Document, frozen=True):
    """How a generator ended."""

    status: Ended
    items: int  #: that it has yielded
    exception: ExceptionText | UnsetType = UNSET


class StreamLine(Document, frozen=True):
    """One line: something that the generator yielded or, in the last line, how it ended."""

    item: Raw | UnsetType = UNSET
    end: Ending | UnsetType = UNSET


# ---------------------------------------------------------------- containers


class ContainerSummary(Document, frozen=True):
    """One container."""

    container_id: str
    app_id: str
    app_name: str
    function_name: str
    version: int
    state: str  #: as the page on lifecycles has it
    requested_at: Moment | None
    ready_at: Moment | None
    ended_at: Moment | None
    running: int  #: inputs it has
    served: int  #: inputs it was given in its life
    reason: str  #: why it ended


class ContainerList(Document, frozen=True):
    """Containers, the latest first."""

    containers: list[ContainerSummary]


# ---------------------------------------------------------------- stories and logs


class StoryEvent(Document, frozen=True):
    """Something that happened."""

    at: Moment | None
    text: str


class StoryPart(Document, frozen=True):
    """A stretch of time that has a name; parts follow each other without a gap."""

    name: str
    seconds: float


class StoryTold(Document, frozen=True):
    """What happened to something, and why."""

    title: str
    state: str
    events: list[StoryEvent]
    parts: list[StoryPart]  #: of the time from its beginning to its end, or to now


class LogLine(Document, frozen=True):
    """A line that a container wrote."""

    at: Moment | None
    function_name: str
    container_id: str
    stream: str  #: "stdout", "stderr" or "system"
    text: str
    call_ids: list[str]  #: of the inputs that ran then


class LogLines(Document, frozen=True):
    """Lines, in the order in which they were written."""

    lines: list[LogLine]
