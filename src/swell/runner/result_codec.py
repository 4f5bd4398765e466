"""Encodes the outcome of an input, a value or an exception, and decodes its arguments.

This module must not know deliveries, threads or sockets.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Sequence, Set
from typing import Any, Final

import swell.wire
from swell.errors import DeserializationError, InvalidError, SerializationError
from swell.model import OutputStatus
from swell.wire import blobs, payload
from swell.wire.blob_names import output_name
from swell.wire.json_payload import MARK, decode_json_arguments, encode_json, encode_json_exception, is_json
from swell.wire.shelf import Shelf

__all__ = ["HIDDEN", "TERMINATED", "Outcome", "ResultCodec", "check_plain", "print_exception"]

#: File names of frames that users need not see at the top of a traceback.
HIDDEN: Final = (os.path.dirname(os.path.dirname(swell.wire.__file__)) + os.sep, "<frozen importlib")

SUCCESS: Final = int(OutputStatus.SUCCESS)
FAILURE: Final = int(OutputStatus.FAILURE)


#: The reported outcome of one input: its status, its bytes, and whether these name a blob. A bare tuple, since one is
#: made for every input.
Outcome = tuple[int, bytes, bool]

TERMINATED: Final[Outcome] = (int(OutputStatus.TERMINATED), b"", False)


def check_plain(value: object, name: str) -> None:
    """Refuse a coroutine or generator that a function returns which is not declared as such.

    Raises:
        InvalidError: `value` is a coroutine or a generator.
    """
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise InvalidError(
            f"{name} returned a generator, but was not declared as one: "
            "pass is_generator=True to its decorator, or return a list"
        )
    if inspect.iscoroutine(value):
        value.close()
        raise InvalidError(
            f"{name} returned a coroutine, but is not an async function: declare it with 'async def' "
            "(or is_generator=True if it yields), or wait for the result inside"
        )


class ResultCodec:
    """Encodes and decodes the values of one container, as pickles. `JsonResultCodec` does it for inputs in JSON.

    Args:
        container_id: Shown in tracebacks.
        inline_max: Bytes above which a value is stored as a blob.
        shelf: Where blobs are.
        size_max: The most bytes that one value may have.
    """

    def __init__(self, container_id: str, inline_max: int, shelf: Shelf, size_max: int) -> None:
        self._inline_max = inline_max
        self._container_id = container_id
        self._shelf = shelf
        self._size_max = size_max

    def codec_for(self, data: bytes, is_blob: bool) -> ResultCodec:
        """Return the codec for an input with these arguments: its outcome has the form in which the arguments came."""
        came_as_json = blobs.starts_with(MARK, data, self._shelf) if is_blob else is_json(data)
        return (
            JsonResultCodec(self._container_id, self._inline_max, self._shelf, self._size_max) if came_as_json else self
        )

    def arguments(self, data: bytes, is_blob: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of an input.

        Raises:
            DeserializationError: they cannot be read here.
        """
        if is_blob:
            return blobs.unpack_arguments(data, self._shelf)
        return payload.decode_arguments(data)

    def decode(self, data: bytes, is_blob: bool) -> tuple[ResultCodec, tuple[tuple[Any, ...], dict[str, Any]]]:
        """Return the codec for the outcome of an input, and its arguments.

        The bytes are read as a pickle first, and examined only if that fails: most inputs are pickles, and do not pay
        for the question.

        Raises:
            DeserializationError: they cannot be read here.
        """
        try:
            return self, self.arguments(data, is_blob)
        except DeserializationError:
            codec = self.codec_for(data, is_blob)
            return codec, codec.arguments(data, is_blob)

    def encode_result(self, value: object, call_id: str, index: int, kept: Set[str]) -> Outcome:
        """Encode the value that an input returned; `kept` are the calls whose results outlive the server.

        Raises:
            InvalidError: it is a coroutine or a generator.
            SerializationError: it cannot be pickled.
            RequestSizeError: it is too large.
        """
        try:
            packed = blobs.pickled(value, self._inline_max)
        except SerializationError:
            check_plain(value, "the function")
            raise
        if isinstance(packed, bytes):
            return SUCCESS, packed, False
        return self._stored(packed, call_id, index, kept)

    def _stored(self, parts: Sequence[memoryview], call_id: str, index: int, kept: Set[str]) -> Outcome:
        name = output_name(call_id, index, is_kept=call_id in kept)
        return SUCCESS, blobs.store(parts, self._shelf, name, size_max=self._size_max), True

    def discard(self, blob: bytes) -> None:
        """Delete a stored value that nobody will read."""
        blobs.discard(blob, self._shelf)

    def encode_item(self, value: object) -> bytes:
        """Encode a value that a generator yielded, or the number of its values.

        Raises:
            SerializationError: it cannot be pickled or converted.
        """
        return payload.dumps(value)

    def print_and_encode(self, exc: BaseException) -> Outcome:
        """Encode an exception, and print its traceback to the container's log."""
        print_exception(exc)
        return self.encode_failure(exc)

    def encode_failure(self, exc: BaseException) -> Outcome:
        """Encode an exception."""
        return FAILURE, payload.encode_exception(exc, where=self._container_id, hide=HIDDEN), False


class JsonResultCodec(ResultCodec):
    """Decodes inputs that came as JSON, and encodes their outcomes as JSON."""

    def arguments(self, data: bytes, is_blob: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of an input.

        Raises:
            DeserializationError: they are not JSON, or not arguments.
        """
        if is_blob:
            data = blobs.read_single(data, self._shelf, self._size_max)
        return decode_json_arguments(data)

    def encode_result(self, value: object, call_id: str, index: int, kept: Set[str]) -> Outcome:
        """Encode the value that an input returned, as JSON.

        Raises:
            InvalidError: it is a coroutine or a generator.
            SerializationError: it cannot be converted to JSON.
            RequestSizeError: it is too large.
        """
        check_plain(value, "the function")
        data = encode_json(value)
        if len(data) <= self._inline_max:
            return SUCCESS, data, False
        return self._stored([memoryview(data)], call_id, index, kept)

    def encode_item(self, value: object) -> bytes:
        """Encode a value that a generator yielded, as JSON."""
        return encode_json(value)

    def encode_failure(self, exc: BaseException) -> Outcome:
        """Encode an exception as text in JSON."""
        text = payload.format_exception(exc, hide=HIDDEN)
        return FAILURE, encode_json_exception(*payload.described(exc), text), False


def print_exception(exc: BaseException) -> None:
    """Write the traceback of an exception to stderr, if user code has left one."""
    text = payload.format_exception(exc, hide=HIDDEN)
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except KeyboardInterrupt:
        raise
    except BaseException:
        return  # user code closed it, or put in its place what raises anything; the caller gets the traceback anyway
