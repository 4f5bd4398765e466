"""Uploads: the sending half of a call of many inputs; reads the user's iterables and sends spans.

Inputs that the server refuses are kept and sent again. This module must not know results, nor how functions are
declared.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from swell.errors import from_wire
from swell.items import PackedItems, pack
from swell.model import CallKind
from swell.sdk.calls.backpressure import Backpressure
from swell.sdk.calls.inputs import NOT_YET, AsyncInputs, Inputs, Source
from swell.sdk.calls.target import CallTarget
from swell.sdk.calls.tracing import current_trace
from swell.sdk.connection.link import BlockingLink, Link, Mailbox
from swell.wire import blobs
from swell.wire.blob_names import input_name
from swell.wire.messages import Message, OpenCall, PutInputs, Refused

__all__ = ["Upload", "open_inputs", "store"]

SPAN_MAX = 256  #: inputs in one message
SPAN_BYTES_MAX = 1 << 20
SPAN_WAIT_S = 0.001  #: a span is sent after so long, whatever its length, and the next one is shorter


class _Span(NamedTuple):
    """Inputs that are sent together; kept until the server has confirmed them."""

    first: int
    items: PackedItems[bytes]

    @property
    def last(self) -> int:
        return self.first + len(self.items.ends)

    def after(self, index: int) -> _Span:
        """Return the part from input `index` on."""
        skip = max(0, index - self.first)
        return _Span(self.first + skip, self.items.slice(skip, len(self.items.ends) - skip)) if skip else self

    def before(self, index: int) -> _Span:
        """Return the part below input `index`."""
        return _Span(self.first, self.items.slice(0, index - self.first))


class Upload:
    """Sends the inputs of a call: reads and pickles them, sends spans, and sends refused inputs again."""

    def __init__(
        self,
        *,
        link: Link,
        target: CallTarget,
        kind: CallKind,
        inputs: Inputs | AsyncInputs,
        kwargs: dict[str, Any],
        call_id: str,
    ) -> None:
        self.call_id = call_id
        self.sent = 0
        self.exhausted = False
        self._link = link
        self._target = target
        self._kind = kind
        self._inputs = inputs
        self._kwargs = kwargs
        self._opened = False
        self._sealed = False
        self._unconfirmed: deque[_Span] = deque()
        self._refused: deque[_Span] = deque()
        self._backpressure = Backpressure(target.name)
        self._since_opening = 0  #: messages sent after the one that opened the call
        self._late_refusals = 0  #: of those, how many will be refused because the server did not open the call
        # An input must not wait long for the next one to be produced: spans grow while the iterables are quick.
        self._span_max = 1

    @property
    def retry_at(self) -> float | None:
        """When more inputs may be sent, as a time of `time.monotonic()`."""
        return self._backpressure.retry_at

    @property
    def refused_count(self) -> int:
        """How many inputs were refused and wait to be sent again."""
        return sum(len(span.items.ends) for span in self._refused)

    @property
    def complete(self) -> bool:
        """True once every input is sent, and the server knows that no more will come."""
        return self._sealed and not self._refused

    async def push(self, window: int, finished: int) -> bool:
        """Send inputs, as far as they are ready and the server accepts them; return False if none was sent.

        Args:
            window: how many inputs may be sent and not finished.
            finished: how many have finished.
        """
        room = self._backpressure.room(self.sent - self.refused_count - finished, window)
        if room <= 0:
            return False
        if self._refused:
            self._resend(room)
            return True
        if self.exhausted:
            return False
        span = await self._collect(min(room, self._span_max))
        if span.items.ends:
            self._send(span)
        return bool(span.items.ends)

    def seal(self) -> None:
        """Tell the server that no more inputs will come, once that is so."""
        if self.exhausted and not self._sealed and not self._refused:
            if self._opened:
                self._send(_Span(self.sent, pack([])))
            self._sealed = True  # a call without inputs is never opened

    def confirm(self, below: int) -> None:
        """Note that the server has accepted the inputs below an index."""
        unconfirmed = self._unconfirmed
        while unconfirmed and unconfirmed[0].last <= below:
            unconfirmed.popleft()

    def refused(self, message: Refused, finished: int) -> None:
        """Keep refused inputs, to send them again; raise the refusal if sending them again cannot help."""
        error = from_wire(message.code, message.text, message.fields)
        if message.retry_after_s is None:
            if not self._late_refusals:
                raise error
            self._late_refusals -= 1
            return
        again = [span.after(message.first) for span in self._unconfirmed if span.last > message.first]
        self._unconfirmed = deque(span for span in self._unconfirmed if span.last <= message.first)
        self._refused.extendleft(reversed(again))
        self._sealed = False
        if not message.first:
            self._opened = False
            self._late_refusals = self._since_opening
        accepted = self.sent - self.refused_count - finished
        self._backpressure.refused(message.first, accepted, error, message.retry_after_s)

    def _resend(self, room: int) -> None:
        while self._refused and room > 0:
            span = self._refused.popleft()
            if len(span.items.ends) > room:
                self._refused.appendleft(span.after(span.first + room))
                span = span.before(span.first + room)
            room -= len(span.items.ends)
            self._send(span)

    async def _collect(self, room: int) -> _Span:
        """Read and pickle inputs until the span is long, large or old enough, or no input is ready."""
        first = self.sent
        pieces: list[bytes] = []
        in_blobs: list[int] = []
        kwargs, take, pickled, clock = self._kwargs, self._inputs.take, blobs.pickled, time.perf_counter
        inline_max = self._link.welcome.payload_inline_max
        size, deadline = 0, time.perf_counter() + SPAN_WAIT_S
        for _ in range(room):
            try:
                arguments: Any = take()
            except StopIteration:
                self.exhausted = True
                break
            if arguments is NOT_YET:
                break
            data = pickled((arguments, kwargs), inline_max)
            if not isinstance(data, bytes):
                in_blobs.append(len(pieces))
                name = input_name(self.call_id, first + len(pieces), is_kept=self._kind.is_async)
                data = await store(self._link, data, name)
            pieces.append(data)
            size += len(data)
            if size > SPAN_BYTES_MAX:
                break
            if clock() > deadline:
                self._span_max = max(1, len(pieces) // 2)
                break
        else:
            self._span_max = min(SPAN_MAX, 2 * self._span_max)
        self.sent += len(pieces)
        return _Span(first, pack(pieces, blobs=in_blobs))

    def _send(self, span: _Span) -> None:
        sealed = self.exhausted and span.last == self.sent
        items, in_blobs = span.items, [span.first + i for i in span.items.blobs]
        message: Message
        if self._opened:
            self._since_opening += 1
            message = PutInputs(self.call_id, span.first, items.ends, sealed, in_blobs)
        else:
            parent = self._target.parent()
            message = OpenCall(
                call_id=self.call_id,
                function_id=self._target.function_id,
                method=self._target.method,
                kind=self._kind,
                ends=items.ends,
                sealed=sealed,
                blobs=in_blobs,
                parent=parent,
                trace=current_trace(),
            )
            self._opened = True
            self._since_opening = 0
        self._sealed = sealed
        if items.ends:
            self._unconfirmed.append(span)
        self._link.send(message, items.payload)


async def store(link: Link, parts: list[memoryview], name: str) -> bytes:
    """Write arguments that are too large for a message to a blob; return its name."""
    shelf, size_max = link.shelf, link.welcome.payload_max
    return await link.aside(lambda: blobs.store(parts, shelf, name, size_max=size_max), lambda: shelf.drop(name))


def open_inputs(link: Link, mailbox: Mailbox, source: Source) -> Inputs | AsyncInputs:
    """Return the inputs in the form that suits the link; they wake `mailbox` when one becomes ready."""
    if isinstance(source, AsyncIterator) and not isinstance(link, BlockingLink):
        return AsyncInputs(source, link.wake, mailbox)
    return Inputs(source)
