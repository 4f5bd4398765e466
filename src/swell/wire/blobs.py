"""Large values as files on shelves, passed by name: on one machine, in a directory that both ends see.

    file = count of parts (u64, little endian) | size of each part (u64) | part 0: the pickle | the other parts, aligned

The parts after the first are the pickle's out-of-band buffers: they are written from where they lie, and read from
where the shelf has mapped the file, so that an array is neither copied on the way out nor on the way in, and may be
written to.
This module must not know sockets, messages, or when a file is to be deleted.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Sequence
from typing import Any, Final

from swell.errors import DeserializationError, RequestSizeError, SerializationError
from swell.wire import payload
from swell.wire.blob_file import ALIGNMENT, PARTS_MAX
from swell.wire.blob_names import is_blob_name
from swell.wire.shelf import Shelf, ShelfError

__all__ = [
    "PAYLOAD_MAX",
    "discard",
    "pack",
    "pickled",
    "read",
    "read_single",
    "starts_with",
    "store",
    "unpack",
    "unpack_arguments",
]

PAYLOAD_MAX: Final = 4 << 30  #: bytes of one value, unless the caller gives another bound

_SIZE = struct.Struct("<Q")


def pack(value: object, inline_max: int, shelf: Shelf, name: str, *, size_max: int = PAYLOAD_MAX) -> tuple[bytes, bool]:
    """Return (pickle, False), or (name, True) after writing a file if the pickle is over `inline_max` bytes.

    Raises:
        SerializationError: the value cannot be pickled, or there is no room for the file.
        RequestSizeError: the pickle is over `size_max` bytes.
    """
    packed = pickled(value, inline_max)
    if isinstance(packed, bytes):
        return packed, False
    return store(packed, shelf, name, size_max=size_max), True


def pickled(value: object, inline_max: int) -> bytes | list[memoryview]:
    """Return a value's pickle or, if that is over `inline_max` bytes, the parts to `store`.

    Raises:
        SerializationError: the value cannot be pickled.
    """
    if type(value) in payload.FLAT and len(data := pickle.dumps(value, payload.PROTOCOL)) <= inline_max:
        return data  # most results: they have no buffers
    data, found = payload.dumps_apart(value)
    if not found and len(data) <= inline_max:
        return data
    buffers = [buffer.raw() for buffer in found]
    if buffers and len(data) + sum(buffer.nbytes for buffer in buffers) <= inline_max:
        return payload.dumps(value)  # small arrays: pickling them again is cheaper than a file
    return [memoryview(data), *buffers]


def store(parts: Sequence[memoryview], shelf: Shelf, name: str, *, size_max: int = PAYLOAD_MAX) -> bytes:
    """Write the parts of a pickled value as a file; return its name as bytes.

    When this returns, the server has the file, and one in KEPT is on its disk.

    Raises:
        SerializationError: there is no room for the file, or it cannot be published.
        RequestSizeError: it would be over `size_max` bytes.
    """
    size = sum(part.nbytes for part in parts)
    if size > size_max:
        raise RequestSizeError(
            f"a value takes {size} bytes, over the limit of {size_max} (payload_max): pass a path, or split it"
        )
    try:
        shelf.write(name, _pieces(parts))
    except (OSError, ShelfError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise SerializationError(f"cannot store a value of {size} bytes in {shelf.place}: {why}") from error
    return name.encode()


def unpack(data: bytes, shelf: Shelf) -> Any:
    """Return the value in the file that `data` names. The file may be deleted afterwards.

    Raises:
        DeserializationError: the name is not a plain one, the file is missing or damaged, or its pickle cannot be read.
    """
    parts = read(data, shelf)
    return payload.loads(parts[0], parts[1:])


def read(data: bytes, shelf: Shelf) -> list[memoryview]:
    """Return the parts of the file that `data` names: the pickle, and its buffers.

    Raises:
        DeserializationError: the name is not a plain one, or the file is missing, out of reach, or damaged.
    """
    return _read(shelf, _checked_name(data))


def unpack_arguments(data: bytes, shelf: Shelf) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """As `unpack`, for the arguments of one call."""
    parts = read(data, shelf)
    return payload.decode_arguments(parts[0], parts[1:])


def starts_with(lead: bytes, data: bytes, shelf: Shelf) -> bool:
    """Tell whether the pickle in the file that `data` names begins with `lead`; False if it cannot be read."""
    name = data.decode("utf-8", "replace")
    if not is_blob_name(name):
        return False
    try:
        whole = shelf.read(name)
        if whole.nbytes < _SIZE.size:
            return False
        end = _SIZE.size * (1 + _SIZE.unpack_from(whole)[0])
        begin = end + _padding(end)
        return bytes(whole[begin : begin + len(lead)]) == lead
    except (OSError, ShelfError, ValueError):  # it is missing, or damaged: a full read reports that
        return False


def read_single(data: bytes, shelf: Shelf, size_max: int) -> bytes:
    """Return the bytes in the file that `data` names, which has one part.

    Raises:
        DeserializationError: the name is not a plain one, the file is missing or damaged, or has several parts.
        RequestSizeError: the part is over `size_max` bytes.
    """
    name = _checked_name(data)
    parts = _read(shelf, name)
    if len(parts) != 1:
        raise DeserializationError(f"blob {name} has {len(parts)} parts; one was expected")
    if parts[0].nbytes > size_max:
        raise RequestSizeError(f"the value takes {parts[0].nbytes} bytes, over the limit of {size_max}")
    return bytes(parts[0])


def discard(data: bytes, shelf: Shelf) -> None:
    """Delete the file that `data` names, if it is there, on this machine and the server's.

    Raises:
        DeserializationError: the name is not a plain one.
    """
    shelf.drop(_checked_name(data))


def _checked_name(data: bytes) -> str:
    name = data.decode("utf-8", "replace")
    if not is_blob_name(name):
        raise DeserializationError(f"{name!r:.300} is not the name of a blob: letters, digits, '.', '_' and '-' only")
    return name


def _padding(size: int) -> int:
    return -size % ALIGNMENT


def _pieces(parts: Sequence[memoryview]) -> list[memoryview]:
    """Return what to write: the head and the parts, each aligned."""
    head = b"".join([_SIZE.pack(len(parts)), *(_SIZE.pack(part.nbytes) for part in parts)])
    pieces: list[memoryview] = []
    for part in (memoryview(head), *parts):
        pieces.append(part)
        pieces.append(memoryview(bytes(_padding(part.nbytes))))
    return pieces


def _read(shelf: Shelf, name: str) -> list[memoryview]:
    try:
        whole = shelf.read(name)
    except (OSError, ShelfError, ValueError) as error:
        raise DeserializationError(f"cannot read blob {name} in {shelf.place}: {error}") from error
    if whole.nbytes < _SIZE.size or not 1 <= (count := _SIZE.unpack_from(whole)[0]) <= PARTS_MAX:
        raise DeserializationError(f"blob {name} is damaged: it does not begin with a count of parts")
    end = _SIZE.size * (1 + count)
    if whole.nbytes < end:
        raise DeserializationError(f"blob {name} is damaged: its list of parts is cut off")
    sizes: tuple[int, ...] = struct.unpack_from(f"<{count}Q", whole, _SIZE.size)
    parts: list[memoryview] = []
    for size in sizes:
        end += _padding(end)
        if whole.nbytes < end + size:
            raise DeserializationError(f"blob {name} is damaged: it holds {whole.nbytes} bytes of {end + size} or more")
        parts.append(whole[end : end + size])
        end += size
    return parts
