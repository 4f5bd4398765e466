"""What people ask of a server, and its answers: what there is, how it is doing, and why.

Nothing here changes anything, but for StopContainer. Tags from 130 on. This module must not know who asks, or how an
answer is shown.
"""

from __future__ import annotations

from msgspec import Struct

from swell.model import AutoscalerSettings, Environment, Provenance
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
    "FunctionRow",
    "GetStatus",
    "InspectCall",
    "ListApps",
    "ListContainers",
    "ListVersions",
    "LogEntry",
    "ReadLogs",
    "Status",
    "StopContainer",
    "Story",
    "StoryLine",
    "StoryPart",
    "VersionList",
    "VersionRow",
]


class Row(Struct, array_like=True, frozen=True, gc=False):
    """Base of what answers are made of."""


# ---------------------------------------------------------------- client -> server


class GetStatus(Message, frozen=True, tag=130):
    """Answered by Status."""

    request: int


class ListApps(Message, frozen=True, tag=131):
    """Answered by AppList: those that run, and lasting ones that were stopped."""

    request: int


class DescribeApp(Message, frozen=True, tag=132):
    """Answered by AppDescription or Failed."""

    request: int
    app: str  #: its name or id


class ListVersions(Message, frozen=True, tag=133):
    """Answered by VersionList or Failed."""

    request: int
    app: str


class ListContainers(Message, frozen=True, tag=134):
    """Answered by ContainerList."""

    request: int
    app: str = ""  #: only those of this app
    gone: int = 0  #: so many of those that are no more, too


class DescribeContainer(Message, frozen=True, tag=135):
    """Answered by ContainerDescription or Failed."""

    request: int
    container_id: str


class StopContainer(Message, frozen=True, tag=136):
    """Have a container leave: what it runs is run again elsewhere or, if `graceful`, finished. Answered by Done."""

    request: int
    container_id: str
    graceful: bool = False


class InspectCall(Message, frozen=True, tag=137):
    """Answered by CallReport or Failed."""

    request: int
    call_id: str


class AskStory(Message, frozen=True, tag=138):
    """Ask why an input, a call, a container or a function is where it is. Answered by Story or Failed."""

    request: int
    about: str  #: an id, or "app.function"


class ReadLogs(Message, frozen=True, tag=139):
    """Answered by LogEntry messages, and with Done after the last: with `follow`, when nothing more can come."""

    request: int
    app: str = ""  #: name or id; may be empty if `container_id` is given
    container_id: str = ""
    function: str = ""
    call_id: str = ""
    stream: str = ""  #: "stdout", "stderr" or "system"; "": all
    search: str = ""
    since: float | None = None  #: seconds since the epoch
    until: float | None = None
    tail: int | None = None  #: only so many, the latest
    follow: bool = False


# ---------------------------------------------------------------- server -> client


class Status(Message, frozen=True, tag=150):
    """How the server is doing."""

    request: int
    pid: int
    version: str
    started_at: float
    data_dir: str  #: "" for a server that keeps nothing
    address: str
    apps: int
    containers: int
    pending: int  #: inputs that wait
    running: int
    done: int  #: since the server started
    web_url: str = ""  #: where web endpoints answer; "" as long as nothing listens
    admin_url: str = ""  #: where dashboard, JSON API and metrics do
    web_trouble: str = ""  #: why nothing listens
    admin_token_file: str = ""  #: where the token is that opens them


class AppRow(Row, frozen=True):
    """One app in a list."""

    app_id: str
    name: str
    state: str  #: "deployed", "ephemeral", "ephemeral (detached)", "stopping…" or "stopped"
    containers: int
    pending: int
    running: int
    created_at: float
    version: int = 0
    stopped_at: float | None = None


class AppList(Message, frozen=True, tag=151):
    """Apps, the latest first."""

    request: int
    apps: list[AppRow]


class FunctionRow(Row, frozen=True):
    """One function of an app, with its pool as it is now."""

    name: str
    function_id: str
    version: int
    settings: AutoscalerSettings  #: in force
    starting: int
    busy: int
    idle: int
    pending: int
    running: int
    done: int
    plan: int  #: containers wanted
    reason: str  #: why so many
    held_back: str = ""  #: why there are not as many, "" if there are
    schedule: str = ""
    next_run: float | None = None
    is_retired: bool = False


class VersionRow(Row, frozen=True):
    """One version of an app."""

    version: int
    deployed_at: float
    provenance: Provenance
    tag: str
    is_live: bool


class AppDescription(Message, frozen=True, tag=152):
    """One app with its functions."""

    request: int
    app: AppRow
    functions: list[FunctionRow]
    tags: dict[str, str] = {}
    live: VersionRow | None = None  #: the version that is live, if it was ever deployed
    urls: dict[str, str] = {}  #: where web functions answer, by name: "site", "Model.site"


class VersionList(Message, frozen=True, tag=153):
    """Versions of an app, the latest first."""

    request: int
    app_id: str
    versions: list[VersionRow]


class ContainerRow(Row, frozen=True):
    """One container in a list."""

    container_id: str
    app_id: str
    app_name: str
    function_name: str
    state: str  #: as in swell.states
    version: int
    requested_at: float
    ready_at: float | None = None
    ended_at: float | None = None
    running: int = 0  #: inputs it has
    served: int = 0  #: inputs it was given in its life
    reason: str = ""  #: why it ended


class ContainerList(Message, frozen=True, tag=154):
    """Containers, the latest first."""

    request: int
    containers: list[ContainerRow]


class ContainerDescription(Message, frozen=True, tag=155):
    """One container, with what a command needs to run beside it."""

    request: int
    container: ContainerRow
    pid: int  #: 0 if it does not run
    environment: Environment
    variables: dict[str, str]  #: that it has beyond those of its environment
    workdir: str
    gpus: list[str] = []  #: uuids of those that it alone may use


class CallReport(Message, frozen=True, tag=156):
    """One call and where its inputs are."""

    request: int
    call_id: str
    app_name: str
    function_name: str
    kind: str  #: "remote", "map", "spawn" or "web"
    opened_at: float
    num_inputs: int | None  #: None while more may come
    pending: int
    running: int
    done: int
    ended_at: float | None = None
    parent: str = ""  #: id of the input that made it


class StoryLine(Row, frozen=True):
    """Something that happened."""

    at: float
    text: str


class StoryPart(Row, frozen=True):
    """A stretch of time that has a name; the parts of a story follow each other without a gap."""

    name: str
    seconds: float


class Story(Message, frozen=True, tag=157):
    """What happened to something, and why."""

    request: int
    title: str
    state: str
    parts: list[StoryPart]  #: of the time from its beginning to its end, or to now
    lines: list[StoryLine]


class LogEntry(Message, frozen=True, tag=158):
    """Lines that a container wrote; the payload is UTF-8 text, each line ending in a newline."""

    request: int
    at: float
    app_id: str
    function_name: str
    container_id: str
    stream: str  #: "stdout", "stderr" or "system"
    call_ids: list[str] = []  #: of the inputs that ran then
