"""The map family: many inputs as one call, fed in spans and consumed as results arrive.

One coroutine serves blocking and asynchronous callers alike. At most `map_outstanding_max` inputs are sent and not yet
finished, so neither inputs nor results pile up; what the server refuses is offered again later. This module must not
know how functions are declared.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from swell.errors import from_wire
from swell.model import CallKind
from swell.sdk.allowance import Allowance
from swell.sdk.client import mint_id
from swell.sdk.inputs import NOT_YET, AsyncInputs, Inputs, Source
from swell.sdk.link import BlockingLink, Box, Link
from swell.sdk.outcome import Failure, outcomes
from swell.sdk.output import current_output
from swell.sdk.target import Target
from swell.wire import blobs
from swell.wire.blob_names import input_name
from swell.wire.messages import Message, OpenCall, Outputs, PutInputs, Refused

__all__ = ["Feed", "map_chunks", "open_inputs"]

SPAN_MAX = 256  #: inputs in one message
SPAN_BYTES_MAX = 1 << 20
SPAN_WAIT_S = 0.001  #: a span that took longer to collect is sent as it is, and the next is shorter


class _Span:
    """Inputs sent together, kept until the server is known to have them."""

    __slots__ = ("blobs", "ends", "first", "payload")

    def __init__(self, first: int) -> None:
        self.first = first
        self.ends: list[int] = []
        self.blobs: list[int] = []
        self.payload = b""

    @property
    def last(self) -> int:
        return self.first + len(self.ends)

    def after(self, index: int) -> _Span:
        """Return the part from input `index` on."""
        skip = max(0, index - self.first)
        if not skip:
            return self
        rest = _Span(self.first + skip)
        base = self.ends[skip - 1]
        rest.ends = [end - base for end in self.ends[skip:]]
        rest.blobs = [index for index in self.blobs if index >= rest.first]
        rest.payload = self.payload[base:]
        return rest

    def before(self, index: int) -> _Span:
        """Return the part below input `index`."""
        part = _Span(self.first)
        part.ends = self.ends[: index - self.first]
        part.blobs = [blob for blob in self.blobs if blob < index]
        part.payload = self.payload[: part.ends[-1]]
        return part


class Feed:
    """The sending half of a call of many inputs: pulls, pickles, sends in spans, and offers again what was refused."""

    def __init__(
        self,
        link: Link,
        target: Target,
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
        self._allowance = Allowance(target.name)
        self._since_opening = 0  #: messages sent after the one that opened the call
        self._unheard = 0  #: of those, how many the server will answer with not knowing the call, as it refused to open it
        # An input must not wait long for the next to be made: spans grow while inputs are quick.
        self._span_max = 1

    @property
    def retry_at(self) -> float | None:
        """When more may be sent than now, as a time of `time.monotonic()`."""
        return self._allowance.retry_at

    @property
    def held_back(self) -> int:
        """How many inputs were refused and wait to be offered again."""
        return sum(len(span.ends) for span in self._refused)

    @property
    def complete(self) -> bool:
        """True once every input has been sent and the server has been told that there are no more."""
        return self._sealed and not self._refused

    def push(self, window: int, finished: int) -> bool:
        """Send inputs, as far as they are ready and the server lets us; False if there was nothing to send.

        Args:
            window: how many may be sent and not finished.
            finished: how many are.
        """
        room = self._allowance.room(self.sent - self.held_back - finished, window)
        if room <= 0:
            return False
        if self._refused:
            self._offer_again(room)
            return True
        if self.exhausted:
            return False
        span = self._collect(min(room, self._span_max))
        if span.ends:
            self._send(span)
        return bool(span.ends)

    def seal(self) -> None:
        """Tell the server that there are no more inputs, once that is so."""
        if self.exhausted and not self._sealed and not self._refused:
            if self._opened:
                self._send(_Span(self.sent))
            self._sealed = True  # if there never was an input, the server need not hear of it

    def confirm(self, below: int) -> None:
        """Note that the server has the inputs below an index."""
        unconfirmed = self._unconfirmed
        while unconfirmed and unconfirmed[0].last <= below:
            unconfirmed.popleft()

    def refused(self, message: Refused, finished: int) -> None:
        """Inputs from some index on were not accepted: keep them for later, or raise if that cannot help."""
        error = from_wire(message.code, message.text, message.fields)
        if message.retry_after_s is None:
            if not self._unheard:
                raise error
            self._unheard -= 1
            return
        again = [span.after(message.first) for span in self._unconfirmed if span.last > message.first]
        self._unconfirmed = deque(span for span in self._unconfirmed if span.last <= message.first)
        self._refused.extendleft(reversed(again))
        self._sealed = False
        if not message.first:
            self._opened = False
            self._unheard = self._since_opening
        accepted = self.sent - self.held_back - finished
        self._allowance.refused(message.first, accepted, error, message.retry_after_s)

    def _offer_again(self, room: int) -> None:
        while self._refused and room > 0:
            span = self._refused.popleft()
            if len(span.ends) > room:
                self._refused.appendleft(span.after(span.first + room))
                span = span.before(span.first + room)
            room -= len(span.ends)
            self._send(span)

    def _collect(self, room: int) -> _Span:
        """Pull and pickle inputs until the span is long, large or old enough, or nothing is ready."""
        span = _Span(self.sent)
        pieces: list[bytes] = []
        ends, kwargs, take, pickled, clock = (
            span.ends,
            self._kwargs,
            self._inputs.take,
            blobs.pickled,
            time.perf_counter,
        )
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
                data = self._store(data, span)
            pieces.append(data)
            size += len(data)
            ends.append(size)
            if size > SPAN_BYTES_MAX:
                break
            if clock() > deadline:
                self._span_max = max(1, len(ends) // 2)
                break
        else:
            self._span_max = min(SPAN_MAX, 2 * self._span_max)
        span.payload = b"".join(pieces)
        self.sent += len(span.ends)
        return span

    def _store(self, parts: list[memoryview], span: _Span) -> bytes:
        """Write arguments that are too large for a message to a file; return its name."""
        span.blobs.append(span.last)
        welcome, name = self._link.welcome, input_name(self.call_id, span.last)
        return blobs.store(parts, welcome.blob_dir, name, size_max=welcome.payload_max)

    def _send(self, span: _Span) -> None:
        sealed = self.exhausted and span.last == self.sent
        message: Message
        if self._opened:
            self._since_opening += 1
            message = PutInputs(self.call_id, span.first, span.ends, sealed, span.blobs)
        else:
            parent = self._target.parent()
            message = OpenCall(
                self.call_id,
                self._target.function_id,
                self._target.method,
                self._kind,
                span.ends,
                sealed,
                span.blobs,
                parent,
            )
            self._opened = True
            self._since_opening = 0
        self._sealed = sealed
        if span.ends:
            self._unconfirmed.append(span)
        self._link.send(message, span.payload)


async def map_chunks(
    link: Link,
    target: Target,
    source: Source,
    *,
    kwargs: dict[str, Any],
    order_outputs: bool,
    return_exceptions: bool,
) -> AsyncGenerator[list[Any], None]:
    """Run a map; yield lists of results as they become available."""
    call_id = mint_id("fc-")
    box = link.open(call_id)
    inputs = open_inputs(link, box, source)
    feed = Feed(link, target, CallKind.MAP, inputs, kwargs, call_id)
    results = _Ordered() if order_outputs else _Unordered()
    window = link.welcome.map_outstanding_max
    output = current_output()
    if output is not None:
        output.map_started(feed.call_id, target.name)
    filling = True
    try:
        while True:
            # Once the window is full, let it empty a little: else inputs would leave one by one, as results come.
            filling = filling or feed.sent - results.done <= window - (window >> 3)
            while (filling or feed.retry_at) and feed.push(window, results.done):
                filling = feed.sent - results.done < window
                link.poll()
                if box.messages:
                    break
            feed.seal()
            if feed.exhausted and feed.complete and results.done == feed.sent:
                return
            if not box.messages:
                await link.changed(box, feed.retry_at)
            failure = _hear(box, feed, results, link.welcome.blob_dir, return_exceptions=return_exceptions)
            if output is not None:
                output.map_advanced(feed.call_id, results.done, feed.sent, feed.sent if feed.exhausted else None)
            if ready := results.take():
                yield ready
            if failure is not None:
                raise failure
    finally:
        inputs.close()
        link.close(box)
        if (feed.sent and not feed.complete) or results.done < feed.sent:
            link.abandon(feed.call_id)
        if output is not None:
            output.map_ended(feed.call_id)


def _hear(box: Box, feed: Feed, results: _Ordered, blob_dir: str, *, return_exceptions: bool) -> BaseException | None:
    """Take in what has arrived; return the exception to raise, if one of the results is to be raised."""
    while box.messages:
        message, payload = box.messages.popleft()
        if isinstance(message, Refused):
            feed.refused(message, results.done)
        elif isinstance(message, Outputs):
            values = outcomes(message, payload, blob_dir, keep_blobs=False)
            results.done += len(values)
            feed.confirm(max(first for first, _ in message.parts))
            failure = results.add(message.parts, values, return_exceptions=return_exceptions)
            if failure is not None:
                return failure
    return None


def open_inputs(link: Link, box: Box, source: Source) -> Inputs | AsyncInputs:
    """Return the inputs in the form that suits the link; they wake `box` when one becomes ready."""
    if isinstance(source, AsyncIterator) and not isinstance(link, BlockingLink):
        return AsyncInputs(source, link.wake, box)
    return Inputs(source)


class _Ordered:
    """Results in the order of their inputs; later ones are held until their turn."""

    def __init__(self) -> None:
        self.done = 0  #: results that have come
        self._next = 0
        self._held: dict[int, Any] = {}
        self._ready: list[Any] = []

    def add(self, parts: list[tuple[int, int]], values: list[Any], *, return_exceptions: bool) -> BaseException | None:
        """Take results in; return the exception to raise, if one of them is to be raised."""
        start = 0
        for first, count in parts:
            for offset in range(count):
                value = values[start + offset]
                if type(value) is Failure:
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
        return ready


class _Unordered(_Ordered):
    """Results as they come."""

    def add(self, parts: list[tuple[int, int]], values: list[Any], *, return_exceptions: bool) -> BaseException | None:
        """Take results in; return the exception to raise, if one of them is to be raised."""
        for value in values:
            if type(value) is Failure:
                if not (return_exceptions and isinstance(value.exception, Exception)):
                    return value.exception
                value = value.exception
            self._ready.append(value)
        return None
