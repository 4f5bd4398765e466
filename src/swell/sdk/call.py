"""FunctionCall: the handle of a spawned call, usable from any process that reaches the same server.

This module must not know functions.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Final, Generic, TypeVar

from swell.errors import InvalidError, from_wire
from swell.ids import CALL
from swell.sdk.calls.outcome import InputFailure, outcomes
from swell.sdk.connection.client import Client
from swell.sdk.connection.link import Link, Mailbox
from swell.sdk.connection.retrying import Retrying, RetryState
from swell.sdk.connection.session import current_client
from swell.sdk.connection.sync_async import Prepared, SyncAsync, SyncAsyncIterator
from swell.wire.messages import CallDescription, CancelCall, DescribeCall, Failed, Outputs, Unwatch, Watch

__all__ = ["FunctionCall"]

R = TypeVar("R")

AHEAD = 1_000  #: results that `iter` requests at a time


class FunctionCall(Generic[R]):
    """A spawned call: its results are kept for 7 days, and can be read any number of times.

    Attributes:
        object_id: Its id, `fc-…`; `FunctionCall.from_id` makes a handle of it anywhere.
    """

    @staticmethod
    def _prepare_gather(*function_calls: FunctionCall[Any]) -> SyncAsync[[], list[Any]]:
        """Wait for several calls of one input, and return their results in the order given.

        The first failure is raised; the other calls continue.
        """
        client = function_calls[0].client if function_calls else current_client
        return SyncAsync(lambda link: _gather(link, *function_calls), client, "FunctionCall.gather")

    gather: Final = Prepared(_prepare_gather)

    def __init__(self, call_id: str, num_inputs: int | None = None, client: Client | None = None) -> None:
        self.object_id = call_id
        self._num_inputs = num_inputs
        self._own_client = client

    @classmethod
    def from_id(cls, function_call_id: str, client: Client | None = None) -> FunctionCall[Any]:
        """Return the handle of a call. Does not check that the server has the call.

        Raises:
            InvalidError: it is not the id of a call.
        """
        if not function_call_id.startswith(CALL):
            raise InvalidError(f"{function_call_id!r} is not the id of a call; those begin with fc-")
        return FunctionCall(function_call_id, None, client)

    def __repr__(self) -> str:
        return f"<FunctionCall {self.object_id}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return FunctionCall, (self.object_id, self._num_inputs)

    def client(self) -> Client:
        """Return the client that reaches its server."""
        return self._own_client or current_client()

    # ------------------------------------------------------------ results

    @property
    def get(self):
        """Return the result of one input (the first, or `index`), waiting up to `timeout` seconds, None for ever.

        Raises:
            TimeoutError: (the builtin) the input has not finished in time; with timeout=0, it has not finished.
            OutputExpiredError: the result is no longer kept.
            NotFoundError: the server does not have the call.
            FunctionTimeoutError, RemoteError: the input timed out; it was cancelled.
            Exception: what the function raised.
        """
        return Retrying(self._get, self.client, "FunctionCall.get")

    async def _get(
        self,
        link: Link,
        retry: RetryState,
        timeout: float | None = None,  # noqa: ASYNC109
        *,
        index: int = 0,
    ) -> R:
        if index:
            await self._check_range(link, index, index + 1)
        until = None if timeout is None else retry.began + timeout
        async with _Watching(link, self.object_id, index, index + 1, is_poll=timeout == 0) as watching:
            values = await watching.next(None if timeout == 0 else until)
        value = values[index]
        if type(value) is InputFailure:
            raise value.exception
        return value

    @property
    def iter(self):
        """Iterate over results in the order of the inputs, waiting for each; a failed input raises in its place.

        `start` and `end` select a range of them.

        Raises:
            ValueError: the range is not within 0..num_inputs.
        """
        return SyncAsyncIterator(self._chunks, self.client, "FunctionCall.iter")

    async def _chunks(self, link: Link, *, start: int = 0, end: int | None = None) -> AsyncGenerator[list[Any], None]:
        end = await self._check_range(link, start, end)
        for first in range(start, end, AHEAD):
            last = min(end, first + AHEAD)
            at = first
            async with _Watching(link, self.object_id, first, last) as watching:
                values: dict[int, Any] = {}
                while at < last:
                    values.update(await watching.next(None))
                    ready: list[Any] = []
                    while at in values and type(values[at]) is not InputFailure:
                        ready.append(values.pop(at))
                        at += 1
                    if ready:
                        yield ready
                    if at in values:
                        raise values[at].exception

    # ------------------------------------------------------------ the call

    @property
    def num_inputs(self) -> Retrying[[], int]:
        """Return how many inputs it has."""
        return Retrying(self._num, self.client, "FunctionCall.num_inputs")

    async def _num(self, link: Link, _effort: RetryState) -> int:
        return await self._count(link)

    async def _count(self, link: Link) -> int:
        if self._num_inputs is None:
            answer = await link.ask(CallDescription, lambda request: DescribeCall(request, self.object_id))
            self._num_inputs = answer.num_inputs
        return self._num_inputs or 0

    @property
    def cancel(self):
        """Cancel the inputs that have not finished; `get` then raises RemoteError. No effect on finished inputs.

        With `terminate_containers=True` the containers that run them are killed; other inputs of these are run again.
        """
        return SyncAsync(self._cancel, self.client, "FunctionCall.cancel")

    async def _cancel(self, link: Link, terminate_containers: bool = False) -> None:
        link.send(CancelCall(self.object_id, terminate_containers))
        # The answer to a later request proves that the cancellation has been handled.
        request = link.next_request()
        mailbox = link.open(request)
        try:
            link.send(DescribeCall(request, self.object_id))
            await link.receive(mailbox)
        finally:
            link.close(mailbox)

    async def _check_range(self, link: Link, start: int, end: int | None) -> int:
        count = await self._count(link)
        end = count if end is None else end
        if start < 0 or end > count or start > end:
            raise ValueError(f"results {start}..{end} are not within those of this call, which has {count} inputs")
        return end


async def _gather(link: Link, *calls: FunctionCall[Any]) -> list[Any]:
    mailbox = link.open(*{call.object_id for call in calls})
    results: dict[str, Any] = {}
    requests: list[tuple[int, str]] = []
    try:
        for call in calls:
            request = link.next_request()
            requests.append((request, call.object_id))
            link.add_key(mailbox, request)
            link.send(Watch(request, call.object_id, 0, 1))
        while len(results) < len({call.object_id for call in calls}):
            message, payload = await link.receive(mailbox)
            if isinstance(message, Failed):
                raise from_wire(message.code, message.text, message.fields)
            if isinstance(message, Outputs) and message.call_id not in results:
                value = (await outcomes(message, payload, link, keep_blobs=True))[0]
                if type(value) is InputFailure:
                    raise value.exception
                results[message.call_id] = value
    finally:
        link.close(mailbox)
        for request, call_id in requests:
            if link.broken is None:
                link.send(Unwatch(request, call_id))
    return [results[call.object_id] for call in calls]


class _Watching:
    """Watches the outputs of a range of a call's inputs."""

    def __init__(self, link: Link, call_id: str, first: int, last: int, *, is_poll: bool = False) -> None:
        self._link = link
        self._request = link.next_request()
        self._watch = Watch(self._request, call_id, first, last, is_poll)
        self._mailbox: Mailbox | None = None

    async def __aenter__(self) -> _Watching:
        link, watch = self._link, self._watch
        self._mailbox = link.open(watch.call_id, self._request)
        link.send(watch)
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._mailbox is not None:
            self._link.close(self._mailbox)
        if self._link.broken is None:
            self._link.send(Unwatch(self._request, self._watch.call_id))

    async def next(self, until: float | None) -> dict[int, Any]:
        """Return the next outputs of the range by index, waiting until a time of `time.monotonic()`."""
        assert self._mailbox is not None
        while True:
            try:
                message, payload = await self._link.receive(self._mailbox, until)
            except TimeoutError:
                raise self._not_finished() from None
            if isinstance(message, Failed):
                raise from_wire(message.code, message.text, message.fields)
            if isinstance(message, CallDescription):
                raise self._not_finished()
            if isinstance(message, Outputs):
                values = await outcomes(message, payload, self._link, keep_blobs=True)
                indexes = [index for first, count in message.parts for index in range(first, first + count)]
                found = {
                    index: value
                    for index, value in zip(indexes, values, strict=True)
                    if self._watch.first <= index < self._watch.last
                }
                if found:
                    return found

    def _not_finished(self) -> TimeoutError:
        return TimeoutError(f"call {self._watch.call_id} has not finished yet")
