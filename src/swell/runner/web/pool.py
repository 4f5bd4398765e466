"""Threads for work that the exit does not wait for, as it does for those of the standard library.

This module must not know what runs on them.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, ParamSpec, TypeVar

__all__ = ["DaemonPool"]

P = ParamSpec("P")
T = TypeVar("T")


class DaemonPool(Executor):
    """At most `size` threads, each made when no other is free; what is submitted beyond that waits."""

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._lock = threading.Lock()
        self._unfinished = 0
        self._threads = 0
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function as soon as a thread is free."""
        future: Future[T] = Future()
        with self._lock:
            self._unfinished += 1
            wants_thread = self._unfinished > self._threads and self._threads < self._size
            self._threads += wants_thread
            number = self._threads
        self._work.put((future, partial(fn, *args, **kwargs)))
        if wants_thread:
            threading.Thread(target=self._serve, name=f"{self._name}-{number}", daemon=True).start()
        return future

    def _serve(self) -> None:
        while True:
            future, call = self._work.get()
            if future.set_running_or_notify_cancel():
                try:
                    value = call()
                except BaseException as error:
                    self._finish()
                    future.set_exception(error)
                else:
                    self._finish()
                    future.set_result(value)
            else:
                self._finish()

    def _finish(self) -> None:
        with self._lock:  # before the result is set, and its receiver submits more
            self._unfinished -= 1
