"""Queries of clients, and the server's answers: its status, apps, containers, calls, stories and logs.

Only StopContainer, DrainNode and ResumeNode change anything. Tags from 130 on. This module must not know the client, or
how an answer is shown.
"""

from __future__ import annotations

from msgspec import Struct

from swell.bounds import (
    Count,
    Id,
    Integer,
    Moment,
    Name,
    Number,
    Pid,
    RequestNumber,
    Seconds,
    Tags,
    Text,
    Version,
)
from swell.model import AutoscalerSettings, Provenance, RefusedNode
from swell.wire.message import Message

__all__ = [
    "AppDescription",
    "AppList",
    "AppRow",
    "AskStory",
    "CallReport",
    "ContainerDescription",
    "ContainerList",
    "ContainerRow",
    "DescribeApp",
    "DescribeContainer",
    "DrainNode",
    "FunctionRow",
    "GetStatus",
    "InspectCall",
    "ListApps",
    "ListContainers",
    "ListVersions",
    "LogEntry",
    "ReadLogs",
    "ResumeNode",
    "Status",
    "StopContainer",
    "Story",
    "StoryLine",
    "StoryPart",
    "VersionList",
    "VersionRow",
]


class Row(Struct, array_like=True, frozen=True, gc=False):
    """Base of the rows in answers."""


# ---------------------------------------------------------------- client -> server


class GetStatus(Message, frozen=True, tag=130):
    """Get the state of the server; answered by Status."""

    request: RequestNumber


class ListApps(Message, frozen=True, tag=131):
    """List the running apps, and stopped durable ones; answered by AppList."""

    request: RequestNumber


class DescribeApp(Message, frozen=True, tag=132):
    """Describe an app; answered by AppDescription or Failed."""

    request: RequestNumber
    app: Name  #: its name or id


class ListVersions(Message, frozen=True, tag=133):
    """List the versions of an app; answered by VersionList or Failed."""

    request: RequestNumber
    app: Name


class ListContainers(Message, frozen=True, tag=134):
    """List containers; answered by ContainerList."""

    request: RequestNumber
    app: Name = ""  #: only those of this app
    gone: Count = 0  #: also list this many ended ones, the latest


class DescribeContainer(Message, frozen=True, tag=135):
    """Describe a container; answered by ContainerDescription or Failed."""

    request: RequestNumber
    container_id: Id


class StopContainer(Message, frozen=True, tag=136):
    """Stop a container: its inputs run again elsewhere or, if `graceful`, are finished first. Answered by Done."""

    request: RequestNumber
    container_id: Id
    graceful: bool = False


class InspectCall(Message, frozen=True, tag=137):
    """Describe a call; answered by CallReport or Failed."""

    request: RequestNumber
    call_id: Id


class AskStory(Message, frozen=True, tag=138):
    """Get the history of an input, a call, a container or a function; answered by Story or Failed."""

    request: RequestNumber
    about: Name  #: an id, or "app.function"


class ReadLogs(Message, frozen=True, tag=139):
    """Read logs; answered by LogEntry messages, then Done: with `follow`, once the app or container has ended."""

    request: RequestNumber
    app: Name = ""  #: name or id; may be empty if `container_id` is given
    container_id: Id = ""
    function: Name = ""
    call_id: Id = ""
    stream: Name = ""  #: "stdout", "stderr" or "system"; "": all
    search: Text = ""
    since: Moment | None = None  #: seconds since the epoch
    until: Moment | None = None
    tail: Integer | None = None  #: at most this many, the latest
    follow: bool = False


class DrainNode(Message, frozen=True, tag=140):
    """Take a node out of service: it gets no more containers, and those that it has leave. Answered by Done or Failed.

    What is said last of a node holds, also of the deadline.
    """

    request: RequestNumber
    node: Name
    deadline_s: Seconds | None = None  #: after so many seconds the machine is gone; None: it stays


class ResumeNode(Message, frozen=True, tag=141):
    """Take a node that drains into service again. Answered by Done or Failed."""

    request: RequestNumber
    node: Name


# ---------------------------------------------------------------- server -> client


