"""What a connection to a client and one to a container have in common: a transport that is written to, paused, broken.

This module must not know HTTP, or which of the two it is.
"""

from __future__ import annotations

import asyncio
from typing import cast

__all__ = ["PeerConnection"]


class PeerConnection(asyncio.Protocol):
    """One connection to a peer, from `connection_made` to `connection_lost`; before and after, nothing is written."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        """True as long as nobody has closed it."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own kind is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the transport."""
        self._transport = None

    def _read(self, *, is_wanted: bool) -> None:
        """Read from the network, or stop to."""
        transport = self._transport
        if transport is not None and not transport.is_closing() and transport.is_reading() is not is_wanted:
            (transport.resume_reading if is_wanted else transport.pause_reading)()

    def _break(self) -> None:
        """Close at once, whatever was written and has not been sent yet."""
        if self._transport is not None:
            self._transport.abort()
