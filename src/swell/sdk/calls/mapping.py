"""Maps: many inputs as one call, sent in spans (see `upload`), and their results as they arrive.

One coroutine serves blocking and asynchronous callers. At most `map_outstanding_max` inputs are sent and not finished,
so that neither inputs nor results pile up; inputs that the server refuses are sent again later. This module must not
know how functions are declared.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from swell.model import CallKind
from swell.sdk.calls.inputs import Source
from swell.sdk.calls.outcome import InputFailure, outcomes
from swell.sdk.calls.target import CallTarget
from swell.sdk.calls.upload import Upload, open_inputs
from swell.sdk.connection.client import mint_call_id
from swell.sdk.connection.link import Link, Mailbox
from swell.sdk.connection.output import current_output
from swell.wire.messages import Outputs, Refused

__all__ = ["map_chunks"]


async def map_chunks(
    link: Link,
    target: CallTarget,
    source: Source,
    *,
    kwargs: dict[str, Any],
    order_outputs: bool,
    return_exceptions: bool,
) -> AsyncGenerator[list[Any], None]:
    """Run a map; yield lists of results as they become available."""
    call_id = mint_call_id()
    mailbox = link.open(call_id)
    inputs = open_inputs(link, mailbox, source)
    upload = Upload(link=link, target=target, kind=CallKind.MAP, inputs=inputs, kwargs=kwargs, call_id=call_id)
    results = _OrderedResults() if order_outputs else _UnorderedResults()
    window = link.welcome.map_outstanding_max
    output = current_output()
    if output is not None:
        output.map_started(upload.call_id, target.name)
    filling = True
    try:
        while True:
            # A full window is refilled when an eighth is free: else inputs would be sent one by one, as results arrive.
            released = results.released(window)
            filling = filling or upload.sent - released <= window - (window >> 3)
            while (filling or upload.retry_at) and await upload.push(window, released):
                filling = upload.sent - released < window
                link.poll()
                if mailbox.messages:
                    break
            upload.seal()
            if upload.exhausted and upload.complete and results.done == upload.sent:
                return
            if not mailbox.messages:
                await link.changed(mailbox, upload.retry_at)
            failure = await _receive_all(mailbox, upload, results, link, return_exceptions=return_exceptions)
            if output is not None:
                output.map_advanced(
                    upload.call_id, results.done, upload.sent, upload.sent if upload.exhausted else None
                )
            if ready := results.take():
                yield ready
            if failure is not None:
                raise failure
    finally:
        inputs.close()
        link.close(mailbox)
        if (upload.sent and not upload.complete) or results.done < upload.sent:
            link.abandon(upload.call_id)
        if output is not None:
            output.map_ended(upload.call_id)


async def _receive_all(
    mailbox: Mailbox, upload: Upload, results: _OrderedResults, link: Link, *, return_exceptions: bool
) -> BaseException | None:
    """Process the messages that have arrived; return the exception that the map must raise, if there is one."""
    while mailbox.messages:
        message, payload = mailbox.messages.popleft()
        if isinstance(message, Refused):
            upload.refused(message, results.done)
        elif isinstance(message, Outputs):
            values = await outcomes(message, payload, link, keep_blobs=False)
            results.done += len(values)
            upload.confirm(max(first for first, _ in message.parts))
            failure = results.add(message.parts, values, return_exceptions=return_exceptions)
            if failure is not None:
                return failure
    return None


class _OrderedResults:
    """Results in the order of their inputs; later ones are held until their turn."""

    def __init__(self) -> None:
        self.done = 0  #: results that have arrived
        self._taken = 0
        self._next = 0
        self._held: dict[int, Any] = {}
        self._ready: list[Any] = []

    def add(self, parts: list[tuple[int, int]], values: list[Any], *, return_exceptions: bool) -> BaseException | None:
        """Add results; return the exception that the map must raise, if there is one."""
        start = 0
        for first, count in parts:
            for offset in range(count):
                value = values[start + offset]
                if type(value) is InputFailure:
                    if not (return_exceptions and isinstance(value.exception, Exception)):
                        return value.exception
                    value = value.exception
                index = first + offset
                if index == self._next:
                    self._ready.append(value)
                    self._next += 1
                else:
                    self._held[index] = value
            start += count
        while self._held and self._next in self._held:
            self._ready.append(self._held.pop(self._next))
            self._next += 1
        return None

    def take(self) -> list[Any]:
        """Return the results whose turn has come."""
        ready, self._ready = self._ready, []
        self._taken += len(ready)
        return ready

    def released(self, window: int) -> int:
        """Return how many results make room for further inputs: all that arrived, unless too many of them are held.

        The results behind one slow input must not pile up.
        """
        return min(self.done, self._taken + window)


class _UnorderedResults(_OrderedResults):
    """Results in the order of their arrival."""

    def add(self, parts: list[tuple[int, int]], values: list[Any], *, return_exceptions: bool) -> BaseException | None:
        """Add results; return the exception that the map must raise, if there is one."""
        for value in values:
            if type(value) is InputFailure:
                if not (return_exceptions and isinstance(value.exception, Exception)):
                    return value.exception
                value = value.exception
            self._ready.append(value)
        return None
