"""One direction of a connection: real frames, through the real codec, that arrive in order and take their time.

This module must not know what the messages mean.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from swell.sim.clock import Clock
from swell.wire.codec import FrameDecoder, encode
from swell.wire.messages import Message

__all__ = ["FRAME_MAX", "Link"]

FRAME_MAX = 64 << 20


class Link:
    """Carries frames to `arrive`, none before the one sent before it."""

    def __init__(
        self,
        clock: Clock,
        random: Random,
        latency_s: float,
        decoder: FrameDecoder[Any],
        arrive: Callable[[Message, bytes], None],
        *,
        passes: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        """Begin with nothing on its way; `passes` does what arrives, or keeps or drops it."""
        self._clock = clock
        self._random = random
        self._latency_s = latency_s
        self._decoder = decoder
        self._arrive = arrive
        self._passes = passes or _at_once
        self._last_at = 0.0
        self._closed = False

    def send(self, message: Message, payload: bytes | memoryview = b"") -> None:
        """Send one frame. What is sent after `close` is lost."""
        if self._closed:
            return
        frame = encode(message, payload)
        self._last_at = max(self._last_at, self._clock.now + self._latency_s * self._random.uniform(0.5, 1.5))
        self._clock.at(self._last_at, lambda: self._passes(lambda: self._feed(frame)))

    def close(self, then: Callable[[], None]) -> None:
        """Send nothing more; `then` happens when everything sent before has arrived."""
        if not self._closed:
            self._closed = True
            self._clock.at(max(self._last_at, self._clock.now), lambda: self._passes(then))

    def cut(self) -> None:
        """The receiver is gone: what is on its way arrives nowhere."""
        self._closed = True
        self._arrive = _nowhere

    def _feed(self, frame: bytes) -> None:
        for message, payload in self._decoder.feed(frame):
            self._arrive(message, payload)


def _at_once(action: Callable[[], None]) -> None:
    """Do what arrives."""
    action()


def _nowhere(message: Message, payload: bytes) -> None:
    """Where the frames of a cut link arrive."""
