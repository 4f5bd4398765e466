"""What can happen to the engine, and what it can ask for.

Events carry everything the engine may not find out by itself: time comes beside them, ids and observations inside them.
Peers are addressed by an opaque number (clients) or by their container id; what is said to or by them is a wire
message, which the engine neither encodes nor decodes. This module must not know how any of it is carried out.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from swell.model import Deployment, Environment, FunctionSpec, Lack, MemoryExcess, Node, RefusedNode
from swell.records import LoadedCall, LoadedSpans, Record, Restored, StoredCall, Trace, Window
from swell.wire.messages import CallDescription, Message


class NodeView(Struct, frozen=True):
    """A node, and what our containers make of its cores; see NodeLoad in `ports`."""

    node: Node
    busy_cores: float = 0.0
    working_cores: float = 0.0
    unjudged: int = 0
    sleepers: int = 0


# ---------------------------------------------------------------- events


class ClientMessage(Struct, frozen=True, gc=False):
    """A client sent a message."""

    client: int
    message: Message
    payload: bytes = b""


class ClientGone(Struct, frozen=True):
    """A client's connection ended, for whatever reason."""

    client: int


class ClientLags(Struct, frozen=True):
    """A client does not read what it is sent; or, with `is_lagging` False, it reads again."""

    client: int
    is_lagging: bool


class ContainerStarted(Struct, frozen=True):
    """The backend made the process."""

    container_id: str


class ContainerMessage(Struct, frozen=True, gc=False):
    """A container sent a message on its data channel."""

    container_id: str
    message: Message
    payload: bytes = b""


class ContainerExited(Struct, frozen=True):
    """The backend saw the container end, or could not start it (`started` False)."""

    container_id: str
    reason: str
    started: bool = True
    excess: MemoryExcess | None = None  #: it was killed for the memory it used


class NodesObserved(Struct, frozen=True):
    """The nodes there are and how busy our containers keep them; replaces what was known."""

    nodes: Sequence[NodeView]
    refused: Sequence[RefusedNode] = ()  #: machines that get no containers
    trouble: str = ""  #: why there are fewer than there should be
    are_awaited: bool = False  #: others are on their way, of which it is not known yet what they have


class NodeDrains(Struct, frozen=True):
    """Whoever gives the node will take it away."""

    node: str
    deadline_s: float | None  #: in so many seconds; None: it is not known when


class ShutdownRequested(Struct, frozen=True):
    """The server is to end: stop every app. Durable ones go on with the next server."""

    reason: str


class StateRestored(Struct, frozen=True):
    """The apps and functions that a former server has recorded. The first event, if there are any."""

    state: Restored


class CallLoaded(Struct, frozen=True):
    """Answers LoadCall."""

    call_id: str
    found: LoadedCall | StoredCall | None
    trouble: str = ""  #: why it cannot be read


class CallsLoaded(Struct, frozen=True):
    """Answers LoadCalls."""

    function_id: str
    calls: Sequence[LoadedCall]


class SpansLoaded(Struct, frozen=True):
    """Answers LoadSpans."""

    spans: LoadedSpans


class DeploymentRead(Struct, frozen=True):
    """Answers ReadDeployment."""

    app_id: str
    version: int
    deployment: Deployment | None
    trouble: str = ""  #: why it cannot be read


class TraceRead(Struct, frozen=True):
    """Answers ReadTrace."""

    client: int
    request: int
    call: StoredCall
    index: int
    trace: Trace | None


class StoreTroubled(Struct, frozen=True):
    """The store has hardly any room left; with "" it has room again."""

    why: str


Event = (
    ClientMessage
    | ClientGone
    | ClientLags
    | ContainerStarted
    | ContainerMessage
    | ContainerExited
    | NodeDrains
    | NodesObserved
    | ShutdownRequested
    | StateRestored
    | CallLoaded
    | CallsLoaded
    | SpansLoaded
    | DeploymentRead
    | TraceRead
    | StoreTroubled
)


