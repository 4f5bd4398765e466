"""Runs async inputs: an event loop on the main thread reads deliveries, and has a task for each work item.

Methods that are not async run on threads if inputs may run concurrently; if not, on the main thread while the loop is
stopped, so that they find no running loop. The same loop serves HTTP. This module must not know HTTP, or the server's
commands.
"""

from __future__ import annotations

import asyncio
import inspect
import signal
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter
from types import FrameType
from typing import Any, Final, Protocol

from swell.errors import InvalidError
from swell.runner.batch import Batch
from swell.runner.entry import EntryPoint
from swell.runner.generators import Stream, check_generator
from swell.runner.in_flight import Delivery, WorkItem
from swell.runner.inbox import Inbox
from swell.runner.result_codec import TERMINATED, Outcome, ResultCodec
from swell.runner.serial import MainSlot
from swell.runner.slot import FLUSH_AFTER_S, FLUSH_BYTES, GENERATOR_DONE, SlotContext
from swell.runner.threads import ThreadPool
from swell.runner.tracing import continued
from swell.wire.context import current

__all__ = ["LoopExecutor"]

_UNTRACED: Final = nullcontext()

CLEANUP_S: Final = 0.5  #: what tasks may take to clean up when the container is interrupted


class Web(Protocol):
    """What serves HTTP in this container."""

    @property
    def is_closed(self) -> bool:
        """True once requests are refused and all accepted ones are done."""
        ...

    def attach(self, interrupt: Callable[[], None]) -> None:
        """Set the function that makes the container exit, as when user code raises KeyboardInterrupt."""
        ...

    def close(self, on_closed: Callable[[], None]) -> None:
        """Refuse requests from now on; call `on_closed` when the accepted ones are done, or take too long."""
        ...

    def abandon(self) -> None:
        """Abort all requests: none gets a response."""
        ...


