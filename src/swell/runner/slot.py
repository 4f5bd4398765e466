"""Runs the items of a turn one after another on the thread that calls it, and takes cancellation while it does.

An interruption is an exception that appears inside user code. It may appear only while `running` is set, which is
never the case while a frame is written or the ledger is changed. This module must not know where turns come from.
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
from swell.runner.entry import Entry
from swell.runner.generators import LateFlush, Stream, values_of
from swell.runner.in_flight import Delivery, Ledger, Turn
from swell.runner.result_codec import TERMINATED, Outcome, Porter, print_exception
from swell.runner.tracing import continued
from swell.wire.context import current
from swell.wire.payload import decode_arguments

__all__ = ["FLUSH_AFTER_S", "FLUSH_BYTES", "GENERATOR_DONE", "Slot", "Workbench"]

FLUSH_AFTER_S: Final = 0.002  #: finished results wait no longer than this while others run
FLUSH_BYTES: Final = 1 << 20  #: nor do more bytes than this
GENERATOR_DONE: Final = int(OutputStatus.GENERATOR_DONE)


class Workbench:
    """What every slot of a container uses."""

    def __init__(self, channel: Channel, ledger: Ledger, porter: Porter, entries: Mapping[str, Entry]) -> None:
        self.channel = channel
        self.ledger = ledger
        self.porter = porter
        self.late = LateFlush()
        self._entries = entries

    def entry(self, method: str) -> Entry:
        """Return the callable of that name; for an unknown name, one that refuses."""
        return self._entries.get(method) or Entry(method, self._refusing(method))

    def _refusing(self, method: str) -> Callable[..., None]:
        def refuse(*_args: object, **_kwargs: object) -> None:
            raise InvalidError(f"this container has no method {method!r}; it has {sorted(self._entries)}")

        return refuse

    def flush(self) -> None:
        """Send the results that wait."""
        self.channel.flush(self.ledger.take)

    def open_stream(self, stream: Stream) -> None:
        """Let the server's acknowledgements reach a stream."""
        with self.ledger.lock:
            self.ledger.streams[stream.key] = stream

    def close_stream(self, stream: Stream) -> None:
        """Send what waits in a stream, and forget it."""
        stream.flush()
        with self.ledger.lock:
            del self.ledger.streams[stream.key]

    def leave_if_forked(self, exc: BaseException | None = None) -> None:
        """End here if this is a child that user code forked: it came back to what is the container's own.

        Args:
            exc: What it came back with; decides the exit code as at the end of a program.
        """
        if not self.channel.is_forked:
            return
        code = 0 if exc is None else 1
        if isinstance(exc, SystemExit):
            code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
        elif exc is not None:
            print_exception(exc)
        with contextlib.suppress(AttributeError, OSError, ValueError):  # user code may have closed or replaced it
            sys.stdout.flush()
        os._exit(code)


