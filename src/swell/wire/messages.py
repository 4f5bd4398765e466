"""All messages on sockets: one struct per message, encoded as a msgpack array led by its tag.

A message travels in one frame (see `codec`), followed by an opaque payload: user bytes that the server never reads.
Where a message carries many inputs or outputs, they are packed: `ends[i]` is the offset in the payload just after
item i, relative to `base` (0 if the message has none), so that any contiguous part of a span can be sent on by slicing.
`items` makes a value of those fields and the payload (see `swell.items`).

This module must not know sockets, files, or the code that handles a message.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from swell.bounds import (
    ITEMS_MAX,
    Code,
    Count,
    Functions,
    Id,
    Index,
    Indexes,
    Integer,
    Limit,
    Name,
    Offsets,
    Pid,
    RequestNumber,
    Seconds,
    Size,
    Text,
)
from swell.items import PackedItems
from swell.model import AutoscalerChange, AutoscalerSettings, CallKind, DeliveryMode, Environment, FunctionSpec
from swell.wire import apps, leases, queries, stats, web
from swell.wire.message import Message

PROTOCOL = 5  #: raised when a change makes older peers misread messages


# ---------------------------------------------------------------- any peer -> server


class Hello(Message, frozen=True, tag=1):
    """First message on every connection."""

    role: Name  #: "client", "container" (the data channel of a container) or "control" (its second channel)
    protocol: Count
    name: Name  #: container id, or a label of the client
    token: Name = ""


# ---------------------------------------------------------------- client -> server


class OpenApp(Message, frozen=True, tag=10):
    """Create an app and its functions; answered by AppOpened or Failed. Resending the same app_id is harmless."""

    request: RequestNumber
    app_id: Id  #: minted by the client
    name: Name
    environment: Environment
    functions: Annotated[list[FunctionSpec], Functions]
    watch: bool = False  #: also send Log and Progress of this app to this connection
    detach: bool = False


class CloseApp(Message, frozen=True, tag=11):
    """Stop an app: its containers drain (exit hooks run), its calls end. Answered by Done when all have ended.

    With `when_idle`, the app stops when its last call has ended. Until then it has no web routes and schedules.
    """

    request: RequestNumber
    app_id: Id
    reason: Text = ""
    when_idle: bool = False


class OpenCall(Message, frozen=True, tag=12):
    """Begin a call with its first inputs, numbered from 0. Resending the same call_id is harmless."""

    call_id: Id
    function_id: Id
    method: Name  #: empty for a function
    kind: CallKind
    ends: Offsets
    sealed: bool  #: no more inputs will follow
    blobs: Indexes = []  #: indexes of inputs whose payload is a reference to a blob
    parent: Id = ""  #: input id of the caller, when a container calls
    resent: bool = False  #: the server may know the call already: the connection broke before the answer
    trace: Annotated[dict[Name, Text], Meta(max_length=100)] = {}  #: the trace context of the caller, as headers
    parameters: bytes = b""  #: encoded class parameters of the variant to call; empty: the function itself
    wants_lease: bool = False  #: the caller calls often, and would like a LeaseGranted

    def items(self, payload: bytes) -> PackedItems[bytes]:
        """Return the inputs."""
        return PackedItems(self.ends, payload, self.blobs)


class PutInputs(Message, frozen=True, tag=13):
    """More inputs of a call, numbered from `first`, which must be the next free number."""

    call_id: Id
    first: Index
    ends: Offsets
    sealed: bool
    blobs: Indexes = []  #: indexes of inputs whose payload is a reference to a blob

    def items(self, payload: bytes) -> PackedItems[bytes]:
        """Return the inputs."""
        return PackedItems(self.ends, payload, [index - self.first for index in self.blobs] if self.blobs else [])


class CancelCall(Message, frozen=True, tag=14):
    """End every unfinished input of a call as TERMINATED. Unknown or finished calls are ignored."""

    call_id: Id
    terminate_containers: bool = False


class Watch(Message, frozen=True, tag=15):
    """Send the outputs of inputs first..last-1 of a spawned call: recorded ones now, later ones as they come.

    A poll sends only the recorded ones; while the call has not ended, a CallDescription follows them.
    """

    request: RequestNumber
    call_id: Id
    first: Index
    last: Index
    is_poll: bool = False


class Unwatch(Message, frozen=True, tag=16):
    """Stop a Watch. Outputs already on their way may still arrive."""

    request: RequestNumber
    call_id: Id


class DescribeCall(Message, frozen=True, tag=17):
    """Get the state of a call; answered by CallDescription, or Failed if the call is unknown."""

    request: RequestNumber
    call_id: Id


class GetStats(Message, frozen=True, tag=18):
    """Get the numbers of a pool; answered by Stats."""

    request: RequestNumber
    function_id: Id


class UpdateAutoscaler(Message, frozen=True, tag=19):
    """Change autoscaler settings, or with an empty change read them; answered by AutoscalerState."""

    request: RequestNumber
    function_id: Id
    change: AutoscalerChange


class BindFunction(Message, frozen=True, tag=20):
    """Get the id of a variant of a function: same code, other parameters or options. Answered by Bound."""

    request: RequestNumber
    function_id: Id
    changes: bytes  #: its changes to the base, as `swell.wire.variant` encodes them; equal changes give equal ids


class TakeItems(Message, frozen=True, tag=21):
    """The consumer of a generator has taken `count` items so far, so that more may be sent."""

    call_id: Id
    index: Index
    count: Count


class Exec(Message, frozen=True, tag=22):
    """Open a pipe to a command beside a container; its first bytes are the payload. Answered by ExecBytes or Failed.

    What passes in the pipe is the words of `swell.wire.exec`. It ends with the connection, and so does the command.
    """

    request: RequestNumber
    container_id: Id


class ExecBytes(Message, frozen=True, tag=23):
    """Bytes of a pipe, in either direction, as the payload. Failed says that the pipe has broken."""

    request: RequestNumber


# ---------------------------------------------------------------- server -> client


class Welcome(Message, frozen=True, tag=39):
    """Answers a client's Hello: the directory and the bounds that the client needs."""

    blob_dir: Text
    payload_inline_max: Size
    map_outstanding_max: Count
    payload_max: Size = 4 << 30
    shelf: Text = ""  #: where blobs are fetched and published, see `swell.wire.shelf`; "": all are in `blob_dir`
    wants_bundles: bool = False  #: containers do not see the client's files: ephemeral apps bring theirs as well
    python: Name = ""  #: its version, as in 3.11: that of the containers of apps that bring their files