class LoopExecutor:
    """Runs work items on an event loop, at most `max_inputs` at a time.

    Args:
        context: What slots share.
        loop: The event loop.
        max_inputs: Work items that run at the same time; requests are not counted here.
        web: What serves HTTP, if anything does.
    """

    def __init__(
        self, context: SlotContext, loop: asyncio.AbstractEventLoop, max_inputs: int, web: Web | None = None
    ) -> None:
        self.loop = loop
        self.context = context
        self.is_interrupted = False
        self._web = web
        if web is not None:
            web.attach(self.interrupt)
        self._inbox = Inbox(context)
        self._max_inputs = max_inputs
        self._free = max_inputs
        self._waiting: deque[WorkItem] = deque()
        self._paused_for: WorkItem | None = None  # runs on the main thread while the loop is stopped
        self._main_slot = MainSlot(context)
        self._pool = ThreadPool(context, max_inputs, self._on_thread_done)
        self._tasks: set[asyncio.Task[None]] = set()
        self._will_flush = False
        self._is_draining = False
        self._stop_requested = asyncio.Event()  # to make the loop stop

    def wake(self) -> None:
        """Make `run` notice that the container drains. Called from another thread."""
        self.context.channel.stop_reading()

    # ------------------------------------------------------------ the loop

    def run(self) -> None:
        """Run inputs until the container has drained or is interrupted."""
        signal.signal(signal.SIGINT, self._on_interrupt)
        self.loop.add_reader(self.context.channel.data.connection.fileno(), self._on_readable)
        while not (self.is_interrupted or self._is_over):
            self._stop_requested.clear()
            # A task, and not run_forever: anyio keeps the threads of sync handlers for as long as such a task lives.
            self.loop.run_until_complete(self._stop_requested.wait())
            if self._paused_for is not None:
                self._run_paused(self._paused_for)
        if self.is_interrupted:
            self._abandon()

    @property
    def _is_over(self) -> bool:
        is_idle = self._free == self._max_inputs and not self._waiting
        return self._is_draining and is_idle and (self._web is None or self._web.is_closed)

    def interrupt(self) -> None:
        """Make the container exit; running inputs have no output."""
        self.is_interrupted = True
        self._stop_requested.set()

    def _on_interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        self.is_interrupted = True
        if self._main_slot.running:
            self._main_slot.running = False
            raise KeyboardInterrupt("the server interrupted this container")
        self.loop.call_soon_threadsafe(self._stop_requested.set)

    def _abandon(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            self.loop.run_until_complete(asyncio.wait(self._tasks, timeout=CLEANUP_S))
        if self._web is not None:
            self._web.abandon()

    def _on_readable(self) -> None:
        work_items = self._inbox.poll(socket.MSG_DONTWAIT)
        if work_items is None:
            self.loop.remove_reader(self.context.channel.data.connection.fileno())
            self._is_draining = True
            if self._web is not None:
                self._web.close(self._start_waiting)
        else:
            self._waiting += work_items
        self._start_waiting()

    def _start_waiting(self) -> None:
        """Start work items as long as slots are free; stop the loop when nothing is left to do."""
        while self._waiting and self._free and self._paused_for is None:
            self._free -= 1
            self._begin(self._waiting.popleft())
        if self._is_over:
            self._stop_requested.set()

    def _begin(self, work: WorkItem) -> None:
        entry = self.context.entry(work.delivery.method)
        if entry.is_async:
            slot = AsyncSlot(self, entry)
            task = slot.task = self.loop.create_task(slot.run(work))
            self._tasks.add(task)
            task.add_done_callback(self._on_task_done)
        elif self._max_inputs > 1:
            self._pool.submit(work)
        else:
            self._paused_for = work
            self._stop_requested.set()

    def _run_paused(self, work: WorkItem) -> None:
        self._paused_for = None
        try:
            self._main_slot.run(work)
        except KeyboardInterrupt:
            self.is_interrupted = True
            return
        self._free += 1
        self._start_waiting()

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._release()

    def _on_thread_done(self) -> None:
        self.loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        self._free += 1
        self._start_waiting()

    def flush(self) -> None:
        """Send finished results: at once if one input runs at a time, else once per iteration of the loop."""
        if self._max_inputs == 1:
            self.context.flush()
        elif not self._will_flush:
            self._will_flush = True
            self.loop.call_soon(self._flush_now)

    def _flush_now(self) -> None:
        self._will_flush = False
        self.context.flush()


class AsyncSlot:
    """Runs the inputs of one work item one after another in a task. Only `cancel` may be called by other threads."""

    def __init__(self, executor: LoopExecutor, entry: EntryPoint) -> None:
        self.task: asyncio.Task[None] | None = None
        self._executor = executor
        self._context = executor.context
        self._in_flight = executor.context.in_flight
        self._codec = executor.context.codec
        self._entry = entry
        self._cancelled = False
        self._running = 0  # number of the input that runs, counted from 1; 0 between inputs
        self._started = 0
        self._stream: AsyncStream | None = None

    def cancel(self) -> None:
        """Interrupt the input that runs. The caller, another thread, holds `InFlight.lock`."""
        if not self._cancelled:
            self._cancelled = True
            self._executor.loop.call_soon_threadsafe(self._cancel_item, self._started)

    def _cancel_item(self, number: int) -> None:
        if self._running == number and self.task is not None:
            self.task.cancel("the call was cancelled")

    async def run(self, work: WorkItem) -> None:
        """Run the inputs of a work item that have not started, and report them."""
        is_done = await (self._run_batch(work) if work.is_batch else self._run_items(work))
        if is_done:  # else the container exits, and the inputs that follow can still be returned
            with self._in_flight.lock:
                self._in_flight.finish(work)
        self._executor.flush()

    async def _guarded(
        self,
        body: Callable[[Delivery, int], Awaitable[Outcome]],
        delivery: Delivery,
        position: int,
        batch: Batch | None = None,
    ) -> Outcome | None:
        """Run user code; return its outcome, or None if the container exits without one."""
        outcome: Outcome | None
        try:
            self._running = self._started
            if self._cancelled:  # cancelled before it could be interrupted
                return TERMINATED
            outcome = await body(delivery, position)
        except BaseException as exc:
            self._running = 0
            self._context.leave_if_forked(exc)
            outcome = self._after(exc, delivery, position, batch)
        self._running = 0
        self._context.leave_if_forked()
        return TERMINATED if self._cancelled else outcome

    def _after(self, exc: BaseException, delivery: Delivery, position: int, batch: Batch | None) -> Outcome | None:
        if isinstance(exc, KeyboardInterrupt):
            self._executor.interrupt()
        if self._executor.is_interrupted:
            return None
        if isinstance(exc, asyncio.CancelledError) and self.task is not None:
            while self.task.cancelling():  # else the next input would be cancelled, too
                self.task.uncancel()
        if self._cancelled:
            return TERMINATED
        return batch.fail(exc) if batch else self._codec.codec_for(*delivery.arguments(position)).print_and_encode(exc)

    # ------------------------------------------------------------ inputs

    async def _run_items(self, work: WorkItem) -> bool:
        in_flight, delivery = self._in_flight, work.delivery
        body = self._iterate if self._entry.is_generator else self._call
        sent_at = perf_counter()
        while True:
            with in_flight.lock:
                self._cancelled = False
                self._started += 1
                position = in_flight.claim(work, self)
                size = in_flight.outbox.size
            if position is None:
                return True
            began = perf_counter()
            if began - sent_at >= FLUSH_AFTER_S or size >= FLUSH_BYTES:
                self._context.flush()
                await asyncio.sleep(0)  # inputs that never wait must not keep the loop from reading
                began = sent_at = perf_counter()
            outcome = await self._guarded(body, delivery, position)
            if outcome is None:
                return False
            status, data, is_blob = outcome
            with in_flight.lock:
                work.runner = None
                in_flight.outbox.add(delivery.number, position, status, data, perf_counter() - began, is_blob=is_blob)

    async def _call(self, delivery: Delivery, position: int) -> Outcome:
        with self._traced(delivery, position):
            codec, value = self._start(delivery, position)
            if not inspect.isawaitable(value):
                raise InvalidError(
                    f"{self._entry.name or 'the function'} is declared async, but returned a "
                    f"{type(value).__qualname__} instead of a coroutine"
                )
            result = await value
        return codec.encode_result(result, *delivery.input(position), delivery.kept)

    def _traced(self, delivery: Delivery, position: int) -> AbstractContextManager[None]:
        """Return a context manager that continues the caller's trace, if there is one."""
        if not delivery.traces:
            return _UNTRACED
        return continued(delivery.traces.get(delivery.input(position)[0]), self._entry.call)

    def _start(self, delivery: Delivery, position: int) -> tuple[ResultCodec, Any]:
        """Call the user's function; return the codec for its outcome, and what the function returned."""
        current.set(delivery.input(position))
        codec, (args, kwargs) = self._codec.decode(*delivery.arguments(position))
        return codec, self._entry.call(*args, **kwargs)

    # ------------------------------------------------------------ generators

    async def _iterate(self, delivery: Delivery, position: int) -> Outcome:
        stream = AsyncStream(self._context, delivery, position, self._executor.loop)
        self._context.open_stream(stream)
        try:
            with self._traced(delivery, position):
                codec, values = self._start(delivery, position)
                check_generator(values, self._entry.name, "__anext__")
                try:
                    async for value in values:
                        stream.put(codec.encode_item(value))
                        await stream.room()
                finally:
                    if inspect.isasyncgen(values):
                        await values.aclose()
        finally:
            self._context.close_stream(stream)
        return GENERATOR_DONE, codec.encode_item(stream.count), False

    # ------------------------------------------------------------ batches

    async def _run_batch(self, work: WorkItem) -> bool:
        in_flight, delivery = self._in_flight, work.delivery
        with in_flight.lock:
            self._cancelled = False
            self._started += 1
            positions = in_flight.claim_all(work, self)
        if not positions:
            return True
        batch = Batch(self._entry, self._codec, delivery, positions)

        async def call(delivery: Delivery, first: int) -> Outcome:
            current.set(delivery.input(first))
            gathered = batch.gather()
            if gathered is not None:
                leading, columns = gathered
                batch.spread(await self._entry.call(*leading, **columns))
            return TERMINATED

        began = perf_counter()
        rest = await self._guarded(call, delivery, positions[0], batch)
        busy_s = perf_counter() - began
        if rest is None:
            return False
        with in_flight.lock:
            batch.report(in_flight.outbox, TERMINATED if self._cancelled else None, rest, busy_s)
        return True


class AsyncStream(Stream):
    """A stream whose producer is an asyncio task."""

    def __init__(
        self, context: SlotContext, delivery: Delivery, position: int, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(context.channel, context.late, delivery.number, position)
        self._loop = loop
        self._room = asyncio.Event()

    async def room(self) -> None:
        """Wait until the consumer has caught up."""
        if self.has_room:
            return
        self.flush()
        while not self.has_room:
            self._room.clear()
            if not self.has_room:
                await self._room.wait()

    def wake(self) -> None:
        """Make `room` look again. Called from any thread."""
        self._loop.call_soon_threadsafe(self._room.set)