# ---------------------------------------------------------------- effects


class SendToClient(Struct, frozen=True, gc=False):
    """Send a message to a client. Not before everything recorded by earlier effects is committed."""

    client: int
    message: Message
    payload: bytes | memoryview = b""
    is_kept: bool = False  #: these results are in the store, from where they can be sent later as well


class SendToContainer(Struct, frozen=True, gc=False):
    """Send a message to a container: Deliver on its data channel, everything else on its control channel."""

    container_id: str
    message: Message
    payload: bytes | memoryview = b""


class StartContainer(Struct, frozen=True):
    """Ask the backend for a container."""

    container_id: str
    app_id: str
    function_id: str
    function_ids: dict[str, str]  #: all functions of the app, so that they can call each other
    spec: FunctionSpec
    environment: Environment
    version: int
    node: str
    gpus: tuple[str, ...] = ()


class KillContainer(Struct, frozen=True):
    """Kill a container at once; ContainerExited will follow."""

    container_id: str
    reason: str


class Persist(Struct, frozen=True, gc=False):
    """Write a record.

    Messages to clients and containers that follow it in the same event are sent once it is durable.
    """

    record: Record


class SendRecorded(Struct, frozen=True):
    """Read recorded results first..last-1 of a call from the store and send them to the client as Outputs.

    Of an ended call all must be there: `must_have` is the request to fail with OutputExpiredError if they are not.
    Reading takes its time; `then` is sent after it, and says that there was nothing more.
    """

    client: int
    call_id: str
    first: int
    last: int
    must_have: int | None = None
    then: CallDescription | None = None
    request: int = 0  #: that fails if they cannot be read


class LoadCall(Struct, frozen=True):
    """Read a call that is not in memory."""

    call_id: str
    window: Window


class LoadCalls(Struct, frozen=True):
    """Read calls of a function that are not in memory, by sequence, from beyond `after` on."""

    function_id: str
    after: int
    calls_max: int
    window: Window


class LoadSpans(Struct, frozen=True):
    """Read inputs of a call that are not in memory, from an index on."""

    call_id: str
    first: int
    window: Window


class ReadDeployment(Struct, frozen=True):
    """Read a version of an app."""

    app_id: str
    version: int


class ReadTrace(Struct, frozen=True):
    """Read when an input of an ended call was queued, delivered and ended."""

    client: int
    request: int
    call: StoredCall
    index: int


class DropBlobs(Struct, frozen=True):
    """Delete the blobs that carried these inputs, (call id, index); `are_kept` if they were to outlive the server."""

    inputs: Sequence[tuple[str, int]]
    are_kept: bool = False


class PollNodes(Struct, frozen=True):
    """Observe the nodes and report NodesObserved: a pool waits to know how busy they are."""


class WantRoom(Struct, frozen=True):
    """So many containers fit on no node, from now on; with none, all that are wanted are there, or can be."""

    lacks: tuple[Lack, ...]


class ReleaseNode(Struct, frozen=True):
    """Give a node back: it is empty, and nothing is placed there any more."""

    name: str


class LogNotice(Struct, frozen=True):
    """Write a line into the log of a function."""

    app_id: str
    function_name: str
    text: str


class DefectFound(Struct, frozen=True):
    """Log the defect because of which a request failed; nothing was changed."""

    error: Exception


class StartEdge(Struct, frozen=True):
    """Start an edge: there are web functions, and no edge serves them."""


class AppEnded(Struct, frozen=True):
    """Forget an app in the shell, too: nothing of it is left."""

    app_id: str


Effect = (
    SendToClient
    | SendToContainer
    | StartContainer
    | KillContainer
    | Persist
    | SendRecorded
    | LoadCall
    | LoadCalls
    | LoadSpans
    | ReadDeployment
    | ReadTrace
    | DropBlobs
    | PollNodes
    | WantRoom
    | ReleaseNode
    | LogNotice
    | DefectFound
    | StartEdge
    | AppEnded
)
