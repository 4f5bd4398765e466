"""A slot: runs the inputs of a work item one after another on the calling thread, and can be cancelled meanwhile.

An interruption is an exception that is raised inside user code, at any byte code. It must never hit swell's own code: a
half-written frame or a half-changed list would break the container. So it is raised only while `running` is set, and
`running` is set around user code alone: `_settle` clears it after, `_resume` sets it again between a generator's
values. A cancellation that comes while it is cleared sets `cancelled`, which the slot reads before user code goes on.

This module must not know where work items come from.
"""

from __future__ import annotations

import contextlib
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, Final

from swell.errors import DeserializationError, InputCancellation, InvalidError
from swell.model import OutputStatus
from swell.runner.batch import Batch
from swell.runner.channel import Channel
from swell.runner.entry import EntryPoint
from swell.runner.generators import DelayedFlush, Stream, values_of
from swell.runner.in_flight import Delivery, Given, InFlight, WorkItem
from swell.runner.result_codec import TERMINATED, Outcome, ResultCodec, print_exception
from swell.runner.tracing import continued
from swell.wire.context import current
from swell.wire.payload import decode_arguments

__all__ = ["FLUSH_AFTER_S", "FLUSH_BYTES", "GENERATOR_DONE", "Slot", "SlotContext"]

FLUSH_AFTER_S: Final = 0.002  #: finished results wait no longer than this while others run
FLUSH_BYTES: Final = 1 << 20  #: nor do more bytes than this wait
GENERATOR_DONE: Final = int(OutputStatus.GENERATOR_DONE)


class SlotContext:
    """The objects that all slots of a container share."""

    def __init__(
        self, channel: Channel, in_flight: InFlight, codec: ResultCodec, entries: Mapping[str, EntryPoint]
    ) -> None:
        self.channel = channel
        self.in_flight = in_flight
        self.codec = codec
        self.late = DelayedFlush()
        self._entries = entries

    def entry(self, method: str) -> EntryPoint:
        """Return the callable of that name; for an unknown name, one that raises InvalidError."""
        return self._entries.get(method) or EntryPoint(method, self._refusing(method))

    def _refusing(self, method: str) -> Callable[..., None]:
        def refuse(*_args: object, **_kwargs: object) -> None:
            raise InvalidError(f"this container has no method {method!r}; it has {sorted(self._entries)}")

        return refuse

    def flush(self) -> None:
        """Send the finished results."""
        self.channel.flush(self.in_flight.take)

    def open_stream(self, stream: Stream) -> None:
        """Register a stream, so that the server's acknowledgements reach it."""
        with self.in_flight.lock:
            self.in_flight.streams[stream.key] = stream

    def close_stream(self, stream: Stream) -> None:
        """Send the values that wait in a stream, and unregister it."""
        stream.flush()
        with self.in_flight.lock:
            del self.in_flight.streams[stream.key]

    def leave_if_forked(self, exc: BaseException | None = None) -> None:
        """Exit if this process is a child that user code forked: it has returned from user code into the runner.

        Args:
            exc: The exception that user code raised; decides the exit code as at the end of a program.
        """
        if not self.channel.is_forked:
            return
        code = 0 if exc is None else 1
        if isinstance(exc, SystemExit):
            code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
        elif exc is not None:
            print_exception(exc)
        with contextlib.suppress(BaseException):  # user code may have closed it, or replaced it by anything
            sys.stdout.flush()
        os._exit(code)


