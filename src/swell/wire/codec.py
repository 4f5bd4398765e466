"""Frames: encode a message and its payload as bytes of a stream, and decode them.

    frame = header size (u32, little endian) | payload size (u32) | header (msgpack) | payload (opaque bytes)

Sizes are checked before anything is allocated for them. A header that is not msgpack, or not a known message, ends the
connection: the bytes after it cannot be interpreted. A known message with a value out of bounds is a `Misfit`: the
frames behind it can be read, so that only this message is answered with an error. This module must not know sockets or
the meaning of a message.
"""

from __future__ import annotations

import re
import struct
import sys
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar, get_args

import msgspec

from swell.bounds import Id, RequestNumber
from swell.wire.messages import Message, ToCallee, ToCaller, ToClient, ToContainer, ToServer

__all__ = [
    "DIRECT_HEADER_MAX",
    "HEADER_MAX",
    "HELLO_MAX",
    "CalleeDecoder",
    "FrameDecoder",
    "FrameError",
    "Misfit",
    "PeerDecoder",
    "encode",
    "for_callee",
    "for_caller",
    "for_client",
    "for_container",
    "for_server",
]

PREFIX = struct.Struct("<II")
HEADER_MAX = 32 << 20  #: bytes: room for a span's offsets, or all specs of an app with pickled functions
HELLO_MAX = 16 << 10  #: bytes from a peer that has not sent its Hello: room for a long name and token

DIRECT_HEADER_MAX = 64 << 10  #: bytes of a message on a call lease: room for a trace context

M = TypeVar("M")

_PLACE = re.compile(r"\$\[(\d{1,3})\]")  #: of a field, as msgspec writes it

_encoder = msgspec.msgpack.Encoder()


class FrameError(Exception):
    """The peer broke the protocol: the connection must be closed. The text names the fault."""


def encode(message: msgspec.Struct, payload: bytes | memoryview = b"") -> bytes:
    """Return one whole frame."""
    header = _encoder.encode(message)
    return b"".join((PREFIX.pack(len(header), len(payload)), header, payload))


class FrameDecoder(Generic[M]):
    """Turns a stream of bytes into (message, payload) pairs; feed it the bytes as they arrive.

    A decoder that raised FrameError cannot be used again.
    """

    def __init__(self, kind: msgspec.msgpack.Decoder[M], frame_max: int, header_max: int = HEADER_MAX) -> None:
        self._kind = kind
        self.frame_max = frame_max  #: bytes that the payload of one frame may have
        self.header_max = header_max  #: bytes that its header may have
        self._frames_max = sys.maxsize  # frames that one `feed` returns; further ones stay for the next
        self._buffer = bytearray()
        self._need = PREFIX.size

    def feed(self, data: bytes | bytearray | memoryview) -> list[tuple[M, bytes]]:
        """Take bytes in and return the frames that are now complete, in order.

        Raises:
            FrameError: sizes out of bounds, or a header that is not a known message.
        """
        buffer = self._buffer
        if not buffer:  # most reads: what arrived begins with a frame, and is decoded where it is
            frames, end = self._cut(data)
            if end < len(data):
                buffer += memoryview(data)[end:]
            return frames
        buffer += data
        if len(buffer) < self._need:
            return []
        frames, end = self._cut(buffer)
        del buffer[:end]
        return frames

    def _cut(self, data: bytes | bytearray | memoryview) -> tuple[list[tuple[M, bytes]], int]:
        """Return the whole frames at the start of `data`, and where they end."""
        frames: list[tuple[M, bytes]] = []
        start, size = 0, len(data)
        self._need = PREFIX.size
        with memoryview(data) as view:
            while size - start >= PREFIX.size and len(frames) < self._frames_max:
                header_size, payload_size = PREFIX.unpack_from(view, start)
                if header_size > self.header_max or payload_size > self.frame_max:
                    raise self._too_large(header_size, payload_size)
                body = start + PREFIX.size
                payload = body + header_size
                end = payload + payload_size
                if size < end:
                    self._need = end - start
                    break
                message = self._decode(view[body:payload])
                frames.append((message, bytes(view[payload:end]) if payload_size else b""))
                start = end
        return frames, start

    def _too_large(self, header_size: int, payload_size: int) -> FrameError:
        if header_size > self.header_max:
            return FrameError(f"header of {header_size} bytes is over the limit of {self.header_max}")
        return FrameError(f"payload of {payload_size} bytes is over the limit of {self.frame_max} (frame_max)")

    def _decode(self, header: memoryview) -> M:
        try:
            return self._kind.decode(header)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise FrameError(f"not a message of this protocol: {error}") from None