class Done(Message, frozen=True, tag=40):
    """The request succeeded and has nothing to return."""

    request: RequestNumber


class Failed(Message, frozen=True, tag=41):
    """The request failed: `code` names the class of the error (see swell.errors), `text` gives the fix."""

    request: RequestNumber
    code: Name
    text: Text
    fields: dict[Name, Any] = {}


class AppOpened(Message, frozen=True, tag=42):
    """The app is created; `function_ids` has the ids of its functions by name.

    `problems` has those that it is without, by name, and why no node can run them.
    """

    request: RequestNumber
    app_id: Id
    function_ids: dict[Name, Id]
    problems: dict[Name, Text] = {}


class Accepted(Message, frozen=True, tag=43):
    """Inputs of a spawned call below `upto` are accepted and will not be lost."""

    call_id: Id
    upto: Count


class Refused(Message, frozen=True, tag=44):
    """Inputs of a call from `first` on were not accepted. `retry_after_s` is None if trying again cannot help."""

    call_id: Id
    first: Index
    code: Name
    text: Text
    fields: dict[Name, Any] = {}
    retry_after_s: Limit | None = None


class Outputs(Message, frozen=True, tag=45):
    """Results: `parts` lists (first index, count) runs, whose items stand in the payload one after another.

    `failures` lists (position among all items, OutputStatus) for those that are not SUCCESS. `blobs` lists positions
    whose payload is a reference to a blob.
    """

    call_id: Id
    parts: Annotated[list[tuple[Index, Count]], Meta(max_length=ITEMS_MAX)]
    ends: Offsets
    failures: Annotated[list[tuple[Index, Code]], Meta(max_length=ITEMS_MAX)] = []
    blobs: Indexes = []
    base: Size = 0

    @classmethod
    def of(cls, call_id: str, parts: list[tuple[int, int]], items: PackedItems[bytes]) -> Outputs:
        """Return the message for results of a call; its payload is that of the items."""
        return cls(call_id, parts, items.ends, items.failures, items.blobs)

    def items(self, payload: bytes) -> PackedItems[bytes]:
        """Return the results."""
        return PackedItems(self.ends, payload, self.blobs, self.failures, self.base)