class Status(Message, frozen=True, tag=150):
    """The state of the server."""

    request: RequestNumber
    pid: Pid
    version: Name
    started_at: Moment
    data_dir: Text  #: "" for a private server
    address: Text
    apps: Count
    containers: Count
    pending: Count  #: inputs that wait
    running: Count
    done: Count  #: inputs that have ended since the server started
    web_url: Text = ""  #: URL of web endpoints; "" until the edge listens
    admin_url: Text = ""  #: URL of dashboard, JSON API and metrics
    web_trouble: Text = ""  #: why the edge does not listen
    admin_token_file: Text = ""  #: file with the token of that URL
    remote_address: Text = ""  #: where clients on other machines connect; "" if they cannot
    remote_token_file: Text = ""  #: file with the token that they need; "" if it is a setting
    refused_nodes: list[RefusedNode] = []  #: machines that are there and get no containers
    nodes_trouble: Text = ""  #: why there are fewer nodes than there should be


class AppRow(Row, frozen=True):
    """One app in a list."""

    app_id: Id
    name: Name
    state: Name  #: "deployed", "ephemeral", "ephemeral (detached)", "stopping…" or "stopped"
    containers: Count
    pending: Count
    running: Count
    created_at: Moment
    version: Version = 0
    stopped_at: Moment | None = None


class AppList(Message, frozen=True, tag=151):
    """Apps, the latest first."""

    request: RequestNumber
    apps: list[AppRow]


class FunctionRow(Row, frozen=True):
    """One function of an app, with the numbers of its pool."""

    name: Name
    function_id: Id
    version: Version
    settings: AutoscalerSettings  #: in force
    starting: Count
    busy: Count
    idle: Count
    pending: Count
    running: Count
    done: Count
    plan: Count  #: containers wanted
    reason: Text  #: why that many
    held_back: Text = ""  #: why fewer exist than planned; "" if none are missing
    schedule: Text = ""
    next_run: Moment | None = None
    is_retired: bool = False
    placement: Name = "pack"  #: of containers on nodes: "pack" or "spread"


class VersionRow(Row, frozen=True):
    """One version of an app."""

    version: Version
    deployed_at: Moment
    provenance: Provenance
    tag: Name
    is_live: bool


class AppDescription(Message, frozen=True, tag=152):
    """One app with its functions."""

    request: RequestNumber
    app: AppRow
    functions: list[FunctionRow]
    tags: Tags = {}
    live: VersionRow | None = None  #: the live version, if the app was ever deployed
    urls: dict[Text, Text] = {}  #: URLs of web functions, by name: "site", "Model.site"
    sites: list[Text] = []  #: names of those that answer at many paths


class VersionList(Message, frozen=True, tag=153):
    """Versions of an app, the latest first."""

    request: RequestNumber
    app_id: Id
    versions: list[VersionRow]


class ContainerRow(Row, frozen=True):
    """One container in a list."""

    container_id: Id
    app_id: Id
    app_name: Name
    function_name: Name
    state: Name  #: as in swell.states
    version: Version
    requested_at: Moment
    ready_at: Moment | None = None
    ended_at: Moment | None = None
    running: Count = 0  #: inputs it has now
    served: Count = 0  #: inputs it has got since its start
    reason: Text = ""  #: why it ended
    node: Name = ""  #: where it runs; "" if that is not known any more


class ContainerList(Message, frozen=True, tag=154):
    """Containers, the latest first."""

    request: RequestNumber
    containers: list[ContainerRow]


class ContainerDescription(Message, frozen=True, tag=155):
    """One container."""

    request: RequestNumber
    container: ContainerRow


class CallReport(Message, frozen=True, tag=156):
    """One call and where its inputs are."""

    request: RequestNumber
    call_id: Id
    app_name: Name
    function_name: Name
    kind: Name  #: "remote", "map", "spawn" or "web"
    opened_at: Moment
    num_inputs: Count | None  #: None while more may come
    pending: Count
    running: Count
    done: Count
    ended_at: Moment | None = None
    parent: Id = ""  #: id of the input that made it


class StoryLine(Row, frozen=True):
    """One event."""

    at: Moment
    text: Text


class StoryPart(Row, frozen=True):
    """A named stretch of time; the parts of a story follow each other without a gap."""

    name: Name
    seconds: Number


class Story(Message, frozen=True, tag=157):
    """The history of an input, a call, a container or a function."""

    request: RequestNumber
    title: Text
    state: Name
    parts: list[StoryPart]  #: of the time from its beginning to its end, or to now
    lines: list[StoryLine]


class LogEntry(Message, frozen=True, tag=158):
    """Lines that a container wrote; the payload is UTF-8 text, each line ending in a newline."""

    request: RequestNumber
    at: Moment
    app_id: Id
    function_name: Name
    container_id: Id
    stream: Name  #: "stdout", "stderr" or "system"
    call_ids: list[Id] = []  #: calls of the inputs that ran then
