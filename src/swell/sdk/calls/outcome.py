"""Decodes results: from bytes to values and exceptions. This module must not know calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from swell.errors import (
    DeserializationError,
    ExecutionError,
    FunctionTimeoutError,
    InternalFailure,
    OutOfMemoryError,
    RemoteError,
)
from swell.model import OutputStatus
from swell.sdk.connection.link import Link
from swell.wire import blobs
from swell.wire.exception_pickle import text_of
from swell.wire.json_payload import decode_json_exception, is_json
from swell.wire.leases import CallAnswer
from swell.wire.messages import Outputs
from swell.wire.payload import decode_exception, loads
from swell.wire.shelf import Shelf

__all__ = ["InputFailure", "outcome", "outcomes"]

_ENCODED_EXCEPTIONS = (0x93, 0x96)  #: first bytes of encoded exceptions; no UTF-8 text begins with one


class InputFailure:
    """An exception that an input raised, as distinct from an exception that it returned."""

    __slots__ = ("exception",)

    def __init__(self, exception: BaseException) -> None:
        self.exception = exception


async def outcome(message: CallAnswer, payload: bytes, link: Link) -> Any:
    """Return the value of a direct call, or an InputFailure."""
    if message.status != OutputStatus.SUCCESS:
        return InputFailure(_exception(OutputStatus(message.status), payload))
    if message.is_blob:
        return await link.aside(lambda: _from_blob(payload, link.shelf, keep=False))
    return _value(payload)


async def outcomes(message: Outputs, payload: bytes, link: Link, *, keep_blobs: bool) -> list[Any]:
    """Return the values of a message's outputs in order, with an InputFailure for each output that is not a success."""
    if not message.blobs:
        return _outcomes(message, payload, link.shelf, keep_blobs=keep_blobs)
    return await link.aside(lambda: _outcomes(message, payload, link.shelf, keep_blobs=keep_blobs))


def _outcomes(message: Outputs, payload: bytes, shelf: Shelf, *, keep_blobs: bool) -> list[Any]:
    pieces = message.items(payload).pieces()
    if not message.failures and not message.blobs:
        return [_value(data) for data in pieces]
    values: list[Any] = []
    statuses = dict(message.failures)
    in_blobs = set(message.blobs)
    for position, data in enumerate(pieces):
        if position in statuses:
            values.append(InputFailure(_exception(OutputStatus(statuses[position]), data)))
        elif position in in_blobs:
            values.append(_from_blob(data, shelf, keep=keep_blobs))
        else:
            values.append(_value(data))
    return values


def _value(data: bytes | memoryview, buffers: Sequence[memoryview] = ()) -> Any:
    try:
        return loads(data, buffers)
    except DeserializationError as error:
        return _unreadable(error)


def _from_blob(data: bytes, shelf: Shelf, *, keep: bool) -> Any:
    try:
        parts = blobs.read(data, shelf)
    except DeserializationError as error:
        return _unreadable(error)  # it is left: what has failed may be the way to it, and the server deletes it in time
    value = _value(parts[0], parts[1:])
    if not keep:
        blobs.discard(data, shelf)
    return value


def _unreadable(error: DeserializationError) -> InputFailure:
    return InputFailure(ExecutionError(f"the result cannot be read by the caller: {error}"))


def _of_start(exc: BaseException) -> BaseException:
    """Return what the caller gets of a failed start: not what would end the caller without a word."""
    if isinstance(exc, Exception):
        return exc
    error = RemoteError(
        f"no container could be started: loading the code there raised {type(exc).__name__}: {text_of(exc)}. It must "
        "neither end the program nor read a command line that is for another; that belongs under "
        '`if __name__ == "__main__":` at the top level of the script'
    )
    error.__cause__ = exc
    return error


def _exception(status: OutputStatus, data: bytes) -> BaseException:
    if data[:1] and data[0] in _ENCODED_EXCEPTIONS:
        exc = decode_exception(data)
        return _of_start(exc) if status is OutputStatus.INIT_FAILURE else exc
    if is_json(data):
        told = decode_json_exception(data)
        return RemoteError(f"the function raised {told.type}: {told.message}\n{told.traceback}")
    text = data.decode(errors="replace")
    match status:
        case OutputStatus.TIMEOUT:
            return FunctionTimeoutError(text)
        case OutputStatus.INTERNAL_FAILURE:
            return InternalFailure(text)
        case OutputStatus.OUT_OF_MEMORY:
            return OutOfMemoryError(text)
        case OutputStatus.INIT_FAILURE:
            return RemoteError(f"no container could be started: {text}")
        case _:
            return RemoteError(text)
