"""The leases of an event loop: several calls are on their way on each, one behind another.

A lease has *places*, and each is taken by one call at a time. A container that is in a long call gives back what waits
behind it. So there are no more places than what is soon over: what waits for a few milliseconds.

Bytes are read and written without a transport: one would not tell whether what it was given was sent, and so whether a
call may have begun. This module must not know calls.
"""

from __future__ import annotations

import asyncio
import heapq
import socket
import time
from collections import deque
from typing import Final

from swell.errors import Error
from swell.sdk.connection.lease import Answer, Inbox, Lease, LeaseLost, ServerLink, open_connection
from swell.sdk.connection.lease_pool import WAIT_MAX_S, FunctionLeases, LeasePool, Waiter
from swell.wire import codec
from swell.wire.leases import NOT_BEGUN, CallAnswer, CallDirectly, LeaseGranted, LeaseHello
from swell.wire.messages import PROTOCOL

__all__ = ["LoopLeases"]

PLACES: Final = 32  #: calls on one lease
WORTH_S: Final = 0.005  #: what waits there takes no longer than this
LEARNS: Final = 0.05  #: weight of one more call in the estimate of how long one takes
_READ_BYTES: Final = 64 << 10
_SEND: Final = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL


class _Way:
    """The connection of a lease: calls in the order in which they are sent, and their answers."""

    def __init__(self, grant: LeaseGranted, leases: LoopLeases) -> None:
        self.grant = grant
        self.is_over = False  #: nothing is sent any more
        self.on_their_way: dict[str, Place | None] = {}  #: calls without an answer; None: nobody waits for it
        self.places = PLACES
        self._leases = leases
        self._loop = leases.loop
        self._decoder = codec.for_caller(leases.frame_max)
        self._socket: socket.socket | None = None
        self._unsent: deque[tuple[str, bytes | memoryview]] = deque()
        self._will_send = False
        self._is_full = False  # the kernel takes no more, until the loop says so
        self._watch: asyncio.TimerHandle | None = None
        self._moved_at = 0.0  # when the first of the calls became that

    def send(self, place: Place, message: CallDirectly, data: bytes) -> None:
        """Send a call together with others of this pass of the loop."""
        if not self.on_their_way:
            self._moved_at = time.monotonic()
            if self._watch is None:
                self._watch = self._loop.call_later(self.grant.announce_after_s, self._look)
        self.on_their_way[message.call_id] = place
        self._unsent.append((message.call_id, codec.encode(message, data)))
        if not (self._will_send or self._is_full):
            self._will_send = True
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        self._will_send = False
        if self._socket is None and not self.is_over:
            self._connect()
        connection = self._socket
        try:
            while self._unsent and connection is not None and not self.is_over:
                together = b"".join([frame for _, frame in self._unsent])
                self._note_sent(connection.send(together, _SEND))
        except BlockingIOError:
            pass
        except OSError:  # it was recalled, or its container is gone: there are answers to read, perhaps
            self.is_over = True
        if self.is_over:
            self._return_unsent()
        if bool(self._unsent) != self._is_full and connection is not None:
            self._is_full = bool(self._unsent)
            if self._is_full:
                self._loop.add_writer(connection.fileno(), self._send)
            else:
                self._loop.remove_writer(connection.fileno())

    def _note_sent(self, count: int) -> None:
        while count:
            call_id, frame = self._unsent.popleft()
            if count < len(frame):
                self._unsent.appendleft((call_id, memoryview(frame)[count:]))
                return
            count -= len(frame)

    def _return_unsent(self) -> None:
        """Tell those whose calls were not sent, or not wholly: they will not be begun."""
        unsent, self._unsent = self._unsent, deque()
        for call_id, _ in unsent:
            if call_id in self.on_their_way:  # the last words begin with those of the lease, which nobody waits for
                self._answered((CallAnswer(call_id, NOT_BEGUN), b""))

    def _connect(self) -> None:
        try:
            connection = self._socket = open_connection(self.grant.address)
        except (OSError, Error):
            self.is_over = True
            return
        connection.setblocking(False)
        self._loop.add_reader(connection.fileno(), self._on_readable)
        self._unsent.appendleft(("", codec.encode(LeaseHello(PROTOCOL, self.grant.lease, self.grant.token))))

    def close(self) -> None:
        """Close the connection."""
        self.is_over = True
        connection, self._socket = self._socket, None
        if connection is not None:
            self._loop.remove_reader(connection.fileno())
            self._loop.remove_writer(connection.fileno())
            connection.close()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._return_unsent()
        # A call is answered before the next one is begun. So none but the first may have been.
        places, self.on_their_way = self.on_their_way, {}
        for number, (call_id, place) in enumerate(places.items()):
            if place is not None:
                place.answered(None if number == 0 else (CallAnswer(call_id, NOT_BEGUN), b""))

    def leave(self) -> None:
        """Note that a place is given up for good."""
        self.places -= 1
        if not self.places and not self.on_their_way:
            self.close()

    # ------------------------------------------------------------ what comes

    def _on_readable(self) -> None:
        connection = self._socket
        if connection is None:
            return
        try:
            data = connection.recv(_READ_BYTES)
            answers = self._decoder.feed(data)
        except BlockingIOError:
            return
        except (OSError, codec.FrameError):
            data, answers = b"", []
        for answer in answers:
            self._answered(answer)
        if not data or (not self.places and not self.on_their_way):
            self.close()
            self._leases.lost(self)

    def _answered(self, answer: Answer) -> None:
        call_id = answer[0].call_id
        is_first = bool(self.on_their_way) and next(iter(self.on_their_way)) == call_id
        place = self.on_their_way.pop(call_id, None)
        if is_first:
            now = time.monotonic()
            self._leases.learn(self, now - self._moved_at)
            self._moved_at = now
        if place is not None:
            place.answered(answer)

    def _look(self) -> None:
        """Tell who waits for long that there is no answer yet. One timer serves many calls."""
        self._watch = None
        if not self.on_their_way:
            return
        left_s = self._moved_at + self.grant.announce_after_s - time.monotonic()
        if left_s <= 0:
            place = next(iter(self.on_their_way.values()))
            if place is not None:
                place.takes_long()
            left_s = self.grant.announce_after_s
        self._watch = self._loop.call_later(left_s, self._look)


