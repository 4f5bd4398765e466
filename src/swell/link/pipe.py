"""A channel of a link as a pipe: bytes that one peer sends to another through it, unread.

The peers bound what is on its way between them, so nothing is held back here: a peer that sends more than the bound
ends the channel. This module must not know what passes.
"""

from __future__ import annotations

from typing import Final

from swell.link.connection import Link
from swell.ports import Pipe

__all__ = ["PipeChannel"]

UNSENT_MAX: Final = 8 << 20  #: bytes that may wait for the link: more than peers have on their way


class PipeChannel:
    """Joins a channel to a pipe. Implements `swell.ports.Pipe`: what it is sent goes into the channel."""

    def __init__(self, link: Link, peer: str, number: int | None = None) -> None:
        """Begin; `join` is to be called at once.

        Args:
            link: has the channel.
            peer: what is at its other end, in words.
            number: of a channel that the peer has opened; None: it is a new one.
        """
        self._link = link
        self._peer = peer
        self._other: Pipe
        self._is_over = False
        self._number = link.open(self) if number is None else number

    def join(self, other: Pipe) -> None:
        """Pass on to `other` what comes in the channel."""
        self._other = other

    # ------------------------------------------------------------ the pipe

    def send(self, data: bytes) -> None:
        """Send bytes in the channel."""
        if not self._is_over and self._link.send(self._number, data) > UNSENT_MAX:
            self._is_over = True
            self._link.reset(self._number)
            self._other.close(f"more than {UNSENT_MAX} bytes wait to be sent to {self._peer}")

    def close(self, why: str = "") -> None:
        """End the channel, after what was sent before."""
        if not self._is_over:
            self._is_over = True
            self._link.finish(self._number)

    # ------------------------------------------------------------ the channel

    def received(self, data: bytes) -> None:
        """Pass on what has come."""
        self._link.consumed(self._number, len(data))
        if not self._is_over:
            self._other.send(data)

    def finished(self) -> None:
        """The peer has ended its direction: end this one, too."""
        if not self._is_over:
            self._other.close()
            self.close()

    def lost(self, why: str) -> None:
        """The channel is over."""
        if not self._is_over:
            self._is_over = True
            self._other.close(f"the link to {self._peer} is lost: {why}")

    def flushed(self) -> None:
        """Nothing waits for that."""