class Items(Message, frozen=True, tag=46):
    """Values yielded by generator input `index`, in order."""

    call_id: Id
    index: Index
    ends: Offsets

    def items(self, payload: bytes) -> PackedItems[bytes]:
        """Return the values."""
        return PackedItems(self.ends, payload)


class CallDescription(Message, frozen=True, tag=47):
    """The state of a call. `num_inputs` is None until the call is sealed."""

    request: RequestNumber
    call_id: Id
    num_inputs: Count | None
    finished: Count
    function_name: Name


class Stats(Message, frozen=True, tag=48):
    """Numbers of one pool at this moment."""

    request: RequestNumber
    backlog: Count
    total_containers: Count
    running_inputs: Count
    input_headroom: Count


class AutoscalerState(Message, frozen=True, tag=49):
    """The settings in force and their three layers."""

    request: RequestNumber
    effective: AutoscalerSettings
    static: AutoscalerSettings
    override: AutoscalerSettings


class Bound(Message, frozen=True, tag=50):
    """Id of the requested variant."""

    request: RequestNumber
    function_id: Id


class Log(Message, frozen=True, tag=51):
    """Whole lines that a container wrote, each ending in a newline; the payload is UTF-8 text."""

    app_id: Id
    function_name: Name
    container_id: Id
    stream: Name  #: "stdout", "stderr" or "system"


class FunctionProgress(Struct, array_like=True, frozen=True, gc=False):
    """One function's line in a live display."""

    function_name: Name
    starting: Count
    running: Count  #: containers that execute something
    idle: Count
    backlog: Count
    running_inputs: Count
    done: Count
    total: Count  #: inputs accepted so far
    note: Text = ""  #: why it waits, in words; empty when nothing waits


class Progress(Message, frozen=True, tag=52):
    """State of every function of an app; sent at most a few times a second, and only when something changed."""

    app_id: Id
    functions: list[FunctionProgress]


class Notice(Message, frozen=True, tag=53):
    """A warning for the person who runs the app."""

    app_id: Id
    text: Text


# ---------------------------------------------------------------- server -> container


class Load(Message, frozen=True, tag=60):
    """The function that this container is to run: sent on the data channel right after Hello."""

    function_id: Id
    spec: FunctionSpec
    environment: Environment
    function_ids: dict[Name, Id]  #: the app's functions, so that they can call each other
    blob_dir: Text
    payload_inline_max: Size
    payload_max: Size
    frame_max: Size
    exit_grace_s: Limit  #: how long it may take to leave without a Drain
    web_dir: Text = ""  #: where it makes the sockets of its web functions, named by `web_names`
    shelf: Text = ""  #: as in Welcome
    calls_at: Text = ""  #: path of the socket where it is to take direct calls; "": it gets none


class Deliver(Message, frozen=True, tag=61):
    """Run these inputs. Sent on the data channel.

    `mode` is neither LEASE nor DIRECT.
    Items are counted 0..n-1 through all `parts`, each (call_id, first index, count).
    """

    delivery: Count
    mode: DeliveryMode
    method: Name
    parts: list[tuple[Id, Index, Count]]
    ends: Offsets
    blobs: Indexes = []  #: positions whose payload is a reference to a blob
    base: Size = 0
    kept: list[Id] = []  #: calls whose results are kept: their blobs lie in KEPT (see `blob_names`)
    traces: dict[Id, dict[Name, Text]] = {}  #: the trace contexts of the callers, by call, if they have any

    def items(self, payload: bytes) -> PackedItems[bytes]:
        """Return the inputs."""
        return PackedItems(self.ends, payload, self.blobs, [], self.base)


class Cancel(Message, frozen=True, tag=62):
    """Stop items of a delivery: running ones are interrupted, all are answered TERMINATED. Control channel."""

    delivery: Count
    positions: Indexes


class Reclaim(Message, frozen=True, tag=63):
    """Report the finished items of a serial delivery, and give back those not started. Control channel."""

    delivery: Count


class Drain(Message, frozen=True, tag=64):
    """Give back inputs that are not started, finish the rest, run exit hooks, leave. Control channel."""

    grace_s: Limit


class Interrupt(Message, frozen=True, tag=66):
    """Leave at once: running inputs get no output, exit hooks run. SIGINT does the same. Control channel."""

    grace_s: Limit


