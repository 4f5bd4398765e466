"""From what an input came to, a value or an exception, to the bytes that are reported; and from bytes to its arguments.

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

__all__ = ["HIDDEN", "TERMINATED", "Outcome", "Porter", "check_plain", "print_exception"]

#: File names of frames that users need not see at the top of a traceback.
HIDDEN: Final = (os.path.dirname(os.path.dirname(swell.wire.__file__)) + os.sep, "<frozen importlib")

SUCCESS: Final = int(OutputStatus.SUCCESS)
FAILURE: Final = int(OutputStatus.FAILURE)


#: What is reported of one input: its status, its bytes, and whether these name a blob. A bare tuple: one is made for
#: every input.
Outcome = tuple[int, bytes, bool]

TERMINATED: Final[Outcome] = (int(OutputStatus.TERMINATED), b"", False)


def check_plain(value: object, name: str) -> None:
    """Refuse what a function that is not declared to be asynchronous or a generator returns by mistake.

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


class Porter:
    """Packs and unpacks the values of one container: pickles or, for inputs that came as JSON, JSON.

    Args:
        container_id: Named in tracebacks.
        inline_max: Bytes above which a value becomes a blob.
        blob_dir: Where blobs are.
        size_max: Bytes one value may have.
    """

    def __init__(self, container_id: str, inline_max: int, blob_dir: str, size_max: int) -> None:
        self._inline_max = inline_max
        self._container_id = container_id
        self._blob_dir = blob_dir
        self._size_max = size_max

    def answering(self, data: bytes, is_blob: bool) -> Porter:
        """Return what packs the outcome of an input with these arguments, in the form that they came in."""
        came_as_json = blobs.starts_with(MARK, data, self._blob_dir) if is_blob else is_json(data)
        return (
            JsonPorter(self._container_id, self._inline_max, self._blob_dir, self._size_max) if came_as_json else self
        )

    def arguments(self, data: bytes, is_blob: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of an input.

        Raises:
            DeserializationError: they cannot be read here.
        """
        if is_blob:
            return blobs.unpack_arguments(data, self._blob_dir)
        return payload.decode_arguments(data)

    def received(self, data: bytes, is_blob: bool) -> tuple[Porter, tuple[tuple[Any, ...], dict[str, Any]]]:
        """Return what packs the outcome of an input, and its arguments.

        It is taken for a pickle, and looked at only where it is none: most inputs are, and do not pay for the question.

        Raises:
            DeserializationError: they cannot be read here.
        """
        try:
            return self, self.arguments(data, is_blob)
        except DeserializationError:
            porter = self.answering(data, is_blob)
            return porter, porter.arguments(data, is_blob)

    def success(self, value: object, call_id: str, index: int, kept: Set[str]) -> Outcome:
        """Pack the value that an input returned; `kept` are the calls whose results outlive the server.

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
        return SUCCESS, blobs.store(parts, self._blob_dir, name, size_max=self._size_max), True

    def item(self, value: object) -> bytes:
        """Pack a value that a generator yielded, or how many there were.

        Raises:
            SerializationError: it cannot be packed.
        """
        return payload.dumps(value)

    def failure(self, exc: BaseException) -> Outcome:
        """Pack an exception, and print it where the container's log goes."""
        print_exception(exc)
        return self.failed(exc)

    def failed(self, exc: BaseException) -> Outcome:
        """Pack an exception."""
        return FAILURE, payload.encode_exception(exc, where=self._container_id, hide=HIDDEN), False


class JsonPorter(Porter):
    """Unpacks inputs that came as JSON, and packs what becomes of them."""

    def arguments(self, data: bytes, is_blob: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of an input.

        Raises:
            DeserializationError: they are no JSON, or not that of arguments.
        """
        if is_blob:
            data = blobs.read_single(data, self._blob_dir, self._size_max)
        return decode_json_arguments(data)

    def success(self, value: object, call_id: str, index: int, kept: Set[str]) -> Outcome:
        """Pack the value that an input returned, as JSON.

        Raises:
            InvalidError: it is a coroutine or a generator.
            SerializationError: it has no JSON.
            RequestSizeError: it is too large.
        """
        check_plain(value, "the function")
        data = encode_json(value)
        if len(data) <= self._inline_max:
            return SUCCESS, data, False
        return self._stored([memoryview(data)], call_id, index, kept)

    def item(self, value: object) -> bytes:
        """Pack a value that a generator yielded, as JSON."""
        return encode_json(value)

    def failed(self, exc: BaseException) -> Outcome:
        """Pack an exception as text."""
        text = payload.format_exception(exc, hide=HIDDEN)
        return FAILURE, encode_json_exception(*payload.described(exc), text), False


def print_exception(exc: BaseException) -> None:
    """Write the traceback of an exception to stderr, if there is one."""
    text = payload.format_exception(exc, hide=HIDDEN)
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):
        return  # user code closed or replaced it; the caller gets the traceback anyway
