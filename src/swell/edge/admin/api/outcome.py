"""Reads the outputs of inputs as results for the API. Nothing is unpickled: a result that is not JSON is left out.

This module must not know how results are requested.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from msgspec import Raw

from swell.documents.results import Ended, Ending, ExceptionText, Result
from swell.errors import DeserializationError, RequestSizeError
from swell.model import OutputStatus
from swell.wire import blobs
from swell.wire.json_payload import MARK, decode_json_exception, is_json, json_of
from swell.wire.messages import Outputs
from swell.wire.payload import exception_text
from swell.wire.shelf import Shelf

__all__ = ["Reader"]

_NAMES: Final[dict[OutputStatus, Ended]] = {
    OutputStatus.SUCCESS: "success",
    OutputStatus.GENERATOR_DONE: "success",
    OutputStatus.FAILURE: "failure",
    OutputStatus.TERMINATED: "terminated",
    OutputStatus.TIMEOUT: "timeout",
    OutputStatus.INIT_FAILURE: "init_failure",
    OutputStatus.INTERNAL_FAILURE: "internal_failure",
    OutputStatus.OUT_OF_MEMORY: "out_of_memory",
}
_PICKLED: Final = "a Python program made this call, and its result is Python's: read it with FunctionCall.get()"

_ITEMS: Final = "its items went to whoever called it"


class Reader:
    """Reads the outputs of one answer.

    Args:
        shelf: Where large results are.
        size_max: At most so many bytes of results in this answer.
    """

    def __init__(self, shelf: Shelf, size_max: int) -> None:
        self._shelf = shelf
        self._size_max = size_max
        self._left = size_max

    async def results(self, message: Outputs, payload: bytes) -> list[Result]:
        """Return the results in a message; files are read on a thread."""
        if message.blobs:
            return await asyncio.to_thread(lambda: list(self._each(message, payload)))
        return list(self._each(message, payload))

    def _each(self, message: Outputs, payload: bytes) -> Iterator[Result]:
        statuses, in_blobs = dict(message.failures), set(message.blobs)
        call_id = message.call_id
        indexes = (index for first, count in message.parts for index in range(first, first + count))
        for position, (index, data) in enumerate(zip(indexes, message.items(payload).pieces(), strict=True)):
            status = OutputStatus(statuses.get(position, OutputStatus.SUCCESS))
            if status is OutputStatus.SUCCESS:
                yield self._success(call_id, index, data, position in in_blobs)
            elif status is OutputStatus.GENERATOR_DONE:
                yield Result(call_id=call_id, index=index, status="success", omitted=_ITEMS)
            else:
                yield Result(call_id=call_id, index=index, status=_NAMES[status], exception=_exception(data))

    def ending(self, message: Outputs, payload: bytes, items: int) -> Ending:
        """Return how a generator ended that had yielded so many items."""
        (result,) = self._each(message, payload)
        return Ending(status=result.status, items=items, exception=result.exception)

    def discard(self, message: Outputs, payload: bytes) -> None:
        """Delete the files of results; nobody else reads them."""
        items = message.items(payload)
        for position in items.blobs:
            blobs.discard(items.at(position), self._shelf)

    def _success(self, call_id: str, index: int, data: bytes, is_blob: bool) -> Result:
        def omitted(why: str) -> Result:
            return Result(call_id=call_id, index=index, status="success", omitted=why)

        if not (blobs.starts_with(MARK, data, self._shelf) if is_blob else is_json(data)):
            return omitted(_PICKLED)
        try:
            if is_blob:
                data = blobs.read_single(data, self._shelf, self._left)
            elif len(data) > self._left:
                raise RequestSizeError(f"it takes {len(data)} bytes")
        except RequestSizeError as error:
            return omitted(f"{error}; one answer may show {self._size_max} bytes of results (admin_result_max)")
        except DeserializationError as error:
            return omitted(f"{error}")
        self._left -= len(data)
        return Result(call_id=call_id, index=index, status="success", value=Raw(json_of(data)))


def _exception(data: bytes) -> ExceptionText:
    if is_json(data):
        told = decode_json_exception(data)
        return ExceptionText(type=told.type, message=told.message, traceback=told.traceback)
    try:
        text = exception_text(data)
    except DeserializationError:
        return ExceptionText(type="", message=data.decode("utf-8", "replace"), traceback="")
    return ExceptionText(type="", message=text.rstrip().rpartition("\n")[2], traceback=text)