class Slot(ABC):
    """Runs one input, or one batch, at a time. `run` belongs to one thread, `cancel` to any other.

    Attributes:
        running: True while an interruption may be raised, that is, inside user code.
        cancelled: True once the server has cancelled the present input.
    """

    def __init__(self, context: SlotContext) -> None:
        self.running = False
        self.cancelled = False
        self._context = context
        self._in_flight = context.in_flight
        self._channel = context.channel
        self._codec = context.codec
        self._stream: Stream | None = None
        self._sent_at = 0.0

    # ------------------------------------------------------------ interruption

    def cancel(self) -> None:
        """Interrupt the input that runs. The caller holds `InFlight.lock`."""
        if self.cancelled:
            return
        self.cancelled = True
        if self._stream is not None:
            self._stream.wake()
        self._interrupt()

    @abstractmethod
    def _interrupt(self) -> None:
        """Raise InputCancellation in this slot's thread, if `running`."""

    def _settle(self) -> None:
        """Note that user code has returned: no interruption is raised from here on. May be called again."""
        self.running = False
        if self._channel.is_forked:
            self._context.leave_if_forked()

    def _resume(self) -> None:
        """Note that user code continues.

        Raises:
            InputCancellation: the input was cancelled meanwhile.
        """
        self.running = True
        if self.cancelled:  # while no interruption could be raised
            raise InputCancellation("the call was cancelled")

    def _guarded(
        self,
        body: Callable[[EntryPoint, Given, int], Outcome],
        entry: EntryPoint,
        delivery: Given,
        position: int,
        batch: Batch | None = None,
    ) -> Outcome:
        """Run user code; turn whatever it raises into an outcome, except KeyboardInterrupt."""
        try:
            try:
                self.running = True
                if self.cancelled:  # before the interruption could be raised
                    self._settle()
                    return TERMINATED
                outcome = body(entry, delivery, position)
                self._settle()
                return outcome
            except BaseException as exc:
                self._context.leave_if_forked(exc)
                self._settle()
                if isinstance(exc, KeyboardInterrupt):
                    raise
                if self.cancelled:
                    return TERMINATED
                return (
                    batch.fail(exc)
                    if batch
                    else self._codec.codec_for(*delivery.arguments(position)).print_and_encode(exc)
                )
        except InputCancellation:  # raised between the end of user code and `_settle`
            self._settle()
            return TERMINATED

    # ------------------------------------------------------------ work items

    def run(self, work: WorkItem) -> None:
        """Run the inputs of a work item that have not started, and report them.

        Raises:
            KeyboardInterrupt: the container is interrupted, or user code raised it. The input has no output, and the
                inputs after it can still be returned.
        """
        entry = self._context.entry(work.delivery.method)
        try:
            if work.is_batch:
                self._run_batch(work, entry)
            else:
                self._run_items(work, entry)
            with self._in_flight.lock:
                self._in_flight.finish(work)
        finally:
            current.set(None)
            self._context.flush()

    def _run_items(self, work: WorkItem, entry: EntryPoint) -> None:
        in_flight, delivery, guarded = self._in_flight, work.delivery, self._guarded
        number, lock = delivery.number, in_flight.lock
        body = self._call
        position: int | None = None
        outcome, busy_s = TERMINATED, 0.0
        began = self._sent_at = perf_counter()
        while True:
            with lock:  # storing a result and starting the next input are one step: all others can be returned
                if position is not None:
                    status, data, is_blob = TERMINATED if self.cancelled else outcome
                    in_flight.outbox.add(number, position, status, data, busy_s, is_blob=is_blob)
                position = in_flight.claim(work, self)
                self.cancelled = False
                size = in_flight.outbox.size
            if position is None:
                return
            if began - self._sent_at >= FLUSH_AFTER_S or size >= FLUSH_BYTES:
                self._context.flush()
                began = self._sent_at = perf_counter()
            if entry.is_generator:
                outcome = self._run_generator(entry, delivery, position)
            else:
                outcome = guarded(body, entry, delivery, position)
            ended = perf_counter()
            busy_s = ended - began
            began = ended

    def _call(self, entry: EntryPoint, delivery: Given, position: int) -> Outcome:
        call_id, index = here = delivery.input(position)
        current.set(here)
        codec = self._codec
        data, is_blob = delivery.arguments(position)
        try:  # like `codec.decode`, with the fewest calls
            args, kwargs = codec.arguments(data, True) if is_blob else decode_arguments(data)
        except DeserializationError:
            codec = codec.codec_for(data, is_blob)
            args, kwargs = codec.arguments(data, is_blob)
        if delivery.traces:
            with continued(delivery.traces.get(call_id), entry.call):
                value = entry.call(*args, **kwargs)
        else:
            value = entry.call(*args, **kwargs)
        return codec.encode_result(value, call_id, index, delivery.kept)

    def run_direct(self, call: Given, method: str) -> Outcome:
        """Run an input that is reported by the caller, which has noted that it begins.

        Raises:
            KeyboardInterrupt: as `run`.
        """
        try:
            return self._guarded(self._call, self._context.entry(method), call, 0)
        finally:
            current.set(None)

    def discard(self, blob: bytes) -> None:
        """Delete a result that nobody will read."""
        self._codec.discard(blob)

    # ------------------------------------------------------------ generators

    def _run_generator(self, entry: EntryPoint, delivery: Delivery, position: int) -> Outcome:
        stream = Stream(self._channel, self._context.late, delivery.number, position)
        self._context.open_stream(stream)
        self._stream = stream
        try:
            return self._guarded(self._iterate, entry, delivery, position)
        finally:
            self._stream = None
            self._context.close_stream(stream)

    def _iterate(self, entry: EntryPoint, delivery: Given, position: int) -> Outcome:
        stream = self._stream
        assert stream is not None
        call_id, _ = here = delivery.input(position)
        current.set(here)
        codec, (args, kwargs) = self._codec.decode(*delivery.arguments(position))
        with continued(delivery.traces.get(call_id), entry.call):
            for value in values_of(entry.call(*args, **kwargs), entry.name):
                data = codec.encode_item(value)
                self._settle()
                stream.put(data)
                stream.wait_for_room(lambda: self.cancelled)
                self._resume()
        return GENERATOR_DONE, codec.encode_item(stream.count), False

    # ------------------------------------------------------------ batches

    def _run_batch(self, work: WorkItem, entry: EntryPoint) -> None:
        in_flight, delivery = self._in_flight, work.delivery
        with in_flight.lock:
            positions = in_flight.claim_all(work, self)
            self.cancelled = False
        if not positions:
            return
        batch = Batch(entry, self._codec, delivery, positions)

        def call(_entry: EntryPoint, _delivery: Given, first: int) -> Outcome:
            current.set(delivery.input(first))
            gathered = batch.gather()
            if gathered is not None:
                leading, columns = gathered
                value: Any = entry.call(*leading, **columns)
                batch.spread(value)
            return TERMINATED

        began = perf_counter()
        rest = self._guarded(call, entry, delivery, positions[0], batch)
        busy_s = perf_counter() - began
        with in_flight.lock:
            batch.report(in_flight.outbox, TERMINATED if self.cancelled else None, rest, busy_s)
