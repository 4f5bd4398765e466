"""The leases that a process holds, by function: which of them are free, and whether another one is wanted.

Threads share one pool, and an event loop has its own. A call takes a free lease and gives it back. If there is none,
but others are in use by calls that are soon over, or another call has just asked for one, it waits: as an ordinary
call, it would make the server recall a lease, or grant none. So that a pool with more containers is not left idle, one
call in a while goes to the server nevertheless, and asks.

A call that took long says that its function is no case for leases: none is wanted for some time, longer each time.

This module must not know calls, or what a lease is connected to.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from swell.sdk.connection.lease import BlockingLease, Lease
from swell.wire.leases import LeaseGranted

__all__ = ["WAIT_MAX_S", "FunctionLeases", "LeasePool", "ThreadLeases", "Waiter"]

L = TypeVar("L", bound=Lease)
W = TypeVar("W", bound="Waiter[Any]")

GAP_MAX_S: Final = 0.01  #: between two calls, above which the second wants no lease
WAIT_MAX_S: Final = 0.05  #: how long a call waits for a lease; the next ones do not wait, then, until one is free
QUICK_S: Final = 1.0  #: for so long after a call that was soon over, others wait for a lease that was asked for
ASK_S, ASK_MAX_S = 0.02, 1.0  #: between two calls that ask for one more; twice as long each time that none comes
PAUSE_S, PAUSE_MAX_S = 0.1, 30.0  #: without leases after a call that took long, or one that could not be used


class Waiter(ABC, Generic[L]):
    """A call that waits for a lease.

    Attributes:
        lease: The one that it got.
    """

    lease: L | None = None

    @abstractmethod
    def wake(self) -> None:
        """Go on."""


class FunctionLeases(Generic[L]):
    """The leases on one function."""

    def __init__(self) -> None:
        self.free: list[L] = []  #: the one used last is taken first: those that are not needed become idle
        self.used = 0  #: taken, and not given back
        self.long = 0  #: of those, in use by a call that takes long
        self.waiting: deque[Waiter[L]] = deque()
        self.moves = True  #: nobody has waited in vain since a lease was given back
        self.asking = 0  #: calls that are with the server, and have asked for a lease
        self.called_at = 0.0  #: when a call has ended last
        self._quick_at = -QUICK_S
        self._no_leases_before = 0.0
        self._pause_s = PAUSE_S
        self._asks_at = 0.0
        self._ask_s = ASK_S
        self._held_when_asked = 0
        self._asks_now = False  # the present call is to ask

    def choose(self, now: float) -> L | None:
        """Return a free lease that is held no more; None if there is none, or to ask for one more."""
        return self.free.pop() if self.free else None

    def keep(self, lease: L) -> None:
        """Hold a lease that is free."""
        self.free.append(lease)

    @property
    def has_idle(self) -> bool:
        """True if a lease is free on which no call is."""
        return bool(self.free)

    def put(self, lease: L) -> None:
        """Hand a lease to the call that waits longest, or keep it."""
        self.moves = True
        if self.waiting:
            waiter = self.waiting.popleft()
            waiter.lease = lease
            self.used += 1
            waiter.wake()
        else:
            self.keep(lease)

    def granted(self, leases: list[L]) -> None:
        """Hold a new lease, or its places."""
        if len(self.free) + self.used >= self._held_when_asked:  # it is one more, and not in place of a recalled one
            self._ask_s = ASK_S
            self._asks_at = 0.0
        for lease in leases:
            self.put(lease)

    def wants(self, now: float) -> bool:
        """Tell whether a call that goes to the server should ask for a lease."""
        return not self.has_idle and now - self.called_at <= GAP_MAX_S and now >= self._no_leases_before

    def should_wait(self, now: float) -> bool:
        """Tell whether a call should wait for a lease in use: not if all are used for long, or to ask for one more."""
        asks, self._asks_now = self._asks_now, False
        if asks or not self.moves:
            return False
        if self.used <= self.long:
            return self.asking > 0 and now - self._quick_at < QUICK_S
        asks, self._asks_now = self.is_time_to_ask(now), False
        return not asks

    def is_time_to_ask(self, now: float) -> bool:
        """Tell whether a call should go to the server to ask for one more lease, now that all are in use."""
        if now < self._asks_at:
            return False
        self._held_when_asked = len(self.free) + self.used
        self._asks_at = now + self._ask_s
        self._ask_s = min(2 * self._ask_s, ASK_MAX_S)
        self._asks_now = True
        return True

    def was_quick(self, now: float) -> None:
        """Note that a call on a lease was soon over."""
        self.called_at = self._quick_at = now
        self._pause_s = PAUSE_S

    def look(self) -> None:
        """Let nobody wait if there is nothing to wait for."""
        if self.used <= self.long and not self.asking:
            while self.waiting:
                self.waiting.popleft().wake()

    def was_useless(self, now: float) -> None:
        """Note that a call on a lease took long, or that a lease could not be used."""
        self._no_leases_before = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, PAUSE_MAX_S)


class LeasePool(ABC, Generic[L]):
    """The leases of all functions. Nothing but `take` waits."""

    def __init__(self) -> None:
        self._functions: dict[str, FunctionLeases[L]] = {}
        # Reentrant, for calls of a signal handler. What they find half changed is a count at worst.
        self._lock = threading.RLock()

    @abstractmethod
    def new(self, grant: LeaseGranted) -> list[L]:
        """Return what calls take of a lease that the server has granted."""

    @abstractmethod
    def new_function(self) -> FunctionLeases[L]:
        """Return the leases on a function of which there is none yet."""

    @abstractmethod
    async def take(self, function_id: str) -> L | None:
        """Return a free lease, or one that is soon free; None if the call is to go to the server."""

    def granted(self, grant: LeaseGranted) -> None:
        """Hold a lease from now on."""
        with self._lock:
            self._of(grant.function_id).granted(self.new(grant))

    def give_back(self, lease: L, *, took_long: bool) -> None:
        """Put a lease back whose call is over."""
        function = self._of(lease.grant.function_id)
        with self._lock:
            function.used -= 1
            function.long -= took_long
            function.was_quick(time.monotonic())
            function.put(lease)

    def takes_long(self, lease: L) -> None:
        """Note that the call on a lease is not soon over."""
        with self._lock:
            function = self._of(lease.grant.function_id)
            function.long += 1
            function.look()

    def end(self, lease: L, *, took_long: bool = False, was_useless: bool = False) -> None:
        """Close a lease that was taken."""
        function = self._of(lease.grant.function_id)
        with self._lock:
            function.used -= 1
            function.long -= took_long
            if took_long or was_useless:
                function.was_useless(time.monotonic())
            function.look()
        lease.drop()

    def wants(self, function_id: str) -> bool:
        """Tell whether a call that goes to the server should ask for a lease; `called` is to follow in any case."""
        function = self._of(function_id)
        if wants := function.wants(time.monotonic()):
            with self._lock:
                function.asking += 1
        return wants

    def called(self, function_id: str, *, asked: bool) -> None:
        """Note that a call that went to the server is over; a lease that it has asked for has come with its end."""
        function = self._of(function_id)
        with self._lock:
            function.called_at = time.monotonic()
            function.asking -= asked
            function.look()

    def drop(self) -> None:
        """Close the leases that are not in use."""
        with self._lock:
            functions, self._functions = self._functions, {}
            waiting = [waiter for function in functions.values() for waiter in function.waiting]
            for function in functions.values():
                function.waiting.clear()
        for waiter in waiting:
            waiter.wake()
        for function in functions.values():
            for lease in function.free:
                lease.drop()

    def _of(self, function_id: str) -> FunctionLeases[L]:
        known = self._functions.get(function_id)
        return self._functions.setdefault(function_id, self.new_function()) if known is None else known

    def _take(self, function_id: str, make_waiter: Callable[[], W]) -> tuple[L | None, W | None]:
        """Return a free lease; or a waiter that will get one, or neither."""
        function = self._functions.get(function_id)
        if function is None:
            return None, None
        with self._lock:
            now = time.monotonic()
            if (lease := function.choose(now)) is not None:
                function.used += 1
                return lease, None
            if not function.should_wait(now):
                return None, None
            waiter = make_waiter()
            function.waiting.append(waiter)
            return None, waiter

    def _leave(self, function_id: str, waiter: Waiter[L], *, is_interrupted: bool = False) -> L | None:
        """Wait no more; return the lease that was got."""
        with self._lock:
            function, lease = self._of(function_id), waiter.lease
            if lease is None and waiter in function.waiting:
                function.waiting.remove(waiter)
                function.moves = False
            elif lease is not None and is_interrupted:
                function.used -= 1
                function.put(lease)
            return lease


class _WaitingThread(Waiter[BlockingLease]):
    """A thread that waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wake(self) -> None:
        """Go on."""
        self._lock.release()

    def wait(self) -> None:
        """Wait until `wake`, but not for long."""
        self._lock.acquire(timeout=WAIT_MAX_S)


