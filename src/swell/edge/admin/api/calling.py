"""One call with arguments in JSON: made and waited for, streamed, or spawned. This module must not know HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Final

import msgspec
from msgspec import Raw

from swell.documents.results import Result, StreamLine
from swell.edge.admin.api.outcome import Reader
from swell.edge.admin.api.target import Target
from swell.errors import InternalError, from_wire
from swell.model import CallKind
from swell.sdk.connection.client import mint_call_id
from swell.sdk.connection.link import Link, Mailbox
from swell.wire import blobs
from swell.wire.blob_names import input_name
from swell.wire.json_payload import MARK, json_of
from swell.wire.message import Message
from swell.wire.messages import Accepted, Items, OpenCall, Outputs, Refused, TakeItems

__all__ = ["Calling"]

#: After so many items, or bytes, the container of a generator learns that they were taken.
ITEMS_PER_ACK: Final = 64
BYTES_PER_ACK: Final = 1 << 20


class Calling:
    """A call of one input. One of `result`, `lines` and `spawn` is used, once.

    Args:
        link: To the server.
        target: What is called.
        kind: REMOTE to wait for the result, SPAWN to leave the call alone.
        args: Positional arguments.
        kwargs: Arguments by name.
        size_max: Bytes that the result may have.
    """

    def __init__(
        self, link: Link, target: Target, kind: CallKind, args: list[Any], kwargs: dict[str, Any], *, size_max: int
    ) -> None:
        self.call_id = mint_call_id()
        self._link = link
        self._target = target
        self._kind = kind
        self._payload = MARK + msgspec.json.encode({"args": args, "kwargs": kwargs})
        self._blob = ""  # name of the file with the arguments, if they are in one
        self._reader = Reader(link.shelf, size_max)

    async def result(self) -> Result:
        """Wait for the result. Cancelling this cancels the call.

        Raises:
            Error: The server refused the call.
        """
        link, finished = self._link, False
        mailbox = link.open(self.call_id)
        try:
            await self._open()
            message, payload = await link.receive(mailbox)
            finished = True
        finally:
            self._leave(mailbox, finished)
        if not isinstance(message, Outputs):
            raise self._refusal(message)
        (result,) = await self._reader.results(message, payload)
        self._reader.discard(message, payload)
        return result

    async def lines(self) -> AsyncGenerator[StreamLine, None]:
        """Yield the items of the function, and then how it ended. Closing this before cancels the call.

        Raises:
            Error: The server refused the call.
        """
        link, finished, taken, acknowledged, unacknowledged_bytes = self._link, False, 0, 0, 0
        mailbox = link.open(self.call_id)
        try:
            await self._open()
            while True:
                message, payload = await link.receive(mailbox)
                if isinstance(message, Items):
                    for data in message.items(payload).pieces():
                        yield StreamLine(item=Raw(json_of(data)))
                    taken += len(message.ends)
                    unacknowledged_bytes += len(payload)
                    if taken - acknowledged >= ITEMS_PER_ACK or unacknowledged_bytes >= BYTES_PER_ACK:
                        acknowledged, unacknowledged_bytes = taken, 0
                        link.send(TakeItems(self.call_id, 0, taken))
                    continue
                finished = True
                if not isinstance(message, Outputs):
                    raise self._refusal(message)
                yield StreamLine(end=self._reader.ending(message, payload, taken))
                return
        finally:
            self._leave(mailbox, finished)

    async def spawn(self) -> None:
        """Return once the server has accepted the call.

        Raises:
            Error: The server refused the call.
        """
        link = self._link
        mailbox = link.open(self.call_id)
        try:
            await self._open()
            message, _ = await link.receive(mailbox)
        finally:
            link.close(mailbox)
        if not isinstance(message, Accepted):
            raise self._refusal(message)

    async def _open(self) -> None:
        welcome, data = self._link.welcome, self._payload
        is_blob = len(data) > welcome.payload_inline_max
        if is_blob:
            data = await self._store(data)
        message = OpenCall(
            call_id=self.call_id,
            function_id=self._target.function_id,
            method=self._target.method,
            kind=self._kind,
            ends=[len(data)],
            sealed=True,
            blobs=[0] if is_blob else [],
        )
        self._link.send(message, data)

    async def _store(self, data: bytes) -> bytes:
        """Write the arguments to a file, on a thread, and to the disk if the call is durable; return its name."""
        welcome, parts = self._link.welcome, [memoryview(data)]
        name = self._blob = input_name(self.call_id, 0, is_kept=self._kind.is_async)
        storing = asyncio.ensure_future(
            asyncio.to_thread(blobs.store, parts, self._link.shelf, name, size_max=welcome.payload_max)
        )
        try:
            return await asyncio.shield(storing)
        except asyncio.CancelledError:
            storing.add_done_callback(lambda _: self._discard())
            raise

    def _discard(self) -> None:
        """Delete the file with the arguments of a call that the server has not accepted."""
        if self._blob:
            blobs.discard(self._blob.encode(), self._link.shelf)

    def _refusal(self, message: Message) -> Exception:
        self._discard()
        if isinstance(message, Refused):
            return from_wire(message.code, message.text, message.fields)
        return InternalError(f"the server answered a call with {type(message).__name__}")

    def _leave(self, mailbox: Mailbox, finished: bool) -> None:
        self._link.close(mailbox)
        if not finished:
            self._link.abandon(self.call_id)