class Slot(ABC):
    """One place where inputs run. `run` belongs to one thread, `cancel` to any other.

    Attributes:
        running: True while an interruption may appear, that is, inside user code.
        cancelled: True once the server wants the present input to stop.
    """

    def __init__(self, bench: Workbench) -> None:
        self.running = False
        self.cancelled = False
        self._bench = bench
        self._ledger = bench.ledger
        self._channel = bench.channel
        self._porter = bench.porter
        self._stream: Stream | None = None
        self._sent_at = 0.0

    # ------------------------------------------------------------ interruption

    def cancel(self) -> None:
        """Interrupt what runs. The caller holds the ledger's lock."""
        if self.cancelled:
            return
        self.cancelled = True
        if self._stream is not None:
            self._stream.wake()
        self._interrupt()

    @abstractmethod
    def _interrupt(self) -> None:
        """Make InputCancellation appear in this slot's thread, if `running`."""

    def _settle(self) -> None:
        """User code is over: from here on no interruption appears. May be called again."""
        self.running = False
        if self._channel.is_forked:
            self._bench.leave_if_forked()

    def _resume(self) -> None:
        """User code goes on.

        Raises:
            InputCancellation: it should not.
        """
        self.running = True
        if self.cancelled:  # asked for while no interruption could appear
            raise InputCancellation("the call was cancelled")

    def _guarded(
        self,
        body: Callable[[Entry, Delivery, int], Outcome],
        entry: Entry,
        delivery: Delivery,
        position: int,
        batch: Batch | None = None,
    ) -> Outcome:
        """Run user code; whatever it does to this thread becomes an outcome, except KeyboardInterrupt."""
        try:
            try:
                self.running = True
                if self.cancelled:  # asked for before it could appear
                    self._settle()
                    return TERMINATED
                outcome = body(entry, delivery, position)
                self._settle()
                return outcome
            except BaseException as exc:
                self._bench.leave_if_forked(exc)
                self._settle()
                if isinstance(exc, KeyboardInterrupt):
                    raise
                if self.cancelled:
                    return TERMINATED
                return batch.fail(exc) if batch else self._porter.answering(*delivery.arguments(position)).failure(exc)
        except InputCancellation:  # it appeared between the end of user code and _settle
            self._settle()
            return TERMINATED

    # ------------------------------------------------------------ turns

    def run(self, turn: Turn) -> None:
        """Run what is not begun of a turn, and report it.

        Raises:
            KeyboardInterrupt: the container is to leave, or user code raised it. The item has no output, and what
                follows it is still there to be given back.
        """
        entry = self._bench.entry(turn.delivery.method)
        try:
            if turn.is_batch:
                self._run_batch(turn, entry)
            else:
                self._run_items(turn, entry)
            with self._ledger.lock:
                self._ledger.finish(turn)
        finally:
            current.set(None)
            self._bench.flush()

    def _run_items(self, turn: Turn, entry: Entry) -> None:
        ledger, delivery, guarded = self._ledger, turn.delivery, self._guarded
        number, lock = delivery.number, ledger.lock
        body = self._call
        position: int | None = None
        outcome, busy_s = TERMINATED, 0.0
        began = self._sent_at = perf_counter()
        while True:
            with lock:  # storing a result and taking the next item are one step: what is not begun can be given back
                if position is not None:
                    status, data, is_blob = TERMINATED if self.cancelled else outcome
                    ledger.outbox.add(number, position, status, data, is_blob, busy_s)
                position = ledger.claim(turn, self)
                self.cancelled = False
                size = ledger.outbox.size
            if position is None:
                return
            if began - self._sent_at >= FLUSH_AFTER_S or size >= FLUSH_BYTES:
                self._bench.flush()
                began = self._sent_at = perf_counter()
            if entry.is_generator:
                outcome = self._run_generator(entry, delivery, position)
            else:
                outcome = guarded(body, entry, delivery, position)
            ended = perf_counter()
            busy_s = ended - began
            began = ended

    def _call(self, entry: Entry, delivery: Delivery, position: int) -> Outcome:
        call_id, index = here = delivery.input(position)
        current.set(here)
        porter = self._porter
        data, is_blob = delivery.arguments(position)
        try:  # as `received` does, in the shortest way
            args, kwargs = porter.arguments(data, True) if is_blob else decode_arguments(data)
        except DeserializationError:
            porter = porter.answering(data, is_blob)
            args, kwargs = porter.arguments(data, is_blob)
        if delivery.traces:
            with continued(delivery.traces.get(call_id), entry.call):
                value = entry.call(*args, **kwargs)
        else:
            value = entry.call(*args, **kwargs)
        return porter.success(value, call_id, index, delivery.kept)

    # ------------------------------------------------------------ generators

    def _run_generator(self, entry: Entry, delivery: Delivery, position: int) -> Outcome:
        stream = Stream(self._channel, self._bench.late, delivery.number, position)
        self._bench.open_stream(stream)
        self._stream = stream
        try:
            return self._guarded(self._iterate, entry, delivery, position)
        finally:
            self._stream = None
            self._bench.close_stream(stream)

    def _iterate(self, entry: Entry, delivery: Delivery, position: int) -> Outcome:
        stream = self._stream
        assert stream is not None
        call_id, _ = here = delivery.input(position)
        current.set(here)
        porter, (args, kwargs) = self._porter.received(*delivery.arguments(position))
        with continued(delivery.traces.get(call_id), entry.call):
            for value in values_of(entry.call(*args, **kwargs), entry.name):
                data = porter.item(value)
                self._settle()
                stream.put(data)
                stream.wait_for_room(lambda: self.cancelled)
                self._resume()
        return GENERATOR_DONE, porter.item(stream.count), False

    # ------------------------------------------------------------ batches

    def _run_batch(self, turn: Turn, entry: Entry) -> None:
        ledger, delivery = self._ledger, turn.delivery
        with ledger.lock:
            positions = ledger.claim_all(turn, self)
            self.cancelled = False
        if not positions:
            return
        batch = Batch(entry, self._porter, delivery, positions)

        def call(_entry: Entry, _delivery: Delivery, first: int) -> Outcome:
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
        with ledger.lock:
            batch.report(ledger.outbox, TERMINATED if self.cancelled else None, rest, busy_s)