class ItemsTaken(Message, frozen=True, tag=65):
    """The consumer of a generator has taken `count` items so far. Control channel."""

    delivery: Count
    position: Index
    count: Count


# ---------------------------------------------------------------- container -> server (all on the data channel)


class Ready(Message, frozen=True, tag=80):
    """Imports and enter hooks are done; the container takes inputs."""

    pid: Pid
    startup_s: Seconds
    takes_calls: bool = False  #: it listens where Load has told it to


class StartFailed(Message, frozen=True, tag=81):
    """The user's module or enter hooks raised; the payload is that exception. The container leaves."""

    text: Text


class Completed(Message, frozen=True, tag=82):
    """Results: `parts` lists (delivery, first position, count) runs, whose items stand in the payload in that order."""

    parts: Annotated[list[tuple[Count, Index, Count]], Meta(max_length=ITEMS_MAX)]
    ends: Offsets
    failures: Annotated[list[tuple[Index, Code]], Meta(max_length=ITEMS_MAX)] = []
    blobs: Indexes = []
    busy_s: Seconds = 0.0  #: time spent executing these inputs, summed

    def items(self, payload: bytes) -> PackedItems[bytes]:
        """Return the results."""
        return PackedItems(self.ends, payload, self.blobs, self.failures)


class Returned(Message, frozen=True, tag=83):
    """Items of a delivery from `position` to its end were never started and will not be."""

    delivery: Count
    position: Index


class Yielded(Message, frozen=True, tag=84):
    """Values yielded by the generator input at `position`, in order."""

    delivery: Count
    position: Index
    ends: Offsets

    def items(self, payload: bytes) -> PackedItems[bytes]:
        """Return the values."""
        return PackedItems(self.ends, payload)


class Leaving(Message, frozen=True, tag=85):
    """The container takes no more inputs (single use, or user code asked); it finishes those it has."""


class Resize(Message, frozen=True, tag=86):
    """User code set how many inputs (or batches) this container gets at once, from 1 to `max_inputs`."""

    slots: Integer


ToServer = (
    Hello
    | OpenApp
    | CloseApp
    | OpenCall
    | PutInputs
    | CancelCall
    | Watch
    | Unwatch
    | DescribeCall
    | GetStats
    | UpdateAutoscaler
    | BindFunction
    | TakeItems
    | Exec
    | ExecBytes
    | apps.DeployApp
    | apps.RedeployApp
    | apps.StopApp
    | apps.FindApp
    | apps.FindFunction
    | apps.TagApp
    | queries.GetStatus
    | queries.ListApps
    | queries.DescribeApp
    | queries.ListVersions
    | queries.ListContainers
    | queries.DescribeContainer
    | queries.StopContainer
    | queries.DrainNode
    | queries.ResumeNode
    | queries.InspectCall
    | queries.AskStory
    | queries.ReadLogs
    | stats.Observe
    | web.EdgeUp
    | web.WatchRoutes
    | web.Release
    | web.GetWebUrl
    | leases.Announce
    | leases.DirectAnswered
    | leases.DirectReport
    | leases.LeaseClosed
    | leases.Abandoned
    | Ready
    | StartFailed
    | Completed
    | Returned
    | Yielded
    | Leaving
    | Resize
)
ToClient = (
    Welcome
    | Done
    | Failed
    | AppOpened
    | Accepted
    | Refused
    | Outputs
    | Items
    | CallDescription
    | Stats
    | AutoscalerState
    | Bound
    | Log
    | Progress
    | Notice
    | ExecBytes
    | apps.Deployed
    | apps.AppFound
    | apps.FunctionFound
    | queries.Status
    | queries.AppList
    | queries.AppDescription
    | queries.VersionList
    | queries.ContainerList
    | queries.ContainerDescription
    | queries.CallReport
    | queries.Story
    | queries.LogEntry
    | stats.Observation
    | web.Routes
    | web.Leased
    | web.WebUrl
    | leases.LeaseGranted
)
ToContainer = (
    Load
    | Deliver
    | Cancel
    | Reclaim
    | Drain
    | Interrupt
    | ItemsTaken
    | leases.OpenLease
    | leases.RecallLease
    | leases.CancelDirect
)
ToCallee = leases.LeaseHello | leases.CallDirectly  #: from a client to a container, on a call lease
ToCaller = leases.CallAnswer  #: from a container to a client
