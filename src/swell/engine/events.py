"""What can happen to the engine, and what it can ask for.

Events carry everything the engine may not find out by itself: time comes beside them, ids and observations inside them.
Peers are addressed by an opaque number (clients) or by their container id; what is said to or by them is a wire
message, which the engine neither encodes nor decodes. This module must not know how any of it is carried out.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from swell.model import Environment, FunctionSpec, Node
from swell.ports import StoredOutput
from swell.wire.messages import DescribeCall, Message, Watch


class NodeView(Struct, frozen=True):
    """A node and how many of its cores our containers keep busy."""

    node: Node
    busy_cores: float = 0.0


# ---------------------------------------------------------------- events


class ClientSaid(Struct, frozen=True, gc=False):
    """A client sent a message."""

    client: int
    message: Message
    payload: bytes = b""


class ClientGone(Struct, frozen=True):
    """A client's connection ended, for whatever reason."""

    client: int


class ContainerStarted(Struct, frozen=True):
    """The backend made the process."""

    container_id: str


class ContainerSaid(Struct, frozen=True, gc=False):
    """A container sent a message on its data channel."""

    container_id: str
    message: Message
    payload: bytes = b""


class ContainerExited(Struct, frozen=True):
    """The backend saw the container end, or could not start it (`started` False)."""

    container_id: str
    reason: str
    started: bool = True


class NodesObserved(Struct, frozen=True):
    """The nodes there are and how busy our containers keep them; replaces what was known."""

    nodes: Sequence[NodeView]


class ShutdownRequested(Struct, frozen=True):
    """The server is to end: stop every app."""

    reason: str


Event = ClientSaid | ClientGone | ContainerStarted | ContainerSaid | ContainerExited | NodesObserved | ShutdownRequested


# ---------------------------------------------------------------- effects


class Tell(Struct, frozen=True, gc=False):
    """Send a message to a client. Not before everything recorded by earlier effects is committed."""

    client: int
    message: Message
    payload: bytes | memoryview = b""


class Order(Struct, frozen=True, gc=False):
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
    node: str
    gpus: tuple[str, ...] = ()


class KillContainer(Struct, frozen=True):
    """Kill a container at once; ContainerExited will follow."""

    container_id: str
    reason: str


class RecordOutputs(Struct, frozen=True, gc=False):
    """Keep results of a spawned call."""

    call_id: str
    outputs: Sequence[StoredOutput]


class RecordCall(Struct, frozen=True):
    """A spawned call is finished: keep what is needed to answer questions about it."""

    call_id: str
    function_name: str
    num_inputs: int


class SendRecorded(Struct, frozen=True):
    """Read recorded results first..last-1 of a call from the store and Tell them to the client as Outputs."""

    client: int
    call_id: str
    first: int
    last: int


class AskStore(Struct, frozen=True):
    """The engine no longer knows the call a client asks about, or never did: answer from the store."""

    client: int
    message: Watch | DescribeCall


class DropBlobs(Struct, frozen=True):
    """Delete the blobs that carried these inputs, (call id, index)."""

    inputs: Sequence[tuple[str, int]]


class LookAtNodes(Struct, frozen=True):
    """Observe the nodes and report NodesObserved: something waits to know how busy they are."""


class AppEnded(Struct, frozen=True):
    """Nothing of this app is left."""

    app_id: str


Effect = (
    Tell
    | Order
    | StartContainer
    | KillContainer
    | RecordOutputs
    | RecordCall
    | SendRecorded
    | AskStore
    | DropBlobs
    | LookAtNodes
    | AppEnded
)