class Place(Lease):
    """One place of a lease, for one call at a time."""

    closes = False

    def __init__(self, way: _Way, index: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(way.grant)
        self.way = way
        self.index = index
        self._loop = loop
        self._call_id = ""
        self._waiting: asyncio.Future[Answer | None] | None = None
        self._answer: Answer | None = None
        self._is_lost = False
        self._wake: tuple[ServerLink, Inbox] | None = None  # whom an answer wakes, if not the one that waits for it

    def __lt__(self, other: Place) -> bool:
        return self.index < other.index

    async def send(self, message: CallDirectly, data: bytes) -> bool:
        """Send a call, at the end of this pass of the loop; what could not be sent is answered as not begun."""
        self._answer, self._is_lost = None, False
        self._call_id = message.call_id
        self.sent_at = time.monotonic()
        self._waiting = self._loop.create_future()
        self.way.send(self, message, data)
        return True

    async def answer(self) -> Answer | None:
        """Return the answer, or None after some time."""
        assert self._waiting is not None
        try:
            return await self._waiting
        finally:
            self._waiting = None

    async def answer_or(self, link: ServerLink, mailbox: Inbox) -> Answer | None:
        """Return the answer, or None if the server has answered."""
        self._wake = link, mailbox
        try:
            while self._answer is None:
                if self._is_lost:
                    raise LeaseLost
                if mailbox.messages:
                    return None
                if link.broken is not None:
                    raise link.broken
                await link.changed(mailbox)
            return self._answer
        finally:
            self._wake = None

    def drop(self) -> None:
        """Give the place up; nobody waits for an answer that is outstanding."""
        if not self.is_over:
            self.is_over = True
            if self._call_id in self.way.on_their_way:
                self.way.on_their_way[self._call_id] = None
            self.way.leave()

    def answered(self, answer: Answer | None) -> None:
        """Hand an answer, or the end of the connection, to who waits for it."""
        self._answer, self._is_lost = answer, answer is None
        waiting = self._waiting
        if waiting is not None and not waiting.done():
            if answer is None:
                waiting.set_exception(LeaseLost())
            else:
                waiting.set_result(answer)
        elif self._wake is not None:
            link, mailbox = self._wake
            link.wake(mailbox)

    def takes_long(self) -> None:
        """Tell who waits that there is no answer yet."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class _Places(FunctionLeases[Place]):
    """The places on one function. Of those that are free, the one behind the fewest calls is taken first."""

    def __init__(self) -> None:
        super().__init__()
        self.took_s = 0.0  # estimate of how long a call takes

    def choose(self, now: float) -> Place | None:
        """Return a free place; None if what waits there is too much, or to ask for one more lease."""
        free = self.free
        while free and free[0].way.is_over:
            heapq.heappop(free).drop()
        if not free:
            return None
        index = free[0].index
        if index and (index * self.took_s > WORTH_S or self.is_time_to_ask(now)):
            return None
        return heapq.heappop(free)

    def keep(self, lease: Place) -> None:
        """Hold a place that is free."""
        heapq.heappush(self.free, lease)

    @property
    def has_idle(self) -> bool:
        """True if a lease is free on which no call is."""
        return bool(self.free) and not self.free[0].index


class _WaitingTask(Waiter[Place]):
    """A coroutine that waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[None] = loop.create_future()
        self.until = time.monotonic() + WAIT_MAX_S

    def wake(self) -> None:
        """Go on."""
        if not self.future.done():
            self.future.set_result(None)


class LoopLeases(LeasePool[Place]):
    """The leases of the coroutines of a loop."""

    def __init__(self, frame_max: int, loop: asyncio.AbstractEventLoop) -> None:
        """`frame_max` bounds what an answer may carry."""
        super().__init__()
        self.frame_max = frame_max
        self.loop = loop
        self._watched: set[str] = set()  # functions whose coroutines are looked after by a timer

    def new_function(self) -> _Places:
        """Return the leases on a function of which there is none yet."""
        return _Places()

    def new(self, grant: LeaseGranted) -> list[Place]:
        """Return the places of a lease."""
        way = _Way(grant, self)
        return [Place(way, index, self.loop) for index in range(PLACES)]

    async def take(self, function_id: str) -> Place | None:
        """Return a free place, or wait for one, which suspends the coroutine."""
        place, waiter = self._take(function_id, self._new_waiter)
        if waiter is None:
            return place
        if function_id not in self._watched:
            self._watched.add(function_id)
            self.loop.call_later(WAIT_MAX_S, self._look, function_id)
        try:
            await waiter.future
        except BaseException:
            self._leave(function_id, waiter, is_interrupted=True)
            raise
        return self._leave(function_id, waiter)

    def _new_waiter(self) -> _WaitingTask:
        return _WaitingTask(self.loop)

    def _look(self, function_id: str) -> None:
        """Wake those that have waited long enough. One timer serves many of them."""
        function = self._of(function_id)
        now = time.monotonic()
        for waiter in list(function.waiting):
            assert isinstance(waiter, _WaitingTask)
            if waiter.until > now:
                self.loop.call_later(waiter.until - now, self._look, function_id)
                return
            waiter.wake()
        self._watched.discard(function_id)

    def learn(self, way: _Way, took_s: float) -> None:
        """Note how long the first of the calls on a lease has taken."""
        function = self._of(way.grant.function_id)
        assert isinstance(function, _Places)
        function.took_s += LEARNS * (took_s - function.took_s)

    def lost(self, way: _Way) -> None:
        """Forget the free places of a lease whose connection has ended."""
        function = self._of(way.grant.function_id)
        function.free = [place for place in function.free if place.way is not way]
        heapq.heapify(function.free)
        function.look()
