"""What the server and its broker tell each other, over a socket pair: frames of a size and a MessagePack value.

    frame = u32 size | value, size ≤ FRAME_MAX, looked at before anything is read

Both ends are of one installation of swell, one the child of the other, so there are no versions. This module must not
know Ray, sockets or processes.
"""

from __future__ import annotations

import struct
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from swell.errors import Error
from swell.slices import Slice

__all__ = [
    "FRAME_MAX",
    "SIZE_BYTES",
    "Begin",
    "BrokerError",
    "Connected",
    "Failed",
    "Gone",
    "Nodes",
    "Ping",
    "Pong",
    "RayNode",
    "Release",
    "Scaling",
    "Start",
    "Started",
    "ToBroker",
    "ToServer",
    "decode_to_broker",
    "decode_to_server",
    "encode",
    "size_of",
]

FRAME_MAX: Final = 8 << 20  #: bytes: some ten thousand machines
_SIZE: Final = struct.Struct("<I")
SIZE_BYTES: Final = _SIZE.size


class BrokerError(Error):
    """The broker and the server do not understand each other."""


# ---------------------------------------------------------------- to the broker


class Begin(Struct, frozen=True, tag="begin"):
    """The first message: which cluster, and whose agents."""

    address: str  #: HOST:PORT; or auto: RAY_ADDRESS, or the Ray of this machine; or local: a small Ray is started
    namespace: str  #: of the server's actors
    run: str  #: what the names of this run's agents begin with
    runtime_env: str  #: a JSON object that Ray gets for the actors; "" for none
    may_start: bool  #: a small Ray is started if the address is auto and this machine has none


class Start(Struct, frozen=True, tag="start"):
    """Have an agent started as soon as Ray has room for its slice."""

    agent: str
    order: bytes  #: an AgentOrder
    slice: Slice | None  #: None: all that is free on a node without an agent of this server
    avoid: tuple[str, ...] = ()  #: machines on which agents were not let in: they are tried when no other has room


class Release(Struct, frozen=True, tag="release"):
    """End an agent that was started, or is to be."""

    agent: str


class Ping(Struct, frozen=True, tag="ping"):
    """The broker is to say that it lives. It does so at once, whatever Ray makes it wait for."""


# ---------------------------------------------------------------- to the server


class Connected(Struct, frozen=True, tag="connected"):
    """Ray is reached."""

    host: str  #: where the other machines of the cluster reach this one
    version: str  #: of Ray
    agents: tuple[str, ...]  #: of this server, and of former ones, that are there
    is_own: bool  #: it was started for this server, and ends with the broker


class Failed(Struct, frozen=True, tag="failed"):
    """The broker can do nothing, and ends."""

    why: str


class Started(Struct, frozen=True, tag="started"):
    """The process of an agent runs."""

    agent: str
    node: str  #: id of the machine, as Ray has it


class Gone(Struct, frozen=True, tag="gone"):
    """An agent has ended, or could not be started."""

    agent: str
    why: str
    node: str = ""  #: the machine, if Ray had chosen one


class RayNode(Struct, frozen=True):
    """A machine of the cluster that is alive."""

    node: str  #: its id, as Ray has it
    host: str
    cpu: float
    cpu_free: float
    memory_bytes: int
    memory_free_bytes: int
    gpus: float
    gpus_free: float
    draining_until: float | None = None  #: seconds since the epoch, 0 for no deadline; None: it is not draining


class Scaling(Struct, frozen=True):
    """What Ray's autoscaler does for agents that wait; told only while some do."""

    is_there: bool = False  #: the cluster has one, and it tells what it does, as that of `ray up` and KubeRay
    starting: dict[str, int] = {}  #: machines that are being added, by type
    infeasible: tuple[Slice, ...] = ()  #: what is wanted, and no machine that it could add holds
    failure: str = ""  #: why it could not add one, the last time


class Nodes(Struct, frozen=True, tag="nodes"):
    """The machines have changed, or what is free on them, or what the autoscaler does; all of it."""

    nodes: tuple[RayNode, ...]
    scaling: Scaling = Scaling()


class Pong(Struct, frozen=True, tag="pong"):
    """The broker lives."""

    waits_s: float  #: for how long it has waited for Ray, which it asks one thing at a time


ToBroker = Begin | Start | Release | Ping
ToServer = Connected | Failed | Started | Gone | Nodes | Pong

T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder()
_to_broker: msgspec.msgpack.Decoder[ToBroker] = msgspec.msgpack.Decoder(ToBroker)
_to_server: msgspec.msgpack.Decoder[ToServer] = msgspec.msgpack.Decoder(ToServer)


def encode(message: ToBroker | ToServer) -> bytes:
    """Return a message as a frame."""
    body = _encoder.encode(message)
    return _SIZE.pack(len(body)) + body


def size_of(head: bytes) -> int:
    """Return the size of a value from the head of its frame.

    Raises:
        BrokerError: it is beyond the bound.
    """
    (size,) = _SIZE.unpack(head)
    if size > FRAME_MAX:
        raise BrokerError(f"a frame of {size:,} bytes; at most {FRAME_MAX:,} are taken")
    return size


def decode_to_broker(body: bytes) -> ToBroker:
    """Return a message of the server. Raises BrokerError if it is none."""
    return _decode(_to_broker, body)


def decode_to_server(body: bytes) -> ToServer:
    """Return a message of the broker. Raises BrokerError if it is none."""
    return _decode(_to_server, body)


def _decode(decoder: msgspec.msgpack.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:
        raise BrokerError(f"a message that is none: {error}") from None
