"""Streams: values that a generator yields, sent to the consumer soon, in order, and never too far ahead of it.

A value is sent at once if none was sent for a while, so that the values of a slow generator do not wait; values that
follow each other quickly are sent together. This module must not know how generators are run or where values are
consumed.
"""

from __future__ import annotations

import inspect
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from itertools import accumulate
from time import perf_counter, sleep
from typing import Any, Final

from swell.errors import InvalidError, SerializationError
from swell.runner.channel import Channel, die_if_raises
from swell.wire.messages import Yielded

__all__ = ["AHEAD_BYTES_MAX", "AHEAD_MAX", "DelayedFlush", "Stream", "check_generator", "values_of"]

AHEAD_MAX: Final = 1024  #: values that are sent and not yet taken by the consumer
#: Bytes of them: a slow consumer makes the server keep so many. Consumers acknowledge far more often than that.
AHEAD_BYTES_MAX: Final = 16 << 20
TOGETHER_MAX: Final = 64  #: values in one message
TOGETHER_BYTES: Final = 1 << 20
PATIENCE_S: Final = 0.002  #: a value waits no longer than this for others to be sent with


def check_generator(value: Any, name: str, attribute: str) -> None:
    """Refuse a value that is not a generator: it must have `attribute`, "__next__" or "__anext__".

    Raises:
        InvalidError: the value does not have it.
    """
    if not hasattr(value, attribute):
        if inspect.iscoroutine(value):
            value.close()
        raise InvalidError(
            f"{name or 'the function'} is declared to be a generator, but returned a {type(value).__qualname__}: "
            "yield values, or drop is_generator=True"
        )


def values_of(value: Any, name: str) -> Iterator[Any]:
    """Return the iterator over a generator's values.

    Raises:
        InvalidError: `value` is not a generator.
    """
    check_generator(value, name, "__next__")
    return value


class Stream:
    """The values of one generator input. One thread calls `put`; others may flush, acknowledge and wake."""

    def __init__(self, channel: Channel, late: DelayedFlush, delivery: int, position: int) -> None:
        self.key = (delivery, position)
        self.count = 0  #: values yielded so far
        self._channel = channel
        self._late = late
        self._changed = threading.Condition()
        self._chunks: list[bytes] = []
        self._size = 0
        self._taken = 0
        self._ahead: deque[int] = deque()  # sizes of the values that the consumer has not taken
        self._ahead_bytes = 0
        self._sent_at = 0.0

    def put(self, data: bytes) -> None:
        """Send a pickled value, now or within `PATIENCE_S`.

        Raises:
            SerializationError: it does not fit into a message.
        """
        bound = self._channel.frame_max // 2
        if len(data) > bound:
            raise SerializationError(
                f"a yielded value takes {len(data)} bytes, over the limit of {bound} (half of frame_max): "
                "yield it in parts, or return it"
            )
        with self._changed:
            self._chunks.append(data)
            self._size += len(data)
            self._ahead.append(len(data))
            self._ahead_bytes += len(data)
            self.count += 1
            waiting = len(self._chunks)
            is_late = perf_counter() - self._sent_at >= PATIENCE_S
        if is_late or waiting >= TOGETHER_MAX or self._size >= TOGETHER_BYTES:
            self.flush()
        elif waiting == 1:
            self._late.arm(self)

    def flush(self) -> None:
        """Send the values that wait."""
        self._channel.flush(self._take)

    def _take(self) -> tuple[Yielded, bytes] | None:
        with self._changed:
            chunks = self._chunks
            if not chunks:
                return None
            self._chunks = []
            self._size = 0
            self._sent_at = perf_counter()
        return Yielded(*self.key, list(accumulate(map(len, chunks)))), b"".join(chunks)

    @property
    def has_room(self) -> bool:
        """False while the consumer is too far behind."""
        return self.count - self._taken < AHEAD_MAX and self._ahead_bytes < AHEAD_BYTES_MAX

    def wait_for_room(self, is_cancelled: Callable[[], bool]) -> None:
        """Block until the consumer has caught up, or `wake` is called and `is_cancelled` returns True."""
        if self.has_room:
            return
        self.flush()
        with self._changed:
            self._changed.wait_for(lambda: self.has_room or is_cancelled())

    def acknowledge(self, count: int) -> None:
        """Note that the consumer has taken `count` values in all."""
        with self._changed:
            for _ in range(min(count - self._taken, len(self._ahead))):
                self._ahead_bytes -= self._ahead.popleft()
            self._taken = max(self._taken, count)
        self.wake()

    def wake(self) -> None:
        """Make `wait_for_room` check its conditions again."""
        with self._changed:
            self._changed.notify_all()


class DelayedFlush:
    """Flushes streams shortly after a value was yielded, so that a value does not wait for the next one.

    Its thread starts when a stream first needs it.
    """

    def __init__(self) -> None:
        self._armed: queue.SimpleQueue[Stream] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def arm(self, stream: Stream) -> None:
        """Flush this stream in about `PATIENCE_S`."""
        self._armed.put(stream)
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(
                    target=die_if_raises, args=(self._run,), name="swell-late-flush", daemon=True
                )
                self._thread.start()

    def _run(self) -> None:
        while True:
            streams = [self._armed.get()]
            sleep(PATIENCE_S)
            while not self._armed.empty():
                streams.append(self._armed.get())
            for stream in streams:
                stream.flush()
