"""The container with anything async: one event loop on the main thread reads and runs, a task for each turn.

Methods that are not async run beside it on threads if inputs may run side by side; if not, on the main thread while the
loop pauses, so that they find no running loop. What answers HTTP is served on the same loop. This module must not know
HTTP, or what the server orders.
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
from swell.runner.entry import Entry
from swell.runner.generators import Stream, check_generator
from swell.runner.in_flight import Delivery, Turn
from swell.runner.inbox import Inbox
from swell.runner.result_codec import TERMINATED, Outcome, Porter
from swell.runner.serial import MainSlot
from swell.runner.slot import FLUSH_AFTER_S, FLUSH_BYTES, GENERATOR_DONE, Workbench
from swell.runner.threads import Crew
from swell.runner.tracing import continued
from swell.wire.context import current

__all__ = ["LoopExecutor"]

_UNTRACED: Final = nullcontext()

FAREWELL_S: Final = 0.5  #: what tasks may take to clean up when the container is interrupted


class Web(Protocol):
    """Where the container answers HTTP."""

    @property
    def is_closed(self) -> bool:
        """True once no requests are accepted, and all that were accepted are done."""
        ...

    def attach(self, interrupt: Callable[[], None]) -> None:
        """`interrupt` makes the container leave, as when user code raises KeyboardInterrupt."""
        ...

    def close(self, on_closed: Callable[[], None]) -> None:
        """Accept no more requests; call `on_closed` when those that were accepted are done, or take too long."""
        ...

    def abandon(self) -> None:
        """Break off all requests: none gets an answer."""
        ...


class LoopExecutor:
    """Runs turns on an event loop, at most `max_inputs` at a time.

    Args:
        bench: What turns need.
        loop: To run on.
        max_inputs: Turns at a time; requests are not counted here.
        web: Where requests come in, if the container answers any.
    """

    def __init__(
        self, bench: Workbench, loop: asyncio.AbstractEventLoop, max_inputs: int, web: Web | None = None
    ) -> None:
        self.loop = loop
        self.bench = bench
        self.is_interrupted = False
        self._web = web
        if web is not None:
            web.attach(self.interrupt)
        self._inbox = Inbox(bench)
        self._max_inputs = max_inputs
        self._free = max_inputs
        self._waiting: deque[Turn] = deque()
        self._paused_for: Turn | None = None  # to be run on the main thread while the loop is stopped
        self._main_slot = MainSlot(bench)
        self._crew = Crew(bench, max_inputs, self._on_thread_done)
        self._tasks: set[asyncio.Task[None]] = set()
        self._will_flush = False
        self._is_ending = False
        self._halted = asyncio.Event()  # to make the loop stop

    def wake(self) -> None:
        """Make `run` notice that the container drains. Called from another thread."""
        self.bench.channel.stop_reading()

    # ------------------------------------------------------------ the loop

    def run(self) -> None:
        """Serve until the container has drained, or is interrupted."""
        signal.signal(signal.SIGINT, self._on_interrupt)
        self.loop.add_reader(self.bench.channel.data.connection.fileno(), self._on_readable)
        while not (self.is_interrupted or self._is_over):
            self._halted.clear()
            # A task, and not run_forever: anyio keeps the threads of sync handlers for as long as such a task lives.
            self.loop.run_until_complete(self._halted.wait())
            if self._paused_for is not None:
                self._run_paused(self._paused_for)
        if self.is_interrupted:
            self._abandon()

    @property
    def _is_over(self) -> bool:
        is_idle = self._free == self._max_inputs and not self._waiting
        return self._is_ending and is_idle and (self._web is None or self._web.is_closed)

    def interrupt(self) -> None:
        """Make the container leave; what runs has no output."""
        self.is_interrupted = True
        self._halted.set()

    def _on_interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        self.is_interrupted = True
        if self._main_slot.running:
            self._main_slot.running = False
            raise KeyboardInterrupt("the container was told to leave")
        self.loop.call_soon_threadsafe(self._halted.set)

    def _abandon(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            self.loop.run_until_complete(asyncio.wait(self._tasks, timeout=FAREWELL_S))
        if self._web is not None:
            self._web.abandon()

    def _on_readable(self) -> None:
        turns = self._inbox.poll(socket.MSG_DONTWAIT)
        if turns is None:
            self.loop.remove_reader(self.bench.channel.data.connection.fileno())
            self._is_ending = True
            if self._web is not None:
                self._web.close(self._go_on)
        else:
            self._waiting += turns
        self._go_on()

    def _go_on(self) -> None:
        """Begin turns as long as slots are free; stop the loop when nothing is left to do."""
        while self._waiting and self._free and self._paused_for is None:
            self._free -= 1
            self._begin(self._waiting.popleft())
        if self._is_over:
            self._halted.set()

    def _begin(self, turn: Turn) -> None:
        entry = self.bench.entry(turn.delivery.method)
        if entry.is_async:
            slot = AsyncSlot(self, entry)
            task = slot.task = self.loop.create_task(slot.run(turn))
            self._tasks.add(task)
            task.add_done_callback(self._on_task_done)
        elif self._max_inputs > 1:
            self._crew.submit(turn)
        else:
            self._paused_for = turn
            self._halted.set()

    def _run_paused(self, turn: Turn) -> None:
        self._paused_for = None
        try:
            self._main_slot.run(turn)
        except KeyboardInterrupt:
            self.is_interrupted = True
            return
        self._free += 1
        self._go_on()

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._release()

    def _on_thread_done(self) -> None:
        self.loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        self._free += 1
        self._go_on()

    def flush(self) -> None:
        """Send finished results: at once if only one input runs at a time, else with all others of this round."""
        if self._max_inputs == 1:
            self.bench.flush()
        elif not self._will_flush:
            self._will_flush = True
            self.loop.call_soon(self._flush_now)

    def _flush_now(self) -> None:
        self._will_flush = False
        self.bench.flush()


class AsyncSlot:
    """Runs the items of one turn one after another in one task. All but `cancel` belongs to the loop's thread."""

    def __init__(self, executor: LoopExecutor, entry: Entry) -> None:
        self.task: asyncio.Task[None] | None = None
        self._executor = executor
        self._bench = executor.bench
        self._ledger = executor.bench.ledger
        self._porter = executor.bench.porter
        self._entry = entry
        self._cancelled = False
        self._running = 0  # number of the item that runs, counted from 1; 0 between items
        self._begun = 0
        self._stream: AsyncStream | None = None

    def cancel(self) -> None:
        """Interrupt what runs. Called from another thread, which holds the ledger's lock."""
        if not self._cancelled:
            self._cancelled = True
            self._executor.loop.call_soon_threadsafe(self._cancel_item, self._begun)

    def _cancel_item(self, number: int) -> None:
        if self._running == number and self.task is not None:
            self.task.cancel("the call was cancelled")

    async def run(self, turn: Turn) -> None:
        """Run what is not begun of a turn, and report it."""
        is_done = await (self._run_batch(turn) if turn.is_batch else self._run_items(turn))
        if is_done:  # else the container leaves, and what follows is still there to be given back
            with self._ledger.lock:
                self._ledger.finish(turn)
        self._executor.flush()

    async def _guarded(
        self,
        body: Callable[[Delivery, int], Awaitable[Outcome]],
        delivery: Delivery,
        position: int,
        batch: Batch | None = None,
    ) -> Outcome | None:
        """Run user code; whatever comes of it becomes an outcome, or None if the container is to leave without."""
        outcome: Outcome | None
        try:
            self._running = self._begun
            if self._cancelled:  # asked for before it could be interrupted
                return TERMINATED
            outcome = await body(delivery, position)
        except BaseException as exc:
            self._running = 0
            self._bench.leave_if_forked(exc)
            outcome = self._after(exc, delivery, position, batch)
        self._running = 0
        self._bench.leave_if_forked()
        return TERMINATED if self._cancelled else outcome

    def _after(self, exc: BaseException, delivery: Delivery, position: int, batch: Batch | None) -> Outcome | None:
        if isinstance(exc, KeyboardInterrupt):
            self._executor.interrupt()
        if self._executor.is_interrupted:
            return None
        if isinstance(exc, asyncio.CancelledError) and self.task is not None:
            while self.task.cancelling():  # the next item starts with a clean slate
                self.task.uncancel()
        if self._cancelled:
            return TERMINATED
        return batch.fail(exc) if batch else self._porter.answering(*delivery.arguments(position)).failure(exc)

    # ------------------------------------------------------------ items

    async def _run_items(self, turn: Turn) -> bool:
        ledger, delivery = self._ledger, turn.delivery
        body = self._iterate if self._entry.is_generator else self._call
        sent_at = perf_counter()
        while True:
            with ledger.lock:
                self._cancelled = False
                self._begun += 1
                position = ledger.claim(turn, self)
                size = ledger.outbox.size
            if position is None:
                return True
            began = perf_counter()
            if began - sent_at >= FLUSH_AFTER_S or size >= FLUSH_BYTES:
                self._bench.flush()
                await asyncio.sleep(0)  # inputs that never wait must not keep the loop from reading
                began = sent_at = perf_counter()
            outcome = await self._guarded(body, delivery, position)
            if outcome is None:
                return False
            with ledger.lock:
                turn.runner = None
                ledger.outbox.add(delivery.number, position, *outcome, perf_counter() - began)

    async def _call(self, delivery: Delivery, position: int) -> Outcome:
        with self._traced(delivery, position):
            porter, value = self._start(delivery, position)
            if not inspect.isawaitable(value):
                raise InvalidError(
                    f"{self._entry.name or 'the function'} is declared async, but returned a "
                    f"{type(value).__qualname__} instead of a coroutine"
                )
            result = await value
        return porter.success(result, *delivery.input(position), delivery.kept)

    def _traced(self, delivery: Delivery, position: int) -> AbstractContextManager[None]:
        """Return what continues the caller's trace, if it has one."""
        if not delivery.traces:
            return _UNTRACED
        return continued(delivery.traces.get(delivery.input(position)[0]), self._entry.call)

    def _start(self, delivery: Delivery, position: int) -> tuple[Porter, Any]:
        """Call the user's function; return what it returned, and what packs what comes of it."""
        current.set(delivery.input(position))
        porter, (args, kwargs) = self._porter.received(*delivery.arguments(position))
        return porter, self._entry.call(*args, **kwargs)

    # ------------------------------------------------------------ generators

    async def _iterate(self, delivery: Delivery, position: int) -> Outcome:
        stream = AsyncStream(self._bench, delivery, position, self._executor.loop)
        self._bench.open_stream(stream)
        try:
            with self._traced(delivery, position):
                porter, values = self._start(delivery, position)
                check_generator(values, self._entry.name, "__anext__")
                try:
                    async for value in values:
                        stream.put(porter.item(value))
                        await stream.room()
                finally:
                    if inspect.isasyncgen(values):
                        await values.aclose()
        finally:
            self._bench.close_stream(stream)
        return GENERATOR_DONE, porter.item(stream.count), False

    # ------------------------------------------------------------ batches

    async def _run_batch(self, turn: Turn) -> bool:
        ledger, delivery = self._ledger, turn.delivery
        with ledger.lock:
            self._cancelled = False
            self._begun += 1
            positions = ledger.claim_all(turn, self)
        if not positions:
            return True
        batch = Batch(self._entry, self._porter, delivery, positions)

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
        with ledger.lock:
            batch.report(ledger.outbox, TERMINATED if self._cancelled else None, rest, busy_s)
        return True


class AsyncStream(Stream):
    """A stream whose producer is a task."""

    def __init__(self, bench: Workbench, delivery: Delivery, position: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(bench.channel, bench.late, delivery.number, position)
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
