"""What the two ends of a link tell each other: words, which are messages about containers as a whole.

What containers and server tell each other does not pass here: it stays as it is, in channels of its own. What the agent
reports of containers passes in the first channel that it opens, so that it is in order, and so that a flood of output
slows its containers and nothing else.

A change of a word raises `LINK_PROTOCOL`: server and agents are of one version, or the agent is refused with one clear
line. This module must not know sockets, processes or the engine.
"""

from __future__ import annotations

import struct
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from swell.bounds import Count, Id, Integer, Name, Number, Pid, Size, Text
from swell.link.frames import LinkError
from swell.model import MemoryExcess, Node
from swell.ports import LaunchOrder

__all__ = [
    "LINK_PROTOCOL",
    "REPORT_MAX",
    "Drop",
    "Exec",
    "Exited",
    "Forget",
    "Greeting",
    "Interrupt",
    "Kill",
    "Launch",
    "Load",
    "Ping",
    "Pong",
    "Refused",
    "Report",
    "ReportDecoder",
    "Started",
    "Stop",
    "ToAgent",
    "ToServer",
    "Watch",
    "WebOpen",
    "Welcome",
    "Word",
    "Wrote",
    "decode_to_agent",
    "decode_to_server",
    "encode",
    "encode_report",
]

LINK_PROTOCOL: Final = 6
REPORT_MAX: Final = 1 << 20  #: bytes
CERTIFICATE_MAX: Final = 16 << 10  #: bytes
_SIZE: Final = struct.Struct("<I")

T = TypeVar("T")

Port = Annotated[int, Meta(ge=1, le=65_535)]  #: of TCP
Certificate = Annotated[bytes, Meta(max_length=CERTIFICATE_MAX)]


class Word(Struct, array_like=True, frozen=True, gc=False):
    """A message between the two ends of a link."""


# ---------------------------------------------------------------- from the agent, by themselves


class Greeting(Word, frozen=True, tag=1):
    """The agent's first word. Those of other protocols are to be read as well, so that they are refused with a reason.

    So new fields go to the end and have a default.
    """

    link_protocol: Integer
    protocol: Integer  #: what its containers speak
    version: Name  #: of swell
    python: Name  #: as in 3.11
    token: Name  #: lets in one agent, once
    node: Node  #: what it has for containers
    blob_dir: Text  #: where its containers find and leave large values
    shelf: Text  #: where they have these fetched and published
    web_dir: Text  #: where its containers answer requests
    bundle_dir: Text = ""  #: where it lays out the source files of apps


class Load(Word, frozen=True, tag=5):
    """How busy the containers of this node keep it: now and then, and often after a Watch. Fields as of `NodeLoad`."""

    busy_cores: Number
    working_cores: Number
    unjudged: Count
    sleepers: Integer  #: since the last Load


class WebOpen(Word, frozen=True, tag=8):
    """The edge reaches the node's containers, at the address of the link. Told before the first Load."""

    port: Port


class Drop(Word, frozen=True, tag=7):
    """A container has read a blob that nobody else reads: the server deletes it."""

    name: Text


class Ping(Word, frozen=True, tag=6):
    """The sender lives. Either end sends it every second; whoever receives nothing for long ends the link."""


class Pong(Word, frozen=True, tag=9):
    """The agent has received a Ping."""


# ---------------------------------------------------------------- from the agent, in its first channel: reports


class Started(Word, frozen=True, tag=2):
    """A container's process exists."""

    container_id: Id
    pid: Pid


class Exited(Word, frozen=True, tag=3):
    """A container is gone; its channels have ended before, unless something of it had outlived it."""

    container_id: Id
    reason: Text
    started: bool
    excess: MemoryExcess | None = None


class Wrote(Word, frozen=True, tag=4):
    """Lines that a container has written."""

    container_id: Id
    stream: Annotated[str, Meta(pattern="^(stdout|stderr|system)$")]
    text: str


# ---------------------------------------------------------------- to the agent


class Welcome(Word, frozen=True, tag=20):
    """The agent is let in, and its node is there for containers from now on."""

    bulk_port: Integer  #: where the server listens for files, at the address of the link
    bulk_token: Name  #: lets this agent in there
    blob_bytes_max: Size  #: what blobs may take on the node
    web_certificate: Certificate  #: what the agent shows to the edge, with its key, in PEM
    web_token: Name  #: lets in the edge there


class Refused(Word, frozen=True, tag=21):
    """The agent is not let in; the link ends."""

    text: Text


class Launch(Word, frozen=True, tag=22):
    """Start a container. The last word about it is its Exited, however it ends."""

    order: LaunchOrder


class Interrupt(Word, frozen=True, tag=23):
    """Send a container SIGINT. Unknown ids are ignored."""

    container_id: Id


class Kill(Word, frozen=True, tag=24):
    """Kill a container with all its processes. Unknown ids are ignored."""

    container_id: Id


class Watch(Word, frozen=True, tag=25):
    """Tell the load often for a while: somebody waits for it."""

    ready: tuple[str, ...]  #: containers that have checked in since the last Watch: what they use is no start


class Forget(Word, frozen=True, tag=27):
    """The server has deleted blobs of which this node has a copy, or bundles that it has fetched."""

    names: tuple[Text, ...]


class Exec(Word, frozen=True, tag=28):
    """The next channel that the server opens is the pipe of a command beside a container (`swell.ports.Pipe`)."""

    container_id: Id


class Stop(Word, frozen=True, tag=26):
    """Kill the containers, remove what they have left, and end."""


ToServer = Greeting | Load | WebOpen | Drop | Ping | Pong
ToAgent = Welcome | Refused | Launch | Interrupt | Kill | Watch | Forget | Exec | Stop | Ping
Report = Started | Exited | Wrote

_encoder = msgspec.msgpack.Encoder()
_to_server = msgspec.msgpack.Decoder(ToServer)
_reports = msgspec.msgpack.Decoder(Report)
_to_agent = msgspec.msgpack.Decoder(ToAgent)


def encode(word: Word) -> bytes:
    """Return a word as bytes."""
    return _encoder.encode(word)


def decode_to_server(body: bytes) -> ToServer:
    """Return the word of an agent. Raises LinkError if it is none."""
    return _decoded(_to_server, body)


def decode_to_agent(body: bytes) -> ToAgent:
    """Return the word of a server. Raises LinkError if it is none."""
    return _decoded(_to_agent, body)


def encode_report(report: Report) -> bytes:
    """Return a report as bytes of the channel of reports."""
    body = _encoder.encode(report)
    return _SIZE.pack(len(body)) + body


class ReportDecoder:
    """Takes the bytes of a channel of reports, in any pieces, and returns the reports."""

    __slots__ = ("_received",)

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, data: bytes) -> list[Report]:
        """Return the reports that are whole now. Raises LinkError if what came is none."""
        received, at = self._received, 0
        received += data
        reports: list[Report] = []
        while len(received) - at >= _SIZE.size:
            (size,) = _SIZE.unpack_from(received, at)
            if size > REPORT_MAX:
                raise LinkError(f"a report may have {REPORT_MAX:,} bytes, this one has {size:,}")
            end = at + _SIZE.size + size
            if end > len(received):
                break
            reports.append(_decoded(_reports, bytes(received[at + _SIZE.size : end])))
            at = end
        del received[:at]
        return reports


def _decoded(decoder: msgspec.msgpack.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise LinkError(f"what came is no word of protocol {LINK_PROTOCOL}: {error}") from None
