"""From what an input came to, a value or an exception, to the bytes that are reported; and from bytes to its arguments.

This module must not know deliveries, threads or sockets.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Set
from typing import Any, Final

import swell.wire
from swell.errors import InvalidError, SerializationError
from swell.model import OutputStatus
from swell.wire import blobs, payload
from swell.wire.blob_names import output_name

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
    """Packs and unpacks the values of one container.

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

    def arguments(self, data: bytes, is_blob: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of an input.

        Raises:
            DeserializationError: they cannot be read here.
        """
        if is_blob:
            return blobs.unpack_arguments(data, self._blob_dir)
        return payload.decode_arguments(data)

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
        name = output_name(call_id, index, is_kept=call_id in kept)
        return SUCCESS, blobs.store(packed, self._blob_dir, name, size_max=self._size_max), True

    def failure(self, exc: BaseException) -> Outcome:
        """Pack an exception, and print it where the container's log goes."""
        print_exception(exc)
        return FAILURE, payload.encode_exception(exc, where=self._container_id, hide=HIDDEN), False


def print_exception(exc: BaseException) -> None:
    """Write the traceback of an exception to stderr, if there is one."""
    text = payload.format_exception(exc, hide=HIDDEN)
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):
        return  # user code closed or replaced it; the caller gets the traceback anyway
