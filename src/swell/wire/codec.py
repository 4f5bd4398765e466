"""Frames: how a message and its payload become bytes on a stream, and how they are found again.

    frame = header size (u32, little endian) | payload size (u32) | header (msgpack) | payload (opaque bytes)

Sizes are checked before anything is allocated for them. This module must not know sockets or the meaning of a message.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Any, Generic, TypeVar

import msgspec

from swell.wire.messages import Message, ToClient, ToContainer, ToServer

__all__ = ["HEADER_MAX", "FrameDecoder", "FrameError", "encode", "for_client", "for_container", "for_server"]

PREFIX = struct.Struct("<II")
HEADER_MAX = 32 << 20  #: a span's offsets, or all specs of an app with pickled functions

M = TypeVar("M")

_encoder = msgspec.msgpack.Encoder()


class FrameError(Exception):
    """The peer does not speak this protocol: the connection must be closed. Says what was wrong."""


def encode(message: Message, payload: bytes | memoryview = b"") -> bytes:
    """Return one whole frame."""
    header = _encoder.encode(message)
    return b"".join((PREFIX.pack(len(header), len(payload)), header, payload))


class FrameDecoder(Generic[M]):
    """Turns a stream of bytes into (message, payload) pairs; feed it whatever arrived.

    A decoder that raised FrameError is spent.
    """

    def __init__(self, kind: msgspec.msgpack.Decoder[M], frame_max: int) -> None:
        self._kind = kind
        self.frame_max = frame_max  #: bytes that the payload of one frame may have
        self._buffer = bytearray()
        self._need = PREFIX.size

    def feed(self, data: bytes | bytearray | memoryview) -> list[tuple[M, bytes]]:
        """Take bytes in and return the frames that are now complete, in order.

        Raises:
            FrameError: sizes out of bounds, or a header that is not a known message.
        """
        buffer = self._buffer
        buffer += data
        if len(buffer) < self._need:
            return []
        frames: list[tuple[M, bytes]] = []
        start, size = 0, len(buffer)
        with memoryview(buffer) as view:
            while size - start >= PREFIX.size:
                header_size, payload_size = PREFIX.unpack_from(view, start)
                self._check(header_size, payload_size)
                end = start + PREFIX.size + header_size + payload_size
                if size < end:
                    self._need = end - start
                    break
                body = start + PREFIX.size
                message = self._decode(view[body : body + header_size])
                frames.append((message, bytes(view[body + header_size : end])))
                start = end
            else:
                self._need = PREFIX.size
        del buffer[:start]
        return frames

    def _check(self, header_size: int, payload_size: int) -> None:
        if header_size > HEADER_MAX:
            raise FrameError(f"header of {header_size} bytes is over the limit of {HEADER_MAX}")
        if payload_size > self.frame_max:
            raise FrameError(f"payload of {payload_size} bytes is over the limit of {self.frame_max} (frame_max)")

    def _decode(self, header: memoryview) -> M:
        try:
            return self._kind.decode(header)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise FrameError(f"not a message of this protocol: {error}") from None


# Made when first needed, and then shared: a decoder is immutable, and building one takes longer than a call.
@cache
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)


def for_server(frame_max: int) -> FrameDecoder[ToServer]:
    """A decoder for what reaches the server."""
    return FrameDecoder(_decoder(ToServer), frame_max)


def for_client(frame_max: int) -> FrameDecoder[ToClient]:
    """A decoder for what reaches a client."""
    return FrameDecoder(_decoder(ToClient), frame_max)


def for_container(frame_max: int) -> FrameDecoder[ToContainer]:
    """A decoder for what reaches a container."""
    return FrameDecoder(_decoder(ToContainer), frame_max)