class ThreadLeases(LeasePool[BlockingLease]):
    """The leases of all threads of a process. A forked child has none: both would read the answers."""

    def __init__(self, frame_max: int) -> None:
        """`frame_max` bounds what an answer may carry."""
        super().__init__()
        self._frame_max = frame_max
        self._all: weakref.WeakSet[BlockingLease] = weakref.WeakSet()
        forget = weakref.WeakMethod(self._forget)
        os.register_at_fork(after_in_child=lambda: None if (method := forget()) is None else method())

    def new(self, grant: LeaseGranted) -> list[BlockingLease]:
        """Return the lease."""
        lease = BlockingLease(grant, self._frame_max)
        self._all.add(lease)
        return [lease]

    def new_function(self) -> FunctionLeases[BlockingLease]:
        """Return the leases on a function of which there is none yet."""
        return FunctionLeases()

    async def take(self, function_id: str) -> BlockingLease | None:
        """Return a free lease, or wait for one, which blocks the thread."""
        lease, waiter = self._take(function_id, _WaitingThread)
        if waiter is None:
            return lease
        try:
            waiter.wait()
        except BaseException:
            self._leave(function_id, waiter, is_interrupted=True)
            raise
        return self._leave(function_id, waiter)

    def _forget(self) -> None:
        self._lock = threading.RLock()  # another thread may have held it
        self._functions = {}
        for lease in self._all:
            lease.drop()