class Misfit(NamedTuple):
    """The readable parts of a message of a known type that has a value out of bounds."""

    kind: type[Message]
    why: str
    request: int  #: 0 if it has no request number, or an unreadable one
    call_id: str  #: "" if it has no call id, or an unreadable one


class PeerDecoder(FrameDecoder[ToServer | Misfit]):
    """Decodes messages of untrusted peers to a server; a known message with a value out of bounds becomes a Misfit.

    Until `trust`, it takes no more than a Hello: an unidentified peer can make a server keep HELLO_MAX bytes. Frames
    that arrive with the Hello are returned by the next `feed`, when the server has judged the Hello.

    Args:
        frame_max: bytes that the payload of one frame may have, once the peer is trusted.
    """

    def __init__(self, frame_max: int) -> None:
        super().__init__(_decoder(ToServer), 0)
        self.header_max = HELLO_MAX
        self._frames_max = 1
        self._trusted_max = frame_max

    def trust(self) -> None:
        """Accept frames up to the full bounds from now on."""
        self.frame_max, self.header_max, self._frames_max = self._trusted_max, HEADER_MAX, sys.maxsize

    def _decode(self, header: memoryview) -> ToServer | Misfit:
        try:
            return self._kind.decode(header)
        except msgspec.ValidationError as error:
            misfit = _misfit(header, str(error))
            if misfit is None:
                raise FrameError(f"not a message of this protocol: {error}") from None
            return misfit
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise FrameError(f"not a message of this protocol: {error}") from None


def _misfit(header: memoryview, why: str) -> Misfit | None:
    """Return the readable parts of a known message; None if the message is unknown."""
    try:
        parts = _parts(header)
        kind = _kinds().get(_tag(parts[0])) if parts else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if kind is None:
        return None
    fields = dict(zip(kind.__struct_fields__, parts[1:], strict=False))
    return Misfit(
        kind, _in_words(kind, why), _read(_request, fields.get("request"), 0), _read(_id, fields.get("call_id"), "")
    )


def _in_words(kind: type[Message], why: str) -> str:
    """Return the fault of a message, with the field's name in place of its position: `$[2]` is the second field."""
    fields = kind.__struct_fields__
    where = _PLACE.sub(lambda found: fields[int(found[1]) - 1] if 0 < int(found[1]) <= len(fields) else found[0], why)
    return f"{kind.__name__}: {where}"


def _read(decode: Any, part: msgspec.Raw | None, otherwise: Any) -> Any:
    if part is None:
        return otherwise
    try:
        return decode(part)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return otherwise


_parts = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_tag = msgspec.msgpack.Decoder(int).decode
_request = msgspec.msgpack.Decoder(RequestNumber).decode
_id = msgspec.msgpack.Decoder(Id).decode


@cache
def _kinds() -> dict[int, type[Message]]:
    """All messages to a server, by tag."""
    return {kind.__struct_config__.tag: kind for kind in get_args(ToServer)}


# Made when first needed, and then shared: a decoder is immutable, and building one takes longer than a call.
@cache
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)


def for_server(frame_max: int) -> FrameDecoder[ToServer]:
    """Return a decoder of messages to the server."""
    return FrameDecoder(_decoder(ToServer), frame_max)


def for_client(frame_max: int) -> FrameDecoder[ToClient]:
    """Return a decoder of messages to a client."""
    return FrameDecoder(_decoder(ToClient), frame_max)


def for_container(frame_max: int) -> FrameDecoder[ToContainer]:
    """Return a decoder of messages to a container."""
    return FrameDecoder(_decoder(ToContainer), frame_max)


class CalleeDecoder(FrameDecoder[ToCallee]):
    """Decodes messages on a call lease to a container: until `trust`, one, without a payload, as `PeerDecoder`."""

    def __init__(self) -> None:
        super().__init__(_decoder(ToCallee), 0, DIRECT_HEADER_MAX)
        self._frames_max = 1

    def trust(self, frame_max: int) -> None:
        """Accept any frames, of at most `frame_max` bytes, from now on: the token of the LeaseHello was right."""
        self.frame_max, self._frames_max = frame_max, sys.maxsize


def for_callee() -> CalleeDecoder:
    """Return a decoder of messages on a call lease to a container."""
    return CalleeDecoder()


def for_caller(frame_max: int) -> FrameDecoder[ToCaller]:
    """Return a decoder of messages on a call lease to a client."""
    return FrameDecoder(_decoder(ToCaller), frame_max, DIRECT_HEADER_MAX)
