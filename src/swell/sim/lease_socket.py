"""The connection of a call lease: between a fake client and a fake container, past the server.

As a socket does: what was sent before an end was closed still arrives, a send to a closed end fails, and both see the
end of the other. This module must not know what is said on it.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol

import msgspec

from swell.sim.clock import Clock
from swell.sim.link import FRAME_MAX, Link
from swell.wire.codec import FrameDecoder
from swell.wire.messages import Message, ToCallee, ToCaller

__all__ = ["End", "LeaseSocket"]


class End(Protocol):
    """A client or a container at its end of the connection."""

    def hear(self, message: Message, payload: bytes) -> None:
        """A message has arrived."""
        ...

    def hear_end(self) -> None:
        """The other end has closed, and nothing more will arrive."""
        ...


class LeaseSocket:
    """Carries messages in both directions, in order."""

    def __init__(self, clock: Clock, random: Random, latency_s: float, caller: End) -> None:
        self._callee: End | None = None
        self._caller = caller
        self._is_shut = False  # the container reads no more than what was sent before
        to_callee = FrameDecoder(msgspec.msgpack.Decoder(ToCallee), FRAME_MAX)
        to_caller = FrameDecoder(msgspec.msgpack.Decoder(ToCaller), FRAME_MAX)
        self._to_callee = Link(clock, random, latency_s, to_callee, self._hear)
        self._to_caller = Link(clock, random, latency_s, to_caller, caller.hear)

    def _hear(self, message: Message, payload: bytes) -> None:
        if self._callee is not None:
            self._callee.hear(message, payload)

    # ------------------------------------------------------------ the client's end

    def send(self, message: Message, payload: bytes = b"") -> bool:
        """Send something to the container; False if it takes nothing more."""
        if not self._is_shut:
            self._to_callee.send(message, payload)
        return not self._is_shut

    def close(self) -> None:
        """Close the client's end."""
        self._to_caller.cut()
        if not self._is_shut:
            self._is_shut = True
            self._to_callee.close(lambda: None if self._callee is None else self._callee.hear_end())

    # ------------------------------------------------------------ the container's end

    def accept(self, callee: End) -> None:
        """Let a container hear what arrives."""
        self._callee = callee

    def answer(self, message: Message, payload: bytes = b"") -> None:
        """Send something to the client."""
        self._to_caller.send(message, payload)

    def shut(self, then: Callable[[], None]) -> None:
        """Take nothing more from the client; `then` follows what was sent before."""
        if not self._is_shut:
            self._is_shut = True
            self._to_callee.close(then)

    def hang_up(self) -> None:
        """Close the container's end; the client sees that after all answers."""
        self._is_shut = True
        self._to_callee.cut()
        self._to_caller.close(self._caller.hear_end)
